"""A scenario and its outcome, and the table of all of them: scenario by client."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

W = TypeVar("W")
CLIENTS: Final = ("hermes", "mrelay", "cosmjs", "cosmpy")


class ScenarioFailed(AssertionError):
    """What a scenario expected and did not see; the text begins with the call that failed."""


@dataclass(frozen=True, slots=True)
class Scenario(Generic[W]):
    """One thing that a client must be able to do; `play` raises when it is not."""

    name: str
    client: str
    play: Callable[[W], str]
    """Gives what was seen, in a few words."""
    opens: str = ""
    """The name of the channel that it opens for others."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scenario ended: `failure` is empty when it passed, else the first failing call."""

    name: str
    client: str
    seconds: float
    seen: str
    failure: str

    @property
    def is_pass(self) -> bool:
        """Whether it passed."""
        return not self.failure


def require(condition: object, text: str) -> None:
    """Raise ScenarioFailed with the text unless the condition holds."""
    if not condition:
        raise ScenarioFailed(text)


def play_all(
    scenarios: Iterable[Scenario[W]], world: W, progress: Callable[[str], None]
) -> list[Outcome]:
    """Play the scenarios in their order; one that fails keeps none of the others from playing."""
    outcomes = []
    for scenario in scenarios:
        progress(f"{scenario.client}: {scenario.name}")
        started = time.monotonic()
        seen = failure = ""
        try:
            seen = scenario.play(world)
            progress(f"  pass: {seen}")
        except Exception as error:  # noqa: BLE001  (whatever a client does, the table shows it)
            failure = f"{type(error).__name__}: {error}".strip()
            progress(f"  failed: {failure}")
        seconds = time.monotonic() - started
        outcomes.append(Outcome(scenario.name, scenario.client, seconds, seen, failure))
    return outcomes


def describe(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The table as a JSON document."""
    return {
        "scenarios": [
            {
                "name": outcome.name,
                "client": outcome.client,
                "pass": outcome.is_pass,
                "seconds": round(outcome.seconds, 1),
                "seen": outcome.seen,
                "failure": outcome.failure,
            }
            for outcome in outcomes
        ],
        "passed": sum(outcome.is_pass for outcome in outcomes),
        "failed": sum(not outcome.is_pass for outcome in outcomes),
    }
