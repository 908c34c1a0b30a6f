"""Who gets a case: everybody below 1.25, however many wait in the same state with one."""

import pytest

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain.modules.accounts import hooks as accounts_hooks
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId
from chain.modules.liquidation import hooks, state
from chain.risk.margin import MarginState
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    ETHER,
    SELL,
    advance,
    build_economy,
    deposit,
    place,
)

CALLED = [AccountId(ALICE, number) for number in range(5)]


def build_called(openings):
    """ALICE's five accounts in one margin state: 1 ETH long with 140 USD, at 1,970."""
    ctx = build_economy()
    params = pb.Params()
    params.CopyFrom(state.PARAMS.get(ctx))
    params.openings_per_block_max = openings
    state.PARAMS.set(ctx, params)
    deposit(ctx, BOB, 500_000)
    place(ctx, BOB, SELL, 10 * ETHER, 200_000)
    for account_id in CALLED:
        deposit(ctx, ALICE, 290, number=account_id.number)
        place(ctx, ALICE, BUY, ETHER, 200_000, number=account_id.number)
    return ctx


def run_block(ctx, price):
    advance(ctx, ETH=price, USDC=1)
    accounts_hooks.end_block(ctx)
    hooks.end_block(ctx)
    return [AccountId(case.owner, case.account) for case in state.iterate_cases(ctx)]


@pytest.mark.parametrize(("openings", "searched"), [(1, 500), (2, 500), (5, 500), (5, 1), (3, 2)])
def test_those_behind_accounts_with_a_case_are_reached(monkeypatch, openings, searched):
    monkeypatch.setattr(hooks, "_SEARCHED_MAX", searched)
    ctx = build_called(openings)
    each = min(openings, searched)
    for block in range(1, 6):
        cases = run_block(ctx, 1_835)
        assert cases == CALLED[: block * each]
    states = {accounts.get_margin_state(ctx, account_id)[0] for account_id in CALLED}
    assert states == {MarginState.MARGIN_CALL}
    # At the end the search starts over.
    run_block(ctx, 1_835)
    assert state.get_opening_cursor(ctx, MarginState.MARGIN_CALL) is None


def test_a_case_that_ended_is_opened_again():
    ctx = build_called(1)
    for _ in range(6):
        run_block(ctx, 1_835)
    assert run_block(ctx, 2_000) == []
    for _ in range(6):
        cases = run_block(ctx, 1_835)
    assert cases == CALLED
