from itertools import pairwise

import pytest

from chain._pb.margin.accounts.v1 import query_pb2
from chain.modules.accounts import hooks, queries, state
from chain.modules.accounts.params import build_default_params
from chain.modules.accounts.types import AccountId
from chain.modules.bank import state as bank
from chain.risk.margin import MarginState
from chain.runtime.address import encode_address
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    CAROL,
    DAVE,
    ETHER,
    NOW,
    SELL,
    USD,
    advance,
    assert_identities,
    build_economy,
    deposit,
    get_account,
    place,
)


@pytest.fixture
def ctx():
    context = build_economy()
    deposit(context, ALICE, 100_000)
    deposit(context, BOB, 5_000)
    place(context, ALICE, SELL, 20 * ETHER, 200_000)
    place(context, BOB, BUY, 20 * ETHER, tif=NOW)
    return context


def get_changes(ctx):
    return [
        (dict(event.attributes)["from"], dict(event.attributes)["to"])
        for event in ctx.events
        if event.type == "margin_state_changed"
    ]


def test_states_are_recorded_with_their_heights(ctx):
    for price in (2_000, 1_890, 1_870, 1_860, 1_830, 1_700):
        advance(ctx, 1, ETH=price, USDC=1)
        hooks.end_block(ctx)
    changes = get_changes(ctx)
    assert changes[0][0] == "healthy"
    assert changes[-1][1] == "bankrupt"
    assert all(left[1] == right[0] for left, right in pairwise(changes))
    account_id = AccountId(BOB, 0)
    assert state.get_margin_state(ctx, account_id) == (MarginState.BANKRUPT, ctx.height)
    found = queries.query_liquidatable(ctx, query_pb2.QueryLiquidatableRequest())
    assert [(item.owner, item.state) for item in found.accounts] == [(BOB, MarginState.BANKRUPT)]


def test_closed_account_is_seen_once_more_and_then_forgotten(ctx):
    advance(ctx, 1, ETH=1_870, USDC=1)
    hooks.end_block(ctx)
    assert state.get_margin_state(ctx, AccountId(BOB, 0))[0] is not MarginState.HEALTHY
    place(ctx, ALICE, BUY, 20 * ETHER, 187_000)
    place(ctx, BOB, SELL, 20 * ETHER, tif=NOW, reduce_only=True)
    hooks.end_block(ctx)
    assert state.get_margin_state(ctx, AccountId(BOB, 0))[0] is MarginState.HEALTHY
    assert not list(state.iterate_at_risk(ctx, None))


def test_fees_are_swept_to_insurance(ctx):
    fees = state.get_accrued_fees(ctx)
    assert fees == 28 * USD
    hooks.end_block(ctx)
    assert bank.get_balance(ctx, hooks.INSURANCE_ADDRESS, "uusd") == fees
    assert state.get_accrued_fees(ctx) == 0
    assert_identities(ctx)


def test_exact_work_is_bounded_and_reaches_everybody(ctx):
    for index in range(10, 17):
        owner = encode_address(bytes([index]) * 20)
        bank.mint(ctx, owner, "uusd", 1_000 * USD)
        deposit(ctx, owner, 1_000)
        account = get_account(ctx, owner)
        account.cash_uusd = -1
        state.set_account(ctx, account)
    params = build_default_params()
    params.accounts_scanned_max = 4
    state.set_params(ctx, params)
    seen = []
    for _ in range(3):
        advance(ctx)
        before = len(get_changes(ctx))
        hooks.refresh_margin_states(ctx)
        seen.append(len(get_changes(ctx)) - before)
    assert max(seen) <= 4
    assert sum(seen) == 7
    bankrupt = list(state.iterate_in_state(ctx, MarginState.BANKRUPT))
    assert len(bankrupt) == 7


def test_broken_account_does_not_stop_the_others(ctx, monkeypatch):
    for owner in (CAROL, DAVE):
        deposit(ctx, owner, 5_000)
        account = get_account(ctx, owner)
        account.cash_uusd = -1
        state.set_account(ctx, account)
    original = hooks.refresh_margin_state

    def refresh(child, account_id, shared):
        if account_id.owner == CAROL:
            raise ZeroDivisionError
        return original(child, account_id, shared)

    monkeypatch.setattr(hooks, "refresh_margin_state", refresh)
    advance(ctx, 1, ETH=1_000, USDC=1)
    hooks.end_block(ctx)
    failed = [event for event in ctx.events if event.type == "margin_state_failed"]
    assert len(failed) == 1
    assert state.get_margin_state(ctx, AccountId(CAROL, 0)) == (MarginState.HEALTHY, 0)
    for owner in (BOB, DAVE):
        assert state.get_margin_state(ctx, AccountId(owner, 0))[0] is MarginState.BANKRUPT


def test_accounts_that_stay_in_their_state_are_not_computed(ctx, monkeypatch):
    hooks.end_block(ctx)
    monkeypatch.setattr(hooks, "refresh_margin_state", None)
    advance(ctx, 1, ETH=1_990, USDC=1)
    hooks.end_block(ctx)
    assert not [event for event in ctx.events if event.type == "margin_state_failed"]
