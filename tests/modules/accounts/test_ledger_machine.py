"""The identity of the cash ledger under anything users, prices and hooks can do."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chain._pb.margin.markets.v1 import tx_pb2
from chain.errors import ChainError
from chain.modules.accounts import hooks
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId
from chain.modules.bank import state as bank
from chain.modules.markets import funding
from chain.modules.markets import state as markets
from chain.modules.markets.handlers import handle_cancel_all
from chain.modules.markets.types import Side
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    CAROL,
    DAVE,
    GOOD,
    MARKET,
    NOW,
    POST,
    SELL,
    advance,
    assert_identities,
    build_economy,
    deliver,
    deposit,
    place,
    withdraw,
)

TRADERS = st.sampled_from([ALICE, BOB, CAROL, DAVE])


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.ctx = build_economy()
        self.price = 2_000
        for trader in (ALICE, BOB):
            deposit(self.ctx, trader, 20_000)

    def attempt(self, action, *args, **kwargs):
        before = {store: dict(writes) for store, writes in self.ctx.store.net_writes().items()}
        try:
            action(self.ctx, *args, **kwargs)
        except ChainError:
            # A refusal leaves nothing behind.
            assert self.ctx.store.net_writes() == before

    @rule(trader=TRADERS, usd=st.integers(1, 5_000))
    def deposits(self, trader, usd):
        self.attempt(deposit, trader, usd)

    @rule(trader=TRADERS, uusd=st.integers(1, 10**10))
    def withdraws(self, trader, uusd):
        self.attempt(withdraw, trader, uusd)

    @rule(
        trader=TRADERS,
        side=st.sampled_from([BUY, SELL]),
        steps=st.integers(1, 20_000),
        cents=st.integers(-300, 300),
        tif=st.sampled_from([GOOD, NOW, POST]),
        reduce_only=st.booleans(),
    )
    def orders(self, trader, side, steps, cents, tif, reduce_only):
        price = self.price * 100 + cents
        self.attempt(place, trader, side, steps * 1_000, price, tif=tif, reduce_only=reduce_only)

    @rule(trader=TRADERS, side=st.sampled_from([BUY, SELL]), steps=st.integers(1, 50_000))
    def market_orders(self, trader, side, steps):
        self.attempt(place, trader, side, steps * 1_000, tif=NOW)

    @rule(trader=TRADERS)
    def cancels(self, trader):
        msg = tx_pb2.MsgCancelAll(owner=trader)
        self.attempt(lambda ctx: deliver(ctx, handle_cancel_all, msg))

    @rule(move_ppm=st.integers(-60_000, 60_000), seconds=st.integers(1, 5_000))
    def blocks(self, move_ppm, seconds):
        self.price = max(50, self.price * (1_000_000 + move_ppm) // 1_000_000)
        advance(self.ctx, seconds, ETH=self.price, USDC=1)
        funding.end_block(self.ctx)
        hooks.end_block(self.ctx)
        assert not [e for e in self.ctx.events if e.type.endswith("_failed")]
        self.ctx.events.clear()

    @invariant()
    def ledger_balances(self):
        assert_identities(self.ctx)

    @invariant()
    def unrealised_profits_are_somebody_elses_losses(self):
        total = positions = owed = 0
        for account in accounts.iterate_accounts(self.ctx):
            computed = accounts_margin.compute_account_margin(self.ctx, account)
            total += computed.equity_uusd
            positions += len(computed.positions)
            owed += sum(line.funding_owed_uusd for line in computed.positions)
        pools = sum(amount for _, amount in accounts.iterate_funding_pools(self.ctx))
        held = bank.get_balance(self.ctx, accounts.MODULE_ADDRESS, "uusd")
        backing = held - accounts.get_accrued_fees(self.ctx)
        # Each position's value is floored by less than a unit; funding never pays more than it got.
        assert backing - positions <= total + owed + pools <= backing
        assert total <= backing

    @invariant()
    def book_agrees_with_the_accounts_records(self):
        for side in Side:
            entries = list(markets.iterate_book(self.ctx, MARKET, side))
            keys = [(-e.ticks if side is Side.BUY else e.ticks, e.order_id) for e in entries]
            assert keys == sorted(keys)
            best = markets.get_best_ticks(self.ctx, MARKET, side)
            assert best == (entries[0].ticks if entries else None)
            leading = markets.get_best_entry(self.ctx, MARKET, side)
            assert leading == (entries[0] if entries else None)
            recorded = {
                order.id: (account_id, order.remaining_steps)
                for account_id, order in markets.iterate_all_orders(self.ctx)
                if order.side is side
            }
            assert recorded == {e.order_id: (e.account_id, e.remaining_steps) for e in entries}
        bid = markets.get_best_ticks(self.ctx, MARKET, Side.BUY)
        ask = markets.get_best_ticks(self.ctx, MARKET, Side.SELL)
        assert bid is None or ask is None or bid < ask


LedgerMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestLedger = LedgerMachine.TestCase


def test_the_check_finds_a_unit_from_nowhere():
    ctx = build_economy()
    deposit(ctx, ALICE, 10)
    account = accounts.require_account(ctx, AccountId(ALICE, 0))
    account.cash_uusd += 1
    accounts.set_account(ctx, account)
    with pytest.raises(AssertionError):
        assert_identities(ctx)
