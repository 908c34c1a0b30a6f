"""Yield-bearing collateral: base price times an exchange rate that cannot jump (row 11)."""

from dataclasses import replace

import pytest

from chain._pb.margin.collateral.v1 import query_pb2, tx_pb2
from chain.errors import ChainError
from chain.modules.accounts import margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId
from chain.modules.collateral import errors, genesis, handlers, hooks, prices, queries, state
from chain.modules.oracle import state as oracle
from chain.modules.oracle.errors import PriceNotUsable
from chain.modules.oracle.types import Action
from chain.units import NANOSECONDS, WAD
from tests.modules.economy import ALICE, USD, deliver
from tests.modules.margin_network import (
    AUTHORITY,
    ETH,
    build_asset,
    build_listing,
    build_network,
)

DAY_S = 86_400
ACCOUNT = AccountId(ALICE, 0)


def build_yielding(**changes):
    fields = {
        "asset": "STETH",
        "base_asset": "ETH",
        "exchange_rate_feed": "STETHRATE",
        "exchange_rate_wad": str(WAD),
        "rate_growth_day_ppm": 1_000,
        **changes,
    }
    return build_asset(**fields)


def set_rate(ctx, rate_wad, **changes):
    price = oracle.get_price(ctx, "ETH")
    feed = replace(price, asset="STETHRATE", price_wad=rate_wad, raw_median_wad=rate_wad, **changes)
    oracle.set_price(ctx, replace(feed, time_ns=ctx.time_ns))


def list_yielding(ctx, **changes):
    asset = build_yielding(**changes)
    deliver(ctx, handlers.handle_set_asset, tx_pb2.MsgSetAsset(authority=AUTHORITY, asset=asset))


def list_denom(ctx):
    listing = build_listing(asset="STETH", denom="asteth")
    deliver(
        ctx, handlers.handle_set_listing, tx_pb2.MsgSetListing(authority=AUTHORITY, listing=listing)
    )


def build_world(**changes):
    network = build_network()
    ctx = network.hub.ctx
    set_rate(ctx, WAD)
    list_yielding(ctx, **changes)
    list_denom(ctx)
    lien = state.compute_lien_key(state.require_route(ctx, "alpha"), "asteth")
    accounts.credit_lien(ctx, ACCOUNT, lien, 10 * ETH)
    hooks.end_block(ctx)
    return network


def pass_time(ctx, seconds):
    ctx.height += 1
    ctx.time_ns += seconds * NANOSECONDS


def get_line(ctx):
    (line,) = margin.compute_account_margin(ctx, accounts.require_account(ctx, ACCOUNT)).liens
    return line


def test_price_is_base_price_times_rate():
    ctx = build_world().hub.ctx
    assert get_line(ctx).price_wad == 2_000 * WAD
    pass_time(ctx, DAY_S)
    set_rate(ctx, WAD + WAD // 2_000)
    line = get_line(ctx)
    assert line.price_wad == 2_001 * WAD
    assert line.value.value_uusd == 20_010 * USD
    assert line.factors.asset == "STETH"


def test_the_rate_rises_by_its_cap_a_day_and_falls_at_once():
    ctx = build_world().hub.ctx
    set_rate(ctx, 2 * WAD)
    assert get_line(ctx).price_wad == 2_000 * WAD
    pass_time(ctx, DAY_S)
    assert get_line(ctx).price_wad == 2_002 * WAD
    pass_time(ctx, 9 * DAY_S)
    assert get_line(ctx).price_wad == 2_002 * WAD
    hooks.end_block(ctx)
    pass_time(ctx, DAY_S // 2)
    assert get_line(ctx).price_wad == 2_002 * WAD + 2_002 * WAD // 2_000
    set_rate(ctx, WAD // 2)
    assert get_line(ctx).price_wad == 1_000 * WAD


def test_unbonding_enters_delta_t_in_the_same_block():
    """Seven days at 80 %: L is at least row 3's sample."""
    quick = get_line(build_world().hub.ctx)
    ctx = build_world().hub.ctx
    list_yielding(ctx, unbonding_s=7 * DAY_S)
    slow = get_line(ctx)
    assert slow.factors.latency_ppm >= 332_364 > quick.factors.latency_ppm
    assert slow.factors.initial is None
    assert slow.value.counted_uusd < quick.value.counted_uusd


def test_without_a_rate_it_counts_nothing():
    ctx = build_world().hub.ctx
    ctx.kv("oracle").delete(b"\x01STETHRATE")
    assert get_line(ctx).value.counted_uusd == 0


def test_both_feeds_must_allow_a_withdrawal():
    ctx = build_world().hub.ctx
    assert prices.require_asset_price(ctx, "STETH", Action.LIQUIDATE).price_wad == 2_000 * WAD
    rate = oracle.get_price(ctx, "STETHRATE")
    oracle.set_price(ctx, replace(rate, time_ns=rate.time_ns - DAY_S * NANOSECONDS))
    with pytest.raises(PriceNotUsable):
        prices.require_asset_price(ctx, "STETH", Action.LIQUIDATE)


@pytest.mark.parametrize(
    "changes",
    [
        {"base_asset": "STETH"},
        {"exchange_rate_feed": "ETH"},
        {"exchange_rate_feed": "STETH"},
        {"exchange_rate_feed": ""},
        {"exchange_rate_wad": "0"},
        {"exchange_rate_wad": ""},
        {"rate_growth_day_ppm": 100_001},
        {"unbonding_s": 366 * DAY_S},
        {"base_asset": ""},
    ],
)
def test_terms_out_of_bounds_are_refused(changes):
    ctx = build_network().hub.ctx
    with pytest.raises(ChainError):
        list_yielding(ctx, **changes)
    assert state.get_asset(ctx, "STETH") is None


def test_a_base_that_bears_yield_itself_is_refused_and_a_base_never_changes():
    ctx = build_world().hub.ctx
    with pytest.raises(errors.InvalidListing):
        list_yielding(ctx, asset="WSTETH", base_asset="STETH", exchange_rate_feed="WRATE")
    with pytest.raises(errors.InvalidListing):
        list_yielding(ctx, base_asset="USDC")


def test_a_listing_needs_three_sources_of_every_feed_behind_it():
    network = build_network()
    ctx = network.hub.ctx
    list_yielding(ctx)
    with pytest.raises(errors.InvalidListing, match="STETHRATE has no price"):
        list_denom(ctx)
    set_rate(ctx, WAD, source_count=2)
    with pytest.raises(errors.InvalidListing, match="2 sources"):
        list_denom(ctx)
    set_rate(ctx, WAD, source_count=3)
    pass_time(ctx, 61)
    with pytest.raises(errors.InvalidListing, match="61 s old"):
        list_denom(ctx)
    set_rate(ctx, WAD)
    oracle.set_price(ctx, replace(oracle.get_price(ctx, "ETH"), time_ns=ctx.time_ns))
    list_denom(ctx)
    assert state.get_listing(ctx, "alpha", "asteth") is not None


def test_a_listing_needs_a_depth_figure():
    ctx = build_network().hub.ctx
    with pytest.raises(ChainError, match="daily_volume_wad"):
        list_yielding(ctx, daily_volume_wad="0")


def test_the_rate_is_shown_and_survives_an_export():
    ctx = build_world().hub.ctx
    request = query_pb2.QueryLiensRequest(owner=ALICE)
    (view,) = queries.query_liens(ctx, request).liens
    assert (view.exchange_rate_wad, view.price_wad) == (str(WAD), str(2_000 * WAD))
    exported = genesis.export_genesis(ctx)
    assert [rate.asset for rate in exported.exchange_rates] == ["STETH"]
    for key, _ in list(ctx.kv(state.STORE).iterate()):
        ctx.kv(state.STORE).delete(key)
    genesis.init_genesis(ctx, exported)
    assert genesis.export_genesis(ctx) == exported
