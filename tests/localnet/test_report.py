"""The report's judgements over recorded events and figures."""

import pytest

from localnet.block_history import BlockEvent, BlockHistory
from localnet.report import (
    check_supplies,
    describe_credits,
    describe_deliveries,
    describe_states,
    write_report,
)

S = 10**9
BEFORE = {"aeth": {"alpha-1": 100}, "umargin": {"hub-1": 5, "alpha-1": 5}}


def event(chain_id, height, second, kind, **values):
    return BlockEvent(chain_id, height, second * S, kind, values)


def test_a_supply_may_move_between_chains_but_not_change():
    moved = {"aeth": {"alpha-1": 90, "hub-1": 10}, "umargin": {"hub-1": 5, "alpha-1": 5}}
    assert check_supplies(BEFORE, moved).holds


@pytest.mark.parametrize("amount", [99, 101])
def test_one_unit_more_or_less_breaks_it(amount):
    check = check_supplies(BEFORE, {**BEFORE, "aeth": {"alpha-1": amount}})
    assert not check.holds
    assert check.figures["aeth"] == {"before": "100", "after": str(amount)}


def test_an_asset_that_appears_breaks_it():
    assert not check_supplies(BEFORE, {**BEFORE, "fake": {"beta-1": 1}}).holds


@pytest.fixture
def hub():
    events = [
        event("hub-1", 11, 12, "collateral_credited", route_id="alpha", lock_id="lock-1"),
        event(
            "hub-1", 20, 20, "margin_state_changed", owner="alice", to="liquidate",
            equity_uusd="1", maintenance_uusd="2", **{"from": "reduce_only"},
        ),
        event("hub-1", 30, 30, "auction_bid", seize_id="seize-1"),
    ]  # fmt: skip
    return BlockHistory("hub-1", {height: height * S for height in range(1, 60)}, events)


@pytest.fixture
def alpha():
    events = [
        event("alpha-1", 9, 9, "collateral_locked", lock_id="lock-1", amount="7", denom="aeth"),
        event(
            "alpha-1", 33, 34, "collateral_seized", owner="alice", order_id="seize-1",
            amount="7", denom="aeth",
        ),
    ]  # fmt: skip
    return BlockHistory("alpha-1", {height: height * S for height in range(1, 60)}, events)


def test_lock_to_credit_counts_blocks_of_the_hub(hub, alpha):
    (span,) = describe_credits(hub, [alpha])
    assert (span["seconds"], span["blocks"], span["amount"]) == (3.0, 3, "7aeth")


def test_deliveries_are_measured_from_the_trigger_and_from_the_bid(hub, alpha):
    spans = describe_deliveries(hub, [alpha], "alice")
    assert [(s["from"]["event"], s["seconds"]) for s in spans] == [
        ("margin_state_changed", 14.0),
        ("auction_bid", 4.0),
    ]


def test_states_carry_their_height(hub):
    (state,) = describe_states(hub, "alice")
    assert (state["height"], state["from"], state["to"]) == (20, "reduce_only", "liquidate")
    assert describe_states(hub, "bob") == []


def test_the_report_is_a_json_file(tmp_path):
    write_report(tmp_path / "new" / "report.json", {"holds": True})
    assert (tmp_path / "new" / "report.json").read_text() == '{\n  "holds": true\n}\n'
