from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import tx_pb2 as pb
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.modules.accounts import genesis, handlers, hooks, margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.errors import AccountLocked, InsufficientMargin, InvalidAccount
from chain.modules.accounts.types import AccountId, MarginMode, Position
from chain.modules.markets import state as markets
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import state as scenarios
from chain.risk.correlation import (
    TierState,
    compute_correlated_requirement,
    compute_reachable_requirement,
)
from chain.units import PPM, WAD
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    ETHER,
    MARKET,
    NOW,
    SELL,
    USD,
    advance,
    build_asset_params,
    build_economy,
    build_market,
    correlate,
    deposit,
    get_account,
    place,
)

PORTFOLIO = accounts_pb2.MARGIN_MODE_PORTFOLIO
STANDARD = accounts_pb2.MARGIN_MODE_STANDARD
ETH_LONG = 10 * ETHER
ID = AccountId(BOB, 0)
SET = scenarios_pb2.Underlying(asset="ETH", preset="pmrm21", stable_asset="USDC")


@pytest.fixture
def ctx():
    context = build_economy(assets=[build_asset_params(asset) for asset in ("BTC", "ETH", "USDC")])
    scenarios.set_underlying_state(context, scenarios_pb2.UnderlyingState(current=SET))
    deposit(context, ALICE, 500_000)
    deposit(context, BOB, 10_000)
    return context


def open_long(ctx, quantums=ETH_LONG):
    place(ctx, ALICE, SELL, quantums, 200_000)
    place(ctx, BOB, BUY, quantums, tif=NOW)


def set_mode(ctx, mode, owner=BOB):
    message = pb.MsgSetMarginMode(owner=owner, number=0, margin_mode=mode)
    with ctx.branch() as child:
        return handlers.handle_set_margin_mode(child, message)


def compute(ctx, **changes):
    account = get_account(ctx, BOB)
    account.margin_mode = MarginMode.PORTFOLIO
    for name, value in changes.items():
        setattr(account, name, value)
    return margin.compute_account_margin(ctx, account)


def attribute(ctx, result):
    return margin.attribute_requirements(ctx, result)


def list_market(ctx, market_id, asset):
    markets.set_market(ctx, build_market(id=market_id, asset=asset))


def test_a_long_is_asked_its_worst_scenario_and_the_static_charge(ctx):
    open_long(ctx)
    result = compute(ctx)
    # 10 ETH at 2,000: 15 % of 20,000 and 2 % of it; initial margin 1.3 times that.
    assert result.maintenance_uusd == 3_400 * USD
    assert result.initial_uusd == 4_420 * USD
    (line,) = result.portfolio.underlyings
    assert line.margin.scenarios[line.margin.worst].spot_wad == 85 * WAD // 100
    assert len(line.margin.scenarios) == 21
    assert attribute(ctx, result).positions[0].maintenance_uusd == result.maintenance_uusd


def test_equity_is_the_same_in_both_modes(ctx):
    open_long(ctx)
    standard = margin.compute_account_margin(ctx, get_account(ctx, BOB))
    assert standard.mode is MarginMode.STANDARD
    assert standard.portfolio is None
    assert compute(ctx).equity_uusd == standard.equity_uusd


def test_markets_of_one_underlying_net(ctx):
    list_market(ctx, "ETH-TWO", "ETH")
    positions = {MARKET: Position(10 * ETHER, 0), "ETH-TWO": Position(-10 * ETHER, 0)}
    assert compute(ctx, positions=positions).maintenance_uusd == 0
    hedged = compute(ctx, positions={**positions, "ETH-TWO": Position(-4 * ETHER, 0)})
    assert hedged.maintenance_uusd == 3_400 * USD * 6 // 10
    parts = {line.market: line.maintenance_uusd for line in attribute(ctx, hedged).positions}
    assert parts == {MARKET: 3_400 * USD * 2 // 10, "ETH-TWO": 0}


def test_an_underlying_without_a_set_is_asked_row_13(ctx):
    list_market(ctx, "BTC-USD", "BTC")
    price = oracle.get_price(ctx, "ETH")
    oracle.set_price(ctx, replace(price, asset="BTC"))
    positions = {"BTC-USD": Position(ETHER, 2_000 * USD)}
    account = get_account(ctx, BOB)
    account.positions = positions
    standard = margin.compute_account_margin(ctx, account)
    assert compute(ctx, positions=positions).maintenance_uusd == standard.maintenance_uusd > 0


def test_open_orders_count_at_their_worst_fill(ctx):
    open_long(ctx)
    before = compute(ctx)
    place(ctx, BOB, SELL, 5 * ETHER, 210_000)
    assert compute(ctx).initial_uusd == before.initial_uusd
    place(ctx, BOB, BUY, 2 * ETHER, 190_000)
    grown = compute(ctx)
    assert grown.initial_uusd == before.initial_uusd * 12 // 10
    assert grown.maintenance_uusd == before.maintenance_uusd


def test_a_low_confidence_is_charged_to_initial_margin_alone(ctx):
    open_long(ctx)
    before = compute(ctx)
    oracle.set_price(ctx, replace(oracle.get_price(ctx, "ETH"), confidence_ppm=500_000))
    charged = compute(ctx)
    # (1 - 0.5)·0.5·10·2,000
    assert charged.initial_uusd - before.initial_uusd == 5_000 * USD
    assert charged.maintenance_uusd == before.maintenance_uusd


def test_a_stable_below_its_peg_raises_initial_margin(ctx):
    open_long(ctx)
    oracle.set_price(ctx, replace(oracle.get_price(ctx, "USDC"), price_wad=93 * WAD // 100))
    # im_factor 1.3 + (0.98 - 0.93)·2
    assert compute(ctx).initial_uusd == 3_400 * USD * 14 // 10


@pytest.mark.parametrize("mode", [MarginMode.STANDARD, MarginMode.PORTFOLIO])
def test_the_volatility_tier_multiplies_initial_margin(ctx, mode):
    open_long(ctx)
    before = compute(ctx, margin_mode=mode)
    oracle.set_volatility_index(ctx, 1_400_000, TierState(3))
    after = compute(ctx, margin_mode=mode)
    assert after.initial_uusd == -(-before.initial_uusd * 13 // 10)
    assert after.maintenance_uusd == before.maintenance_uusd


def test_a_changed_set_ramps_into_maintenance_and_binds_initial_margin_at_once(ctx):
    open_long(ctx)
    before = compute(ctx)
    harsher = scenarios_pb2.Underlying()
    harsher.CopyFrom(SET)
    harsher.parameters.add(name="perp_pct_wad", value=str(12 * WAD // 100))
    end = scenarios.change_underlying(ctx, harsher)
    first = compute(ctx)
    assert first.maintenance_uusd == before.maintenance_uusd
    assert first.state is before.state
    assert first.initial_uusd == 5_400 * USD * 13 // 10
    ctx.time_ns += 1_800 * 10**9
    assert compute(ctx).maintenance_uusd == 4_400 * USD
    ctx.time_ns = end * 10**9
    assert compute(ctx).maintenance_uusd == 5_400 * USD


def test_a_first_set_ramps_from_row_13(ctx):
    open_long(ctx)
    standard = margin.compute_account_margin(ctx, get_account(ctx, BOB)).maintenance_uusd
    start, end = ctx.time_s, ctx.time_s + 3_600
    scenarios.set_underlying_state(
        ctx, scenarios_pb2.UnderlyingState(current=SET, ramp_start_s=start, ramp_end_s=end)
    )
    assert compute(ctx).maintenance_uusd == standard


def hold(ctx, **units):
    """The requirement of whole units of BTC and ETH at 2,000 each, without orders."""
    price = oracle.get_price(ctx, "ETH")
    oracle.set_price(ctx, replace(price, asset="BTC"))
    list_market(ctx, "BTC-USD", "BTC")
    btc = scenarios_pb2.Underlying(asset="BTC", preset="pmrm21", stable_asset="USDC")
    scenarios.set_underlying_state(ctx, scenarios_pb2.UnderlyingState(current=btc))
    names = {"btc": "BTC-USD", "eth": MARKET}
    positions = {
        names[asset]: Position(size * ETHER, size * 2_000 * USD) for asset, size in units.items()
    }
    return compute(ctx, positions=positions)


def test_underlyings_without_a_correlation_add_up(ctx):
    assert hold(ctx, btc=3, eth=-4).maintenance_uusd == 7 * 340 * USD


@pytest.mark.parametrize(
    ("rho_ppm", "btc", "eth", "units_e6"),
    [
        (0, 3, 4, 5_000_000),
        (PPM, 3, 4, 7_000_000),
        (PPM, 3, -4, 2_100_000),  # 30 % of 7: never less
        (500_000, 8, -3, 7_000_000),
        (500_000, 8, -8, 8_000_000),  # b = 2·rho·a: no gain left
        (500_000, -8, 9, 8_544_004),
    ],
)
def test_losses_of_underlyings_are_correlated(ctx, rho_ppm, btc, eth, units_e6):
    correlate(ctx, rho_ppm)
    result = hold(ctx, btc=btc, eth=eth)
    assert -(-result.maintenance_uusd // 340) == pytest.approx(units_e6, abs=1)
    assert result.portfolio.correlated_assets == ("BTC", "ETH")
    assert len(result.positions) == 2


def test_an_order_in_one_underlying_counts_beside_its_hedge_in_another(ctx):
    correlate(ctx, 900_000)
    before, filled = hold(ctx, btc=5, eth=-5), hold(ctx, btc=5, eth=-7)
    place(ctx, BOB, SELL, 2 * ETHER, 210_000)
    after = hold(ctx, btc=5, eth=-5)
    assert after.maintenance_uusd == before.maintenance_uusd
    assert before.initial_uusd < filled.initial_uusd <= after.initial_uusd


def test_the_owner_chooses_the_mode_and_it_is_stored(ctx):
    open_long(ctx)
    ctx.events.clear()
    set_mode(ctx, PORTFOLIO)
    assert get_account(ctx, BOB).margin_mode is MarginMode.PORTFOLIO
    assert [event.type for event in ctx.events] == ["margin_mode_set"]
    exported = genesis.export_genesis(ctx)
    modes = {account.owner: account.margin_mode for account in exported.accounts}
    assert modes == {BOB: PORTFOLIO, ALICE: STANDARD}
    set_mode(ctx, STANDARD)
    assert get_account(ctx, BOB).margin_mode is MarginMode.STANDARD


def test_a_mode_in_which_the_account_is_not_healthy_is_refused(ctx):
    open_long(ctx, 40 * ETHER)
    with pytest.raises(InsufficientMargin, match="initial"):
        set_mode(ctx, PORTFOLIO)
    assert get_account(ctx, BOB).margin_mode is MarginMode.STANDARD


@pytest.mark.parametrize("mode", [0, 3])
def test_an_unknown_mode_is_refused(ctx, mode):
    with pytest.raises(InvalidAccount, match="margin_mode"):
        set_mode(ctx, mode)


def test_a_locked_account_keeps_its_mode(ctx):
    accounts.lock_account(ctx, ID)
    with pytest.raises(AccountLocked):
        set_mode(ctx, PORTFOLIO)


def test_a_genesis_account_without_a_mode_is_standard(ctx):
    message = accounts.encode_account(get_account(ctx, BOB))
    message.margin_mode = 0
    assert accounts.decode_account(message).margin_mode is MarginMode.STANDARD


def test_the_block_hook_finds_a_portfolio_account_at_each_price(ctx):
    open_long(ctx)
    set_mode(ctx, PORTFOLIO)
    for price in (2_000, 1_600, 1_300, 2_400):
        advance(ctx, ETH=price, USDC=1)
        hooks.refresh_margin_states(ctx)
        recorded, _ = accounts.get_margin_state(ctx, ID)
        assert recorded is margin.compute_account_margin(ctx, get_account(ctx, BOB)).state


@given(st.integers(-1_000, 1_000), st.integers(-1_000, 1_000))
@settings(max_examples=30, deadline=None)
def test_netting_never_raises_above_gross_and_a_hedge_never_raises(first, second):
    ctx = build_economy()
    scenarios.set_underlying_state(ctx, scenarios_pb2.UnderlyingState(current=SET))
    list_market(ctx, "ETH-TWO", "ETH")
    deposit(ctx, BOB, 10_000)

    def ask(**sizes):
        positions = {name: Position(size * 10**5) for name, size in sizes.items() if size}
        return compute(ctx, positions=positions).maintenance_uusd

    both = ask(**{MARKET: first, "ETH-TWO": second})
    alone, other = ask(**{MARKET: first}), ask(**{"ETH-TWO": second})
    assert both <= alone + other
    assert both == ask(**{MARKET: second, "ETH-TWO": first})
    if first * second < 0 and abs(second) <= abs(first):
        assert both <= alone


@st.composite
def books(draw):
    size = draw(st.integers(1, 4))
    factors = draw(
        st.lists(st.lists(st.integers(-9, 9), min_size=2, max_size=2), min_size=size, max_size=size)
    )
    # Signs of one shared factor: rank one, hence positive semi-definite.
    signs = [1 if a >= b else -1 for a, b in factors]
    share = draw(st.integers(0, PPM))
    matrix = [
        [PPM if i == j else share * signs[i] * signs[j] for j in range(size)] for i in range(size)
    ]
    numbers = st.lists(st.integers(-(10**12), 10**12), min_size=size, max_size=size)
    return matrix, draw(numbers), draw(numbers), draw(numbers)


@given(books(), st.data())
def test_no_fill_of_open_orders_passes_the_reachable_requirement(book, data):
    matrix, now, low, high = book
    ends = list(zip(low, high, strict=True))
    bound = compute_reachable_requirement(matrix, now, ends)
    chosen = [
        data.draw(st.sampled_from((loss, *pair))) for loss, pair in zip(now, ends, strict=True)
    ]
    assert compute_correlated_requirement(matrix, chosen) <= bound
    reached = [max(abs(loss), *map(abs, pair)) for loss, pair in zip(now, ends, strict=True)]
    assert bound <= sum(reached)
