"""Haircuts of many liens: what they share is read once and comes out as if read for each."""

from dataclasses import replace

import pytest

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain._pb.margin.collateral.v1 import tx_pb2
from chain._pb.margin.oracle.v1 import oracle_pb2
from chain.modules.accounts import margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId, LienKey
from chain.modules.collateral import handlers, measurement, prices, state
from chain.modules.collateral.errors import InvalidListing
from chain.modules.oracle import state as oracle
from chain.risk.haircut import compute_latency_premium_ppm
from chain.runtime.gas import GasMeter
from chain.units import NANOSECONDS, WAD
from tests.modules.margin_network import ALICE, AUTHORITY, ETH, build_asset, build_network

LIENS = 4


def build_liens():
    """A hub on which one account holds one asset under several denoms of a route."""
    network = build_network()
    network.deposit(10 * ETH)
    ctx = network.hub.ctx
    account_id = AccountId(ALICE, 0)
    key = next(iter(accounts.require_account(ctx, account_id).liens))
    for index in range(1, LIENS):
        listing = state.require_listing(ctx, key.route_id, key.denom)
        listing.denom = f"denom{index}"
        state.set_listing(ctx, listing)
        lien = LienKey(key.chain_id, listing.denom, key.vault, key.route_id)
        accounts.credit_lien(ctx, account_id, lien, index * ETH)
    return ctx, accounts.require_account(ctx, account_id)


def test_shared_reads_change_no_haircut():
    ctx, account = build_liens()
    shared = measurement.SharedReads()
    assert len(account.liens) == LIENS
    for lien, amount in account.liens.items():
        alone = measurement.get_lien_haircut(ctx, ALICE, lien, amount)
        assert measurement.get_lien_haircut(ctx, ALICE, lien, amount, shared) == alone
        assert alone.size_weight_ppm
        assert alone.security_ppm


def test_a_further_lien_costs_little():
    ctx, account = build_liens()

    def compute_gas(count: int) -> int:
        child = ctx.branch()
        child.gas = GasMeter()
        account.liens = dict(sorted(liens.items())[:count])
        margin.compute_account_margin(child, account)
        return child.gas.used

    liens = account.liens
    none, one, all_of_them = compute_gas(0), compute_gas(1), compute_gas(LIENS)
    assert (all_of_them - one) * 2 < (one - none) * (LIENS - 1)


def test_an_unlisted_denom_and_an_unknown_route_count_nothing():
    ctx, account = build_liens()
    known = next(iter(account.liens))
    shared = measurement.SharedReads()
    for lien in (known._replace(denom="other"), known._replace(route_id="nowhere")):
        factors = measurement.get_lien_haircut(ctx, ALICE, lien, ETH, shared)
        assert (factors.asset, factors.recognized_amount) == ("", 0)


def test_delta_t_is_the_sum_of_its_measured_parts_in_the_same_block():
    """Row 3: proof age, finality, relay p95 and auction duration each move L at once."""
    network = build_network()
    network.deposit(10 * ETH)
    ctx = network.hub.ctx

    def measure():
        route = state.require_route(ctx, "alpha")
        account = accounts.require_account(ctx, AccountId(ALICE, 0))
        (line,) = margin.compute_account_margin(ctx, account).liens
        assert line.factors.initial is None
        return measurement.get_route_measure(ctx, route), line.factors.latency_ppm

    def add_finality():
        route = state.require_route(ctx, "alpha")
        route.finality_s += 3_600
        state.set_route(ctx, route)

    def add_auction():
        route = state.require_route(ctx, "alpha")
        route.auction_duration_s += 3_600
        state.set_route(ctx, route)

    def add_proof_age():
        ctx.time_ns += 3_600 * NANOSECONDS

    def add_relay():
        for _ in range(state.get_params(ctx).latency_samples_min):
            ctx.height += 1
            route = state.require_route(ctx, "alpha")
            measurement.record_sample(ctx, route, 3_600 * NANOSECONDS)

    for change in (add_finality, add_auction, add_proof_age, add_relay):
        before, premium = measure()
        change()
        after, risen = measure()
        assert after.delta_t_ms >= before.delta_t_ms + 3_000_000
        assert risen > premium
        relay = max(after.relay_p95_ms, after.heartbeat_age_ms)
        route = state.require_route(ctx, "alpha")
        assert after.delta_t_ms == (
            after.proof_age_ms + route.finality_s * 1_000 + relay + after.auction_duration_ms
        )


def test_below_twenty_samples_the_prior_holds_and_then_the_95th_percentile():
    ctx = build_network().hub.ctx
    route = state.require_route(ctx, "alpha")
    for count in range(20):
        assert measurement.get_route_measure(ctx, route).samples == count
        assert measurement.get_route_measure(ctx, route).relay_p95_ms == 30_000
        ctx.height += 1
        measurement.record_sample(ctx, route, 2 * NANOSECONDS)
        measurement.record_sample(ctx, route, 3_600 * NANOSECONDS)
    assert 2_000 <= measurement.get_route_measure(ctx, route).relay_p95_ms <= 2_500


def test_auctions_are_measured_and_never_below_the_governed_figure():
    ctx = build_network().hub.ctx
    route = state.require_route(ctx, "alpha")
    governed = route.auction_duration_s * 1_000

    def measure():
        return measurement.get_route_measure(ctx, route).auction_duration_ms

    for _ in range(25):
        ctx.height += 1
        measurement.record_auction(ctx, "alpha", NANOSECONDS)
    assert measure() == governed
    for _ in range(25):
        ctx.height += 1
        measurement.record_auction(ctx, "alpha", 10 * governed * 1_000_000)
    assert measure() >= 10 * governed


def test_dust_opens_no_line_of_an_account():
    """Row 8: what a stranger sends must be worth a line, and may then add to it."""
    network = build_network()
    ctx = network.hub.ctx
    params = state.pb.Params()
    params.CopyFrom(state.get_params(ctx))
    params.line_value_min_uusd = str(2_000 * 10**6)
    state.PARAMS.set(ctx, params)
    refused = network.deposit(ETH - 1)
    assert (refused.codespace, refused.code) == ("collateral", 8)
    assert accounts.get_account(ctx, AccountId(ALICE, 0)) is None
    assert network.deposit(ETH).code == 0
    assert network.deposit(ETH // 100).code == 0
    (amount,) = accounts.require_account(ctx, AccountId(ALICE, 0)).liens.values()
    assert amount == ETH + ETH // 100


def test_assets_are_bounded():
    ctx = build_network().hub.ctx
    params = state.pb.Params()
    params.CopyFrom(state.get_params(ctx))
    params.asset_count_max = 1
    state.PARAMS.set(ctx, params)
    message = tx_pb2.MsgSetAsset(authority=AUTHORITY, asset=build_asset(asset="BTC"))
    with pytest.raises(InvalidListing):
        handlers.handle_set_asset(ctx, message)


@pytest.mark.parametrize("numerator", [1, 2])
def test_bridge_health_is_part_of_the_liquidation_threshold(numerator):
    """Row 5: a client past a step of its age lowers the maintenance equity in that block."""
    network = build_network()
    network.deposit(10 * ETH)
    ctx = network.hub.ctx
    account = accounts.require_account(ctx, AccountId(ALICE, 0))
    trusting = state.require_route(ctx, "alpha").trust.trusting_period_s * NANOSECONDS
    ctx.time_ns += (trusting // 2, trusting * 3 // 4)[numerator - 1]
    (at,) = margin.compute_account_margin(ctx, account).liens
    ctx.time_ns += 1
    (past,) = margin.compute_account_margin(ctx, account).liens
    step = (20_000, 30_000)[numerator - 1]
    assert past.factors.security_ppm == at.factors.security_ppm + step
    assert past.value.counted_uusd < at.value.counted_uusd


def test_the_slowest_route_of_an_account_is_what_its_options_are_discounted_by():
    """Row 4: L of the largest delta_t over the account's liens, and 0 without any."""
    network = build_network()
    network.deposit(10 * ETH)
    ctx = network.hub.ctx
    account = accounts.require_account(ctx, AccountId(ALICE, 0))
    (known,) = account.liens
    volatility = 80 * WAD // 100
    route = state.require_route(ctx, "alpha")
    slow = pb.Route()
    slow.CopyFrom(route)
    slow.route_id, slow.finality_s = "slow", route.finality_s + 7_200
    state.set_route(ctx, slow)

    def premium(of):
        measure = measurement.get_route_measure(ctx, of)
        return compute_latency_premium_ppm(volatility, measure.delta_t_market_s)

    def latency(*, shared=None):
        return measurement.get_account_latency_ppm(ctx, account, volatility, shared)

    assert latency() == premium(route)
    account.liens[known._replace(route_id="slow")] = 0
    assert latency() == premium(route), "a lien of nothing secures nothing"
    account.liens[known._replace(route_id="slow")] = 1
    assert latency() == premium(slow) > premium(route)
    shared = measurement.SharedReads()
    assert latency(shared=shared) == latency(shared=shared) == premium(slow)
    account.liens = {known._replace(route_id="nowhere"): 1}
    assert latency() == 0
    account.liens = {}
    assert latency() == 0


def test_a_listing_needs_live_sources_and_a_depth_figure():
    """Row 8; what the validators' feeds say of a day's volume can only lower the governed one."""
    ctx = build_network().hub.ctx
    asset = build_asset(daily_volume_wad=str(1_000_000 * WAD))
    prices.validate_feed(ctx, asset)
    assert prices.get_daily_volume_wad(ctx, asset) == 1_000_000 * WAD
    params = oracle_pb2.Params()
    params.CopyFrom(oracle.get_params(ctx))
    params.assets[0].depth_usd_max = params.assets[0].volume_usd_max = 10**15
    oracle.set_params(ctx, params)
    assert prices.get_daily_volume_wad(ctx, asset) == 1_000_000 * WAD

    def say(volume_usd):
        oracle.set_depth_record(
            ctx, oracle_pb2.Depth(asset="ETH", depth_usd=1, volume_usd=volume_usd)
        )

    say(3_000_001)
    # Floored: 3,000,001 USD at 2,000 USD are 1,500.0005 ETH.
    assert prices.get_daily_volume_wad(ctx, asset) == 15_000_005 * WAD // 10_000
    with pytest.raises(InvalidListing, match="depth figure"):
        prices.validate_feed(ctx, build_asset(daily_volume_wad="1"))
    price = oracle.get_price(ctx, "ETH")
    oracle.set_price(ctx, replace(price, source_count=2))
    with pytest.raises(InvalidListing, match="2 sources price ETH, a listing needs 3"):
        prices.validate_feed(ctx, asset)
