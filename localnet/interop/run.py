"""A whole run: the world up, every scenario played, the world down, a table of what passed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from localnet.interop import (
    hermes_commands,
    hermes_misbehaviour,
    hermes_scenarios,
    mrelay_scenarios,
    wallet_scenarios,
)
from localnet.interop.scenario import CLIENTS, Outcome, Scenario, play_all
from localnet.interop.world import World

DEFAULT_ROOT: Final = Path(".localnet-interop")
SCENARIOS: Final[tuple[Scenario[World], ...]] = (
    *hermes_scenarios.SCENARIOS,
    *hermes_commands.SCENARIOS,
    *mrelay_scenarios.SCENARIOS,
    *wallet_scenarios.SCENARIOS,
    *hermes_misbehaviour.SCENARIOS,
)
"""All scenarios in the order they are played: later ones use the channels of earlier ones."""


def select_scenarios(client: str = "", name: str = "") -> tuple[Scenario[World], ...]:
    """The scenarios of a client whose names contain a text; raises ValueError without any.

    Channels that they need are opened for them.
    """
    chosen = tuple(
        scenario
        for scenario in SCENARIOS
        if client in ("", scenario.client) and name in scenario.name
    )
    if not chosen:
        clients = sorted({scenario.client for scenario in SCENARIOS})
        raise ValueError(
            f"no scenario of client {client or 'any'!r} has {name!r} in its name; clients: "
            f"{', '.join(clients)}"
        )
    return chosen


def play(
    root: Path, scenarios: Sequence[Scenario[World]], progress: Callable[[str], None]
) -> list[Outcome]:
    """The outcomes of the scenarios in a fresh world under a folder; every process is ended.

    Raises BinaryNotFound, ProcessFailed when the world does not come up.
    """
    world = World(root, progress)
    world.openers = {
        scenario.opens: scenario.play
        for scenario in SCENARIOS
        if scenario.opens and scenario not in scenarios
    }
    try:
        world.up(progress)
        return play_all(scenarios, world, progress)
    finally:
        progress("stopping every process")
        world.close()


def build_table(outcomes: Sequence[Outcome]) -> Table:
    """The outcomes for a terminal, scenario by client: passed in how long, or the failing call."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    clients = [client for client in CLIENTS if any(o.client == client for o in outcomes)]
    for title in ("scenario", *clients):
        table.add_column(title, overflow="fold")
    rows: dict[str, dict[str, Text]] = {}
    for outcome in outcomes:
        rows.setdefault(outcome.name, {})[outcome.client] = _render(outcome)
    for name, cells in rows.items():
        table.add_row(name, *(cells.get(client, Text()) for client in clients))
    return table


def _render(outcome: Outcome) -> Text:
    if outcome.is_pass:
        return Text(f"pass {outcome.seconds:.1f} s", "green")
    return Text(f"FAIL {outcome.failure}", "red")


def show(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print the table and the count."""
    console.print(build_table(outcomes))
    passed = sum(outcome.is_pass for outcome in outcomes)
    console.print(f"{passed} of {len(outcomes)} pass")
