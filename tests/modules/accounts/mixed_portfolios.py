"""Accounts with positions and orders in every kind of instrument of two underlyings."""

from dataclasses import replace

from hypothesis import strategies as st

from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.modules.accounts import margin
from chain.modules.accounts.types import Account, MarginMode, Position
from chain.modules.markets import state as markets
from chain.modules.markets.types import RestingOrder, Side
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import state as scenarios
from chain.units import WAD
from tests.modules.economy import (
    BOB,
    START_NS,
    USD,
    build_asset_params,
    build_economy,
    build_market,
    correlate,
)
from tests.modules.instruments import build_future, build_option, build_spot

START_S = START_NS // 10**9
MONTH_S = START_S + 30 * 86_400
QUARTER_S = START_S + 90 * 86_400
PUT = markets_pb2.OPTION_KIND_PUT
PRESETS = ("pmrm21", "scan24", "span16")


def list_markets(ctx):
    """Of ETH: two perpetuals, spot, two futures, options of two expiries; of BTC some of these."""
    found = [
        build_market(id="ETH-TWO"),
        build_spot(),
        build_future(id="ETH-F1", expiry_time_s=MONTH_S),
        build_future(id="ETH-F2", expiry_time_s=QUARTER_S),
        build_market(id="BTC-USD", asset="BTC"),
        build_spot(id="BTC-SPOT", asset="BTC", denom="abtc"),
        build_option("BTC-C", 50_000, asset="BTC", expiry_time_s=MONTH_S),
        build_option("BTC-P", 45_000, PUT, asset="BTC", expiry_time_s=MONTH_S),
    ]
    for expiry, name in ((MONTH_S, "1"), (QUARTER_S, "2")):
        for strike in (1_600, 2_000, 2_500):
            found.append(build_option(f"ETH-C{strike}X{name}", strike, expiry_time_s=expiry))
            found.append(build_option(f"ETH-P{strike}X{name}", strike, PUT, expiry_time_s=expiry))
    for market in found:
        markets.set_market(ctx, market)
    return [market.id for market in found]


def build_mixed_economy(preset="pmrm21", correlation_ppm=600_000, **quote):
    """The markets, priced, with scenario sets of both underlyings and their correlation."""
    ctx = build_economy(assets=[build_asset_params(asset) for asset in ("BTC", "ETH", "USDC")])
    list_markets(ctx)
    price = oracle.get_price(ctx, "ETH")
    oracle.set_price(ctx, replace(price, asset="BTC", price_wad=50_000 * WAD + 1))
    for asset in ("BTC", "ETH"):
        underlying = scenarios_pb2.Underlying(
            asset=asset, preset=preset, stable_asset="USDC", **quote
        )
        state = scenarios_pb2.UnderlyingState(current=underlying)
        scenarios.set_underlying_state(ctx, state)
    correlate(ctx, correlation_ppm)
    return ctx


def get_market_ids(ctx):
    return [market.id for market in markets.iterate_markets(ctx)]


@st.composite
def holdings(draw, ctx, *, orders=True):
    """(positions, orders) over a few markets; sizes of thousandths, costs and limits at random."""
    ids = get_market_ids(ctx)
    chosen = draw(st.lists(st.sampled_from(ids), min_size=1, max_size=6, unique=True))
    positions, resting = {}, []
    for market_id in chosen:
        market = markets.require_market(ctx, market_id)
        size = draw(st.integers(-20_000, 20_000)) * market.step_quantums
        if market.kind == markets_pb2.INSTRUMENT_KIND_SPOT:
            size, cost = abs(size), 0
        else:
            cost = draw(st.integers(-(10**10), 10**10))
        if size:
            positions[market_id] = Position(size, cost)
        for _ in range(draw(st.integers(0, 2)) if orders else 0):
            resting.append(
                RestingOrder(
                    id=len(resting) + 1,
                    market=market_id,
                    side=draw(st.sampled_from(list(Side))),
                    ticks=draw(st.integers(1, 300_000)),
                    remaining_steps=draw(st.integers(1, 20_000)),
                    size_steps=20_000,
                    reduce_only=draw(st.sampled_from((False, False, True))),
                )
            )
    return positions, resting


def compute(ctx, positions, orders=(), mode=MarginMode.STANDARD, **changes):
    """The margin of an account with these positions and 1,000,000 USD."""
    account = Account(BOB, 0, 10**6 * USD, dict(positions), margin_mode=mode, **changes)
    return margin.compute_account_margin(ctx, account, orders)
