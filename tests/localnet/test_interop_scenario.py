"""Scenarios are played in order, each failure is kept, and the table shows all of them."""

import io
from typing import Any

import pytest
from rich.console import Console

from localnet.interop import run
from localnet.interop.scenario import (
    CLIENTS,
    Outcome,
    Scenario,
    ScenarioFailed,
    describe,
    play_all,
    require,
)


def fail(_: object) -> str:
    raise ScenarioFailed("hermes create client: no such chain")


def break_down(_: object) -> str:
    raise KeyError("client_id")


SCENARIOS: tuple[Scenario[Any], ...] = (
    Scenario("first", "hermes", lambda world: f"saw {world}"),
    Scenario("second", "hermes", fail),
    Scenario("third", "mrelay", break_down),
    Scenario("fourth", "mrelay", lambda _: "done"),
)


def play() -> list[Outcome]:
    return play_all(SCENARIOS, "the world", lambda _: None)


def test_a_failure_keeps_nothing_else_from_playing() -> None:
    outcomes = play()
    assert [(o.name, o.client, o.is_pass) for o in outcomes] == [
        ("first", "hermes", True),
        ("second", "hermes", False),
        ("third", "mrelay", False),
        ("fourth", "mrelay", True),
    ]
    assert outcomes[0].seen == "saw the world"
    assert "hermes create client: no such chain" in outcomes[1].failure
    assert "KeyError: 'client_id'" in outcomes[2].failure


def test_the_document_counts_and_shows_failures() -> None:
    document = describe(play())
    assert (document["passed"], document["failed"]) == (2, 2)
    second = document["scenarios"][1]
    assert (second["name"], second["pass"], second["seen"]) == ("second", False, "")
    assert second["failure"]


def test_the_table_is_scenario_by_client_and_names_the_failing_call() -> None:
    more = (*play(), *play_all([Scenario("first", "mrelay", fail)], None, lambda _: None))
    text = io.StringIO()
    run.show(Console(file=text, width=200), more)
    title, first, second, third, fourth, count = text.getvalue().splitlines()
    assert title.split() == ["scenario", "hermes", "mrelay"]
    assert "pass 0.0 s" in first.split("FAIL")[0]
    assert first.rstrip().endswith("FAIL ScenarioFailed: hermes create client: no such chain")
    assert "hermes create client: no such chain" in second
    assert "KeyError: 'client_id'" in third
    assert fourth.rstrip().endswith("pass 0.0 s")
    assert count == "2 of 5 pass"


def test_require() -> None:
    require([0], "never said")
    with pytest.raises(ScenarioFailed, match="nothing there"):
        require([], "nothing there")


def test_every_scenario_has_a_known_client_and_a_name_of_its_own() -> None:
    keys = [(scenario.client, scenario.name) for scenario in run.SCENARIOS]
    assert len(set(keys)) == len(keys)
    assert {client for client, _ in keys} <= set(CLIENTS)


def test_a_selection_is_by_client_and_by_name() -> None:
    chosen = run.select_scenarios("hermes", "timeouts")
    assert chosen
    assert all(s.client == "hermes" and "timeouts" in s.name for s in chosen)


def test_without_a_wish_everything_is_played() -> None:
    assert run.select_scenarios() == run.SCENARIOS


@pytest.mark.parametrize(("client", "name"), [("nobody", ""), ("hermes", "no such thing")])
def test_a_selection_of_nothing_is_refused(client: str, name: str) -> None:
    with pytest.raises(ValueError, match="no scenario"):
        run.select_scenarios(client, name)
