from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chain._pb.margin.markets.v1 import markets_pb2
from chain.errors import ChainError
from chain.modules.accounts import state as accounts
from chain.modules.accounts.errors import (
    AccountLocked,
    AccountNotFound,
    InsufficientMargin,
    TooManyLines,
)
from chain.modules.accounts.types import AccountId
from chain.modules.bank import state as bank
from chain.modules.bank.errors import InsufficientFunds
from chain.modules.markets import MODULE, state
from chain.modules.markets.errors import (
    InsufficientBase,
    InvalidOrder,
    OpenInterestLimit,
    ReduceOnly,
    UnknownMarket,
)
from chain.modules.oracle.errors import PriceNotUsable
from chain.units import WAD, InvalidAmount
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    MARKET,
    NOW,
    SELL,
    USD,
    advance,
    assert_cash_backed,
    get_account,
)
from tests.modules.instruments import (
    CALL,
    ETH_DENOM,
    SPOT,
    build_instruments,
    build_spot,
    deposit_base,
    end_block,
    trade,
    withdraw_base,
)


@pytest.fixture
def ctx():
    return build_instruments()


def get_held(ctx, owner, number=0):
    position = get_account(ctx, owner, number).positions.get(SPOT)
    return position.size_quantums if position else 0


def assert_base(ctx):
    """Coins behind all base to the unit, cash untouched by it, nothing below zero."""
    positions = [
        account.positions[SPOT]
        for account in accounts.iterate_accounts(ctx)
        if SPOT in account.positions
    ]
    assert all(p.size_quantums > 0 and p.cost_uusd == 0 for p in positions)
    held = sum(position.size_quantums for position in positions)
    assert bank.get_balance(ctx, state.MODULE_ADDRESS, ETH_DENOM) == held
    assert state.get_market_state(ctx, SPOT).open_interest_quantums == held
    assert_cash_backed(ctx)
    assert bank.find_broken_supply(ctx) is None


def assert_refused(ctx, error, call, *args, **kwargs):
    before = {store: dict(writes) for store, writes in ctx.store.net_writes().items()}
    events = list(ctx.events)
    with pytest.raises(error) as caught:
        call(ctx, *args, **kwargs)
    assert caught.value.detail
    assert {store: dict(writes) for store, writes in ctx.store.net_writes().items()} == before
    assert ctx.events == events
    return caught.value


def test_base_goes_in_and_out_to_the_unit(ctx):
    deposit_base(ctx, ALICE, 3 * WAD + 1)
    assert get_held(ctx, ALICE) == 3 * WAD + 1
    assert bank.get_balance(ctx, ALICE, ETH_DENOM) == 97 * WAD - 1
    assert_base(ctx)
    withdraw_base(ctx, ALICE, 3 * WAD)
    assert get_held(ctx, ALICE) == 1
    assert_base(ctx)
    withdraw_base(ctx, ALICE, 1)
    assert not get_account(ctx, ALICE).positions
    assert bank.get_balance(ctx, ALICE, ETH_DENOM) == 100 * WAD
    assert_base(ctx)
    kinds = [event.type for event in ctx.events if event.type.startswith("base_")]
    assert kinds == ["base_deposited", "base_withdrawn", "base_withdrawn"]


def test_a_deposit_opens_the_account(ctx):
    deposit_base(ctx, ALICE, WAD, number=7)
    assert get_held(ctx, ALICE, 7) == WAD
    assert "account_opened" in [event.type for event in ctx.events]


def test_the_owner_alone_moves_base():
    signers = {route.request.DESCRIPTOR.name: route.signer_field for route in MODULE.messages}
    assert signers["MsgDepositBase"] == signers["MsgWithdrawBase"] == "owner"


@pytest.mark.parametrize(
    ("amount", "market", "error"),
    [
        ("0", SPOT, InvalidAmount),
        ("-1", SPOT, InvalidAmount),
        ("1.5", SPOT, InvalidAmount),
        (str(2**256), SPOT, InvalidAmount),
        (str(101 * WAD), SPOT, InsufficientFunds),
        ("1", "DOGE-SPOT", UnknownMarket),
        ("1", MARKET, InvalidOrder),
        ("1", CALL, InvalidOrder),
    ],
)
def test_a_bad_deposit(ctx, amount, market, error):
    assert_refused(ctx, error, deposit_base, ALICE, amount, market)


def test_a_deposit_into_a_market_that_takes_none():
    ctx = build_instruments(build_spot(status=markets_pb2.MARKET_STATUS_REDUCE_ONLY))
    assert_refused(ctx, ReduceOnly, deposit_base, ALICE, WAD)


def test_deposits_stop_at_the_cap():
    ctx = build_instruments(build_spot(open_interest_max_uusd=str(5_000 * USD)))
    deposit_base(ctx, ALICE, 2 * WAD)
    assert_refused(ctx, OpenInterestLimit, deposit_base, BOB, WAD)
    deposit_base(ctx, BOB, WAD // 2)
    withdraw_base(ctx, ALICE, 2 * WAD)
    deposit_base(ctx, BOB, WAD)


def test_dust_never_takes_a_line_beyond_the_last(ctx):
    params = accounts.get_params(ctx)
    changed = type(params)()
    changed.CopyFrom(params)
    changed.positions_max = 1
    accounts.set_params(ctx, changed)
    trade(ctx, ALICE, MARKET, BUY, 10**6, 190_000)
    assert_refused(ctx, TooManyLines, deposit_base, ALICE, 1)
    deposit_base(ctx, BOB, 1)
    deposit_base(ctx, BOB, 1)


def test_an_account_under_liquidation_moves_no_base(ctx):
    deposit_base(ctx, ALICE, WAD)
    accounts.lock_account(ctx, AccountId(ALICE, 0))
    assert_refused(ctx, AccountLocked, deposit_base, ALICE, WAD)
    assert_refused(ctx, AccountLocked, withdraw_base, ALICE, WAD)


def test_no_more_is_withdrawn_than_is_held_and_not_promised(ctx):
    assert_refused(ctx, AccountNotFound, withdraw_base, ALICE, 1, number=5)
    assert_refused(ctx, InsufficientBase, withdraw_base, ALICE, 1)
    deposit_base(ctx, ALICE, 2 * WAD)
    trade(ctx, ALICE, SPOT, SELL, WAD, 200_000)
    assert_refused(ctx, InsufficientBase, withdraw_base, ALICE, WAD + 1)
    withdraw_base(ctx, ALICE, WAD)
    assert_base(ctx)


def test_base_that_margin_needs_stays(ctx):
    deposit_base(ctx, ALICE, 10 * WAD, number=1)
    deposit_base(ctx, BOB, WAD)
    trade(ctx, BOB, MARKET, SELL, 10**6, 200_000)
    trade(ctx, ALICE, MARKET, BUY, 10**6, 200_000, number=1)
    assert_refused(ctx, InsufficientMargin, withdraw_base, ALICE, 10 * WAD, number=1)
    withdraw_base(ctx, ALICE, 5 * WAD, number=1)
    advance(ctx, 100_000)
    assert_refused(ctx, PriceNotUsable, withdraw_base, ALICE, WAD, number=1)


OWNERS = st.sampled_from([ALICE, BOB])
AMOUNTS = st.one_of(st.integers(1, 5), st.integers(1, 40).map(lambda eths: eths * WAD))


class BaseMachine(RuleBasedStateMachine):
    """Base in, out and traded in any order: the coins behind it are always there to the unit."""

    @initialize()
    def start(self):
        self.ctx = build_instruments(build_spot(), usd=60_000)

    def run(self, call, *args, **kwargs):
        with suppress(ChainError):
            call(self.ctx, *args, **kwargs)

    @rule(owner=OWNERS, amount=AMOUNTS)
    def deposit(self, owner, amount):
        self.run(deposit_base, owner, amount)

    @rule(owner=OWNERS, amount=AMOUNTS)
    def withdraw(self, owner, amount):
        self.run(withdraw_base, owner, amount)

    @rule(
        owner=OWNERS,
        side=st.sampled_from([BUY, SELL]),
        milli=st.integers(1, 50_000),
        price=st.sampled_from([190_000, 200_000, 210_000]),
        reduce_only=st.booleans(),
    )
    def limit(self, owner, side, milli, price, reduce_only):
        self.run(trade, owner, SPOT, side, milli * 10**15, price, reduce_only=reduce_only)

    @rule(owner=OWNERS, side=st.sampled_from([BUY, SELL]), milli=st.integers(1, 50_000))
    def market(self, owner, side, milli):
        self.run(trade, owner, SPOT, side, milli * 10**15, tif=NOW)

    @rule(usd=st.integers(1_900, 2_100))
    def move(self, usd):
        advance(self.ctx, 1, ETH=usd)
        end_block(self.ctx)

    @invariant()
    def coins_are_there(self):
        if hasattr(self, "ctx"):
            assert_base(self.ctx)
            for owner in (ALICE, BOB):
                assert get_account(self.ctx, owner).cash_uusd >= 0


TestBase = BaseMachine.TestCase
TestBase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
