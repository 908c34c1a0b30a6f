"""Every kind of instrument traded by everybody until all has expired: what must hold throughout."""

from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.markets.v1 import tx_pb2
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.errors import ChainError
from chain.modules.accounts import handlers as accounts_handlers
from chain.modules.accounts import hooks as accounts_hooks
from chain.modules.accounts import margin, queries
from chain.modules.accounts import state as accounts
from chain.modules.accounts.recompute import recompute_explanation
from chain.modules.accounts.types import AccountId
from chain.modules.bank import state as bank
from chain.modules.markets import hooks as markets_hooks
from chain.modules.markets import marks
from chain.modules.markets import state as markets
from chain.modules.markets.handlers import handle_cancel_all
from chain.modules.markets.types import InstrumentKind
from chain.modules.scenarios import state as scenarios
from chain.risk.margin import MarginState
from chain.units import WAD
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    CAROL,
    DAVE,
    ETHER,
    GOOD,
    MARKET,
    NOW,
    POST,
    SELL,
    USD,
    advance,
    assert_cash_backed,
    deliver,
    deposit,
    get_account,
    withdraw,
)
from tests.modules.instruments import (
    CALL,
    ETH_DENOM,
    FUTURE,
    PUT,
    SPOT,
    build_future,
    build_instruments,
    build_option,
    build_put,
    build_spot,
    deposit_base,
    trade,
    withdraw_base,
)

TRADERS = (ALICE, BOB, CAROL, DAVE)
FAR_CALL = "ETH-FAR-CALL"
MARKETS = (MARKET, CALL, FAR_CALL, PUT, FUTURE, SPOT)
SET = scenarios_pb2.Underlying(asset="ETH", preset="pmrm21", stable_asset="USDC")
COINS = 100 * WAD * len(TRADERS)

traders = st.sampled_from(TRADERS)


class InstrumentsMachine(RuleBasedStateMachine):
    """One underlying; two expiries are near, so that blocks of days pass them."""

    def __init__(self):
        super().__init__()
        self.ctx = build_instruments(
            build_option(),
            build_option(FAR_CALL, 2_300),
            build_put(),
            build_future(),
            build_spot(),
        )
        scenarios.set_underlying_state(self.ctx, scenarios_pb2.UnderlyingState(current=SET))
        for trader in (BOB, DAVE):
            self.modes(trader, accounts_pb2.MARGIN_MODE_PORTFOLIO)
        self.supply = bank.get_supply(self.ctx, "uusd")
        self.price = 2_000

    def attempt(self, action, *args, **kwargs):
        """Do it or be refused without a trace; whether it was done."""
        before = {store: dict(writes) for store, writes in self.ctx.store.net_writes().items()}
        try:
            action(self.ctx, *args, **kwargs)
        except ChainError:
            assert self.ctx.store.net_writes() == before
            return False
        return True

    def compute(self, owner):
        return margin.compute_account_margin(self.ctx, get_account(self.ctx, owner))

    def place(self, trader, market, side, size, price, **kwargs):
        before = self.compute(trader)
        if not self.attempt(trade, trader, market, side, size, price, **kwargs):
            return
        after = self.compute(trader)
        # New risk was carried by initial margin; else the order only reduced.
        is_carried = after.equity_initial_uusd >= after.initial_uusd
        assert is_carried or after.excess_uusd >= before.excess_uusd
        for line in after.positions:
            if line.kind is InstrumentKind.SPOT:
                assert line.position.size_quantums >= 0

    @rule(
        trader=traders,
        market=st.sampled_from(MARKETS),
        side=st.sampled_from([BUY, SELL]),
        milli=st.integers(1, 20_000),
        offset=st.integers(-9, 9),
        tif=st.sampled_from([GOOD, GOOD, NOW, POST]),
        reduce_only=st.sampled_from([False, False, True]),
    )
    def orders(self, trader, market, side, milli, offset, tif, reduce_only):
        if markets.get_market(self.ctx, market) is None:
            return
        size = milli * (10**15 if market == SPOT else ETHER // 1_000)
        cents = self.price * 100 * (100 + offset) // 100
        if market in (CALL, FAR_CALL, PUT):
            cents = 16_000 + offset * 1_000
        self.place(trader, market, side, size, cents, tif=tif, reduce_only=reduce_only)

    @rule(
        pair=st.permutations(TRADERS),
        market=st.sampled_from(MARKETS),
        milli=st.integers(1, 50_000),
        percent=st.integers(-4, 4),
    )
    def trades(self, pair, market, milli, percent):
        """One sells to another near the mark."""
        listed = markets.get_market(self.ctx, market)
        if listed is None:
            return
        mark = marks.compute_mark(self.ctx, listed, self.price * WAD)
        size = milli * (10**15 if market == SPOT else ETHER // 1_000)
        cents = max(100, mark.price_wad * (100 + percent) // WAD)
        seller, buyer = pair[:2]
        self.place(seller, market, SELL, size, cents)
        self.place(buyer, market, BUY, size, cents, tif=NOW)

    @rule(trader=traders, market=st.sampled_from(MARKETS), side=st.sampled_from([BUY, SELL]))
    def market_orders(self, trader, market, side):
        size = 10**18 if market == SPOT else ETHER
        self.place(trader, market, side, size, None, tif=NOW)

    @rule(trader=traders, milli=st.integers(1, 30_000))
    def base_in(self, trader, milli):
        self.attempt(deposit_base, trader, milli * 10**15)

    @rule(trader=traders, milli=st.integers(1, 30_000))
    def base_out(self, trader, milli):
        self.attempt(withdraw_base, trader, milli * 10**15)

    @rule(trader=traders, uusd=st.integers(1, 50_000 * USD))
    def cash_out(self, trader, uusd):
        if self.attempt(withdraw, trader, uusd):
            after = self.compute(trader)
            assert after.state is MarginState.HEALTHY
            assert after.equity_initial_uusd >= after.initial_uusd or not after.positions

    @rule(trader=traders, usd=st.integers(1, 1_000))
    def cash_in(self, trader, usd):
        self.attempt(deposit, trader, usd)

    @rule(trader=traders)
    def cancels(self, trader):
        msg = tx_pb2.MsgCancelAll(owner=trader)
        self.attempt(lambda ctx: deliver(ctx, handle_cancel_all, msg))

    @rule(
        trader=traders,
        mode=st.sampled_from(
            [accounts_pb2.MARGIN_MODE_STANDARD, accounts_pb2.MARGIN_MODE_PORTFOLIO]
        ),
    )
    def modes(self, trader, mode):
        msg = accounts_tx.MsgSetMarginMode(owner=trader, number=0, margin_mode=mode)
        self.attempt(lambda ctx: deliver(ctx, accounts_handlers.handle_set_margin_mode, msg))

    @rule(
        move_ppm=st.integers(-80_000, 80_000),
        seconds=st.sampled_from([1, 60, 3_600, 86_400, 9 * 86_400]),
    )
    def blocks(self, move_ppm, seconds):
        self.price = max(200, self.price * (10**6 + move_ppm) // 10**6)
        advance(self.ctx, seconds, ETH=self.price, USDC=1)
        accounts_hooks.end_block(self.ctx)
        for account in accounts.iterate_accounts(self.ctx):
            recorded, _ = accounts.get_margin_state(self.ctx, account.id)
            assert recorded is margin.compute_account_margin(self.ctx, account).state
        markets_hooks.end_block(self.ctx)
        assert not [event for event in self.ctx.events if event.type.endswith("_failed")]
        self.ctx.events.clear()

    @invariant()
    def coins_and_books_agree(self):
        assert_cash_backed(self.ctx)
        assert bank.get_supply(self.ctx, "uusd") == self.supply
        assert bank.get_supply(self.ctx, ETH_DENOM) == COINS
        assert bank.find_broken_supply(self.ctx) is None
        sizes = dict.fromkeys(MARKETS, 0)
        longs = dict.fromkeys(MARKETS, 0)
        holders = {market: set() for market in MARKETS}
        for account in accounts.iterate_accounts(self.ctx):
            for market, position in account.positions.items():
                assert position.size_quantums
                sizes[market] += position.size_quantums
                longs[market] += max(0, position.size_quantums)
                holders[market].add(account.id)
        base = bank.get_balance(self.ctx, markets.MODULE_ADDRESS, ETH_DENOM)
        assert sizes.pop(SPOT) == base
        assert set(sizes.values()) == {0}
        for market in markets.iterate_markets(self.ctx):
            kept = markets.get_market_state(self.ctx, market.id).open_interest_quantums
            assert kept == longs[market.id]
            if market.is_dated:
                listed = set(markets.iterate_holders(self.ctx, market.id))
                assert listed == holders[market.id]

    @invariant()
    def every_margin_explains_itself(self):
        for owner in TRADERS:
            account = accounts.get_account(self.ctx, AccountId(owner, 0))
            computed = margin.compute_account_margin(self.ctx, account)
            assert computed.maintenance_uusd >= 0
            assert computed.initial_uusd >= computed.maintenance_uusd
            assert computed.equity_initial_uusd <= computed.equity_uusd
            explanation = queries.explain_margin(self.ctx, account)
            assert explanation.equity_uusd == str(computed.equity_uusd)
            assert explanation.maintenance_uusd == str(computed.maintenance_uusd)
            assert recompute_explanation(explanation) == []

    def teardown(self):
        """Whatever was open, it expires; what is left are perpetuals, base and cash."""
        for _ in range(5):
            with suppress(ChainError):
                advance(self.ctx, 10 * 86_400, ETH=self.price, USDC=1)
            markets_hooks.end_block(self.ctx)
        kinds = {market.kind for market in markets.iterate_markets(self.ctx)}
        assert kinds == {InstrumentKind.PERPETUAL, InstrumentKind.SPOT}
        for account in accounts.iterate_accounts(self.ctx):
            assert set(account.positions) <= {MARKET, SPOT}
        self.coins_and_books_agree()


TestInstruments = InstrumentsMachine.TestCase
TestInstruments.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
