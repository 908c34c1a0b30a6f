"""The story on real CometBFT processes: a liquidation over three chains, every identity holding."""

from pathlib import Path

import pytest
from rich.console import Console

from localnet.demo.narration import Narrator
from localnet.demo.run import play_story
from localnet.demo.story import EXPECTED_STATES

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.localnet(validators={"hub-1": 2, "alpha-1": 1, "beta-1": 1}),
]


@pytest.fixture(scope="module")
def report(localnet, tmp_path_factory):
    log = tmp_path_factory.mktemp("story") / "narration.txt"
    with Path(log).open("w") as file:
        return play_story(localnet.localnet, Narrator(Console(file=file, width=160)))


def test_every_check_holds(report):
    failed = [check for check in report["checks"] if not check["holds"]]
    assert failed == []
    assert report["holds"]
    assert len(report["checks"]) >= 10


def test_total_supply_of_every_asset_is_unchanged(report):
    assert set(report["supplies"]) == {"aeth", "umargin", "uusd", "uusdc"}
    for figures in report["supplies"].values():
        before, after = ({int(v) for v in figures[k].values()} for k in ("before", "after"))
        assert before == after


def test_the_account_went_down_state_by_state(report):
    heights = [state["height"] for state in report["states"]]
    assert heights == sorted(heights)
    seen = [state["to"] for state in report["states"]]
    first = {state: seen.index(state) for state in EXPECTED_STATES}
    assert sorted(first, key=first.__getitem__) == list(EXPECTED_STATES)


def test_collateral_of_both_chains_was_seized_for_the_bidder(report):
    seized = {span["to"]["chain"] for span in report["liquidation_to_delivery"]}
    assert "alpha-1" in seized
    assert all(span["seconds"] > 0 for span in report["liquidation_to_delivery"])


def test_latency_was_measured_on_both_routes(report):
    assert {route["route"] for route in report["routes"]} == {"alpha", "beta"}
    for route in report["routes"]:
        assert route["samples"] >= 20
        assert 0 < route["delivery_p50_ms"] <= route["delivery_p95_ms"] < 60_000


def test_the_refusal_states_rule_numbers_and_remedy(report):
    by_margin = [r for r in report["refused_withdrawals"] if r["codespace"] == "accounts"]
    assert any("deposit" in refusal["text"] for refusal in by_margin)
    assert all(r["vault_before"] == r["vault_after"] for r in report["refused_withdrawals"])


def test_fees_went_to_insurance(report):
    kinds = {entry["kind"] for entry in report["insurance"]}
    assert {"funded", "fee"} <= kinds


def test_the_account_held_options_that_settled_in_cash(report):
    options = report["options"]
    portfolio, standard = (options["margin"][mode] for mode in ("portfolio", "standard"))
    for margin in (portfolio, standard):
        held = {line["position"]["market"] for line in margin["explanation"]["positions"]}
        assert {options["bought"], options["sold"], "ETH-PERP"} <= held
        assert int(margin["equity_uusd"]) > int(margin["initial_uusd"]) > 0
        (greeks,) = (row for row in margin["greeks"] if row["asset"] == "ETH")
        assert int(greeks["vega_wad"]) < 0  # A call sold for longer than the put lasts.
    (worst,) = portfolio["worst_scenarios"]
    assert int(worst["profit_wad"]) < 0
    (settled,) = options["settlement"]["positions"]
    assert settled["market"] == options["bought"]
    assert int(settled["value_uusd"]) > 0
