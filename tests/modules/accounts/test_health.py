"""What the index finds is what computing every account finds, however prices and accounts moved."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.modules.accounts import health, hooks, margin, state
from chain.modules.accounts.params import build_default_params
from chain.modules.accounts.types import Account, AccountId, LienKey, MarginMode, Position
from chain.modules.collateral.measurement import SharedReads
from chain.modules.markets import state as markets
from chain.modules.markets.types import SettlementAverage
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import state as scenarios
from chain.risk.margin import MarginState
from chain.runtime.address import encode_address
from chain.runtime.store import Branch
from chain.units import PPM, WAD
from tests.modules.accounts.mixed_portfolios import MONTH_S, build_mixed_economy, holdings
from tests.modules.economy import (
    ALICE,
    BOB,
    ETHER,
    MARKET,
    USD,
    advance,
    build_economy,
    deliver,
    fix_haircuts,
)
from tests.modules.instruments import FUTURE, build_instruments

OWNERS = [encode_address(bytes([index]) * 20) for index in range(10, 16)]
LIENS = [LienKey("alpha-1", "aeth", vault, "alpha") for vault in ("main", "other")]

account_ids = st.builds(AccountId, st.sampled_from(OWNERS), st.integers(0, 2))
positions = st.builds(
    Position,
    st.integers(-50 * ETHER, 50 * ETHER).filter(bool),
    st.integers(-120_000 * USD, 120_000 * USD),
    st.integers(-(10**15), 10**15),
)
accounts = st.builds(
    lambda account_id, cash, held, liens, mode: Account(
        *account_id, cash, {} if held is None else {MARKET: held}, liens, margin_mode=mode
    ),
    account_ids,
    st.integers(-20_000 * USD, 60_000 * USD),
    st.none() | positions,
    st.dictionaries(
        st.sampled_from(LIENS), st.integers(1, 10**20) | st.integers(10**28, 10**30), max_size=2
    ),
    st.sampled_from(MarginMode),
)
blocks = st.tuples(
    st.lists(accounts, max_size=8),
    st.integers(200, 9_000),  # ETH in USD
    st.integers(-(10**16), 10**16),  # what the funding index moves by
    st.integers(0, 1),  # which base: the outermost branch, or a new one over it
)


class Committed:
    """Blocks over one committed state, each in a branch of its own that joins the state after."""

    def __init__(self, ctx):
        self.ctx = ctx
        self.reader = Branch(ctx.store)
        self.branch = None

    def get(self, store, key):
        return self.reader.get(store, key)

    def iterate(self, store, start, end, *, reverse=False):
        return self.reader.iterate(store, start, end, reverse=reverse)

    def open_block(self):
        self.branch = Branch(self)
        self.ctx.store = self.branch

    def close_block(self):
        for store, writes in self.branch.net_writes().items():
            self.reader.adopt(store, dict(writes))


def set_price(ctx, price_usd, funding_wad):
    price = oracle.get_price(ctx, "ETH")
    oracle.set_price(ctx, replace(price, price_wad=price_usd * WAD, raw_median_wad=price_usd * WAD))
    market_state = markets.get_market_state(ctx, MARKET)
    market_state.funding_index_wad += funding_wad
    markets.set_market_state(ctx, MARKET, market_state)


def compute_all(ctx):
    return {
        account.id: margin.compute_account_margin(ctx, account).state
        for account in state.iterate_accounts(ctx)
        if account.is_at_risk
    }


@pytest.fixture(autouse=True)
def _haircuts(monkeypatch):
    fix_haircuts(monkeypatch)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(blocks, min_size=1, max_size=6),
    st.integers(0, 5),
    st.sampled_from((None, "pmrm21", "span16", "scan24")),
)
def test_states_found_are_those_of_computing_every_account(chain_of_blocks, restart_at, preset):
    ctx = build_economy()
    if preset is not None:
        underlying = scenarios_pb2.Underlying(asset="ETH", preset=preset, stable_asset="USDC")
        scenarios.set_underlying_state(ctx, scenarios_pb2.UnderlyingState(current=underlying))
    committed = Committed(ctx)
    for number, (written, price_usd, funding_wad, late) in enumerate(chain_of_blocks):
        advance(ctx)
        committed.open_block()
        set_price(ctx, price_usd, funding_wad)
        early = written[: len(written) - late]
        for account in early:
            state.set_account(ctx, account.copy())
        if number == restart_at:
            health._INDEXES.clear()
        hooks.refresh_margin_states(ctx)
        for account_id, exact in compute_all(ctx).items():
            assert state.get_margin_state(ctx, account_id)[0] is exact
        for account_id in state.iterate_at_risk(ctx, None):
            assert state.require_account(ctx, account_id).is_at_risk or (
                state.get_margin_state(ctx, account_id)[1] == ctx.height
            )
        # What another module writes after the hook belongs to the next block's search.
        for account in written[len(early) :]:
            state.set_account(ctx, account.copy())
        committed.close_block()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(blocks, min_size=1, max_size=5), st.integers(1, 4))
def test_a_restarted_node_finds_the_same_in_the_same_order(chain_of_blocks, limit):
    ctx = build_economy()
    params = build_default_params()
    params.accounts_scanned_max = limit
    state.set_params(ctx, params)
    committed = Committed(ctx)
    index = health.HealthIndex()
    for written, price_usd, funding_wad, _ in chain_of_blocks:
        advance(ctx)
        committed.open_block()
        set_price(ctx, price_usd, funding_wad)
        for account in written:
            state.set_account(ctx, account.copy())
        shared = SharedReads()
        index.follow(ctx, shared)
        fresh = health.HealthIndex()
        fresh.follow(ctx, shared)
        found = index.find_candidates(ctx, limit, shared)
        assert found == fresh.find_candidates(ctx, limit, shared)
        assert index.get_closed() == fresh.get_closed()
        assert len(index) == len(fresh)
        assert len(found) <= limit
        for account_id in found:
            hooks.refresh_margin_state(ctx, account_id, shared)
        committed.close_block()


def assert_bounds_hold(ctx):
    """Equity and requirement of every account lie within what the screen says of them."""
    shared = SharedReads()
    index = health.HealthIndex()
    index.follow(ctx, shared)
    factors = [index._build_factor(ctx, column, shared) for column in index._columns]
    low, high, least, most, unknown = index._screen.compute_bounds(factors)
    for account_id, row in index._rows.items():
        exact = margin.compute_account_margin(ctx, state.require_account(ctx, account_id))
        if not unknown[row]:
            assert low[row] <= exact.equity_uusd <= high[row]
            assert least[row] <= exact.maintenance_uusd <= most[row]


def move_mixed(ctx, prices_usd):
    for asset, price_usd in prices_usd.items():
        price = oracle.get_price(ctx, asset)
        moved = price_usd * WAD + 7
        oracle.set_price(ctx, replace(price, price_wad=moved, raw_median_wad=moved))


def draw_mixed_account(data, ctx):
    held, _ = data.draw(holdings(ctx, orders=False))
    return Account(
        *data.draw(account_ids),
        data.draw(st.integers(-40_000 * USD, 120_000 * USD)),
        held,
        data.draw(st.dictionaries(st.sampled_from(LIENS), st.integers(1, 10**20), max_size=2)),
        margin_mode=data.draw(st.sampled_from(MarginMode)),
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_states_over_every_kind_are_those_of_computing_every_account(data):
    presets = st.sampled_from(("pmrm21", "span16", "scan24"))
    ctx = build_mixed_economy(data.draw(presets))
    if data.draw(st.booleans()):
        ramp_in(ctx, data.draw(presets), is_first=data.draw(st.booleans()))
    committed = Committed(ctx)
    for number in range(data.draw(st.integers(2, 4))):
        advance(ctx, data.draw(st.sampled_from((1, 1_800, 10 * 86_400, 29 * 86_400))))
        committed.open_block()
        eth_usd, btc_usd = data.draw(st.integers(900, 4_000)), data.draw(st.integers(10**4, 10**5))
        move_mixed(ctx, {"ETH": eth_usd, "BTC": btc_usd})
        if number and data.draw(st.booleans()):
            average = SettlementAverage(price_wad=data.draw(st.integers(500, 4_000)) * WAD)
            markets.set_settlement(ctx, "ETH", MONTH_S, average)
        for _ in range(data.draw(st.integers(0, 5))):
            state.set_account(ctx, draw_mixed_account(data, ctx))
        hooks.refresh_margin_states(ctx)
        assert_bounds_hold(ctx)
        for account_id, exact in compute_all(ctx).items():
            assert state.get_margin_state(ctx, account_id)[0] is exact
        committed.close_block()


def ramp_in(ctx, preset, *, is_first):
    """Half-way to other rules of ETH: from another set, or from the standard rules."""
    parameters = [scenarios_pb2.Parameter(name="base_factor_wad", value=str(WAD // 2))]
    current = scenarios_pb2.Underlying(
        asset="ETH", preset=preset, stable_asset="USDC", standard_parameters=parameters
    )
    before = scenarios.get_underlying_state(ctx, "ETH").current
    ramp = scenarios_pb2.UnderlyingState(
        current=current,
        previous=None if is_first else before,
        ramp_start_s=ctx.time_s - 1_800,
        ramp_end_s=ctx.time_s + 1_800,
    )
    scenarios.set_underlying_state(ctx, ramp)


def test_a_healthy_account_of_every_kind_is_not_computed(monkeypatch):
    ctx = build_mixed_economy()
    sizes = {
        "ETH-TWO": -2 * ETHER,
        "ETH-F1": 2 * ETHER,
        "ETH-C2000X1": -3 * ETHER,
        "ETH-P1600X2": 3 * ETHER,
        "ETH-SPOT": 10**18,
    }
    for owner, mode in zip(OWNERS, MarginMode, strict=False):
        held = {market: Position(size) for market, size in sizes.items()}
        state.set_account(ctx, Account(owner, 0, 100_000 * USD, held, margin_mode=mode))
    hooks.refresh_margin_states(ctx)
    monkeypatch.setattr(hooks, "refresh_margin_state", None)
    advance(ctx)
    move_mixed(ctx, {"ETH": 2_100})
    hooks.refresh_margin_states(ctx)
    assert not [event for event in ctx.events if event.type == "margin_state_failed"]


def build_longs(ctx, count):
    """Accounts that differ in cash: the later, the worse."""
    for index in range(count):
        owner = encode_address(bytes([50 + index]) * 20)
        state.set_account(
            ctx,
            Account(
                owner,
                0,
                (5_000 - 10 * index) * USD,
                {MARKET: Position(20 * ETHER, 40_000 * USD, 0)},
            ),
        )


def test_a_crash_is_worked_off_worst_first_in_bounded_work():
    ctx = build_economy()
    build_longs(ctx, 30)
    hooks.refresh_margin_states(ctx)
    params = build_default_params()
    params.accounts_scanned_max = 8
    state.set_params(ctx, params)
    set_price(ctx, 1_500, 0)
    worst_first = sorted(
        state.iterate_accounts(ctx),
        key=lambda account: margin.compute_account_margin(ctx, account).equity_uusd,
    )
    for start in (0, 8, 16, 24):
        advance(ctx)
        hooks.refresh_margin_states(ctx)
        changed = [
            account.id
            for account in worst_first
            if state.get_margin_state(ctx, account.id) == (MarginState.BANKRUPT, ctx.height)
        ]
        assert changed == [account.id for account in worst_first[start : start + 8]]


def test_a_block_that_is_executed_again_leaves_nothing_behind():
    ctx = build_economy()
    committed = Committed(ctx)
    build_longs(ctx, 3)
    first, second, third = [account.id for account in state.iterate_accounts(ctx)]
    for account_id, height in ((first, 2), (second, 2), (third, 3)):
        ctx.height = height
        committed.open_block()
        account = state.require_account(ctx, account_id)
        account.cash_uusd = -1_000_000 * USD
        state.set_account(ctx, account)
        hooks.refresh_margin_states(ctx)
        if account_id != first:  # The first block of height 2 is dropped.
            committed.close_block()
    states = [state.get_margin_state(ctx, account_id)[0] for account_id in (first, second, third)]
    assert states == [MarginState.HEALTHY, MarginState.BANKRUPT, MarginState.BANKRUPT]


def test_a_hook_that_failed_is_made_up_for(monkeypatch):
    ctx = build_economy()
    build_longs(ctx, 3)
    with monkeypatch.context() as patch:
        patch.setattr(health.HealthIndex, "_build_factor", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            deliver(ctx, lambda child, _: hooks.refresh_margin_states(child), None)
    set_price(ctx, 1_000, 0)
    hooks.refresh_margin_states(ctx)
    assert len(list(state.iterate_in_state(ctx, MarginState.BANKRUPT))) == 3


def test_a_haircut_that_moves_alone_is_seen(monkeypatch):
    ctx = build_economy()
    fix_haircuts(monkeypatch, size_weight_ppm=PPM // 2)
    account = Account(OWNERS[0], 0, -1_000 * USD, {}, {LIENS[0]: 10**18})
    state.set_account(ctx, account)
    hooks.refresh_margin_states(ctx)
    assert state.get_margin_state(ctx, account.id)[0] is MarginState.BANKRUPT
    advance(ctx)
    fix_haircuts(monkeypatch, size_weight_ppm=PPM)
    hooks.refresh_margin_states(ctx)
    assert state.get_margin_state(ctx, account.id)[0] is MarginState.HEALTHY


@pytest.mark.parametrize("lines_per_account", [health.LINES_PER_ACCOUNT, 1])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_accounts_that_hedge_keep_nobody_from_being_looked_at(
    limit, lines_per_account, monkeypatch
):
    """What nets stays uncertain, with the worst of bounds, however often it is computed."""
    monkeypatch.setattr(health, "LINES_PER_ACCOUNT", lines_per_account)
    ctx = build_instruments()
    underlying = scenarios_pb2.Underlying(asset="ETH", preset="pmrm21")
    scenarios.set_underlying_state(ctx, scenarios_pb2.UnderlyingState(current=underlying))
    params = build_default_params()
    params.accounts_scanned_max = limit
    state.set_params(ctx, params)
    hedged = {MARKET: 50 * ETHER, FUTURE: -50 * ETHER}
    waiting = {MARKET: 20 * ETHER, FUTURE: -ETHER}
    sizes = {AccountId(ALICE, number): hedged for number in range(4)}
    sizes |= {AccountId(BOB, number): waiting for number in range(3)}
    for account_id, held in sizes.items():
        positions = {market: Position(size, size * 2_000) for market, size in held.items()}
        cash = (6_000 if held is hedged else 3_000) * 10**6
        mode = MarginMode.PORTFOLIO
        state.set_account(ctx, Account(*account_id, cash, positions, margin_mode=mode))
    for _ in range(80):
        advance(ctx, ETH=1_990, USDC=1)
        hooks.refresh_margin_states(ctx)
    for account_id, exact in compute_all(ctx).items():
        assert state.get_margin_state(ctx, account_id)[0] is exact
    assert exact is not MarginState.HEALTHY


def test_accounts_of_many_lines_count_as_several(monkeypatch):
    ctx = build_instruments()
    params = build_default_params()
    params.accounts_scanned_max = 4
    state.set_params(ctx, params)
    for number in range(6):
        positions = {MARKET: Position(ETHER, 2_000 * USD), FUTURE: Position(ETHER, 2_000 * USD)}
        state.set_account(ctx, Account(ALICE, number, -10_000 * USD, positions))
    shared = SharedReads()
    index = health.HealthIndex()
    index.follow(ctx, shared)
    assert len(index.find_candidates(ctx, 4, shared)) == 4
    monkeypatch.setattr(health, "LINES_PER_ACCOUNT", 1)
    assert len(index.find_candidates(ctx, 4, shared)) == 2
    assert len(index.find_candidates(ctx, 1, shared)) == 1
