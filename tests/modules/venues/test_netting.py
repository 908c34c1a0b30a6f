"""What of the hub's positions nets with a venue's: perpetuals and futures alone (row 17)."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain._pb.margin.venues.v1 import venues_pb2
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import Account, AccountId, Position
from chain.modules.markets import state as markets
from chain.modules.markets.types import SettlementAverage
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import state as scenarios
from chain.modules.venues import state as venues
from chain.risk.netting import HUB
from chain.units import NANOSECONDS, PPM, WAD
from tests.modules.economy import ALICE, ETHER, MARKET, USD
from tests.modules.instruments import (
    CALL,
    EXPIRY_S,
    FUTURE,
    PUT,
    SPOT,
    WINDOW_S,
    build_future,
    build_option,
    build_put,
    build_spot,
    list_market,
)
from tests.modules.margin_network import build_network

VENUE = venues_pb2.Venue(
    venue_id="venue-alpha",
    route_id="alpha",
    basis_ppm=10_000,
    fresh_s=120,
    stale_s=240,
    markets=[
        venues_pb2.VenueMarket(
            market="ETH-PERP",
            asset="ETH",
            quantum_decimals=6,
            maintenance_ppm=50_000,
            initial_ppm=100_000,
        )
    ],
)


@pytest.fixture(scope="module")
def world():
    """A hub with a venue and a market of each kind, whose state nobody changes: branch from it."""
    network = build_network()
    network.advance(ETH=2_000, USDC=1)
    ctx = network.hub.ctx
    for market in (build_option(), build_put(), build_future(), build_spot()):
        list_market(ctx, market)
    venues.set_venue(ctx, VENUE)
    accounts.open_account(ctx, AccountId(ALICE, 0))
    return ctx


def build_account(**sizes):
    names = {"call": CALL, "put": PUT, "future": FUTURE, "perp": MARKET, "spot": SPOT}
    positions = {names[name]: Position(size) for name, size in sizes.items() if size}
    return Account(ALICE, 0, 100_000 * USD, positions)


def compute(ctx, account, leg_ether=0):
    """The margin with a leg at the venue, reported now."""
    child = ctx.branch()
    if leg_ether:
        leg = venues_pb2.Leg(
            venue_id=VENUE.venue_id,
            owner=ALICE,
            market="ETH-PERP",
            size_quantums=str(leg_ether * ETHER),
            pnl_uusd="0",
        )
        venues.add_leg(child, leg)
        report = venues_pb2.Report(venue_id=VENUE.venue_id, epoch=1, sent_at_ns=child.time_ns)
        venues.set_report(child, report)
    return accounts_margin.compute_account_margin(child, account, ())


def carry(ctx, rate_wad):
    """Futures are marked at the spot carried at this rate."""
    underlying = scenarios_pb2.Underlying(asset="ETH", preset="pmrm21", rate_wad=str(rate_wad))
    scenarios.set_underlying_state(ctx, scenarios_pb2.UnderlyingState(current=underlying))


@pytest.mark.parametrize("name", ["perp", "future"])
def test_a_linear_position_nets_with_a_leg(world, name):
    account = build_account(**{name: 10 * ETHER})
    margin = compute(world, account, -8)
    (row,) = margin.venues.underlyings
    hub = next(leg for leg in row.legs if leg.venue_id == HUB)
    assert hub.position.size == 10 * WAD
    assert (row.result.net, row.result.hedged) == (2 * WAD, 16 * WAD)
    alone = compute(world, account).maintenance_uusd
    assert margin.maintenance_uusd < alone < compute(world, account, 8).maintenance_uusd


@pytest.mark.parametrize("name", ["call", "put", "spot"])
@pytest.mark.parametrize("size", [10, -10])
def test_an_option_and_base_stand_beside_a_leg(world, name, size):
    """The leg asks what it asks alone, and takes nothing off what the position asks."""
    unit = WAD if name == "spot" else ETHER
    account = build_account(**{name: abs(size) * unit if name == "spot" else size * unit})
    margin = compute(world, account, -8)
    (row,) = margin.venues.underlyings
    assert [leg.venue_id for leg in row.legs] == [VENUE.venue_id]
    assert row.result.net == 8 * WAD
    leg_alone = compute(world, build_account(), -8).maintenance_uusd
    assert margin.maintenance_uusd == compute(world, account).maintenance_uusd + leg_alone


@pytest.mark.parametrize("side", [1, -1])
def test_what_a_settlement_average_has_fixed_hedges_no_leg(world, side):
    """A future nets as far as it still moves; a settled one neither hedges nor is asked."""
    account = build_account(future=side * 10 * ETHER)
    leg_alone = compute(world, build_account(), -side * 8).maintenance_uusd
    ctx = world.branch()
    ctx.time_ns = EXPIRY_S * NANOSECONDS - ctx.time_ns % NANOSECONDS
    price = oracle.get_price(ctx, "ETH")
    oracle.set_price(ctx, replace(price, time_ns=ctx.time_ns))
    window_ns = WINDOW_S * NANOSECONDS
    half = SettlementAverage(
        weighted_sum=2_000 * WAD * window_ns // 2, sampled_ns=window_ns // 2, sample_time_ns=1
    )
    markets.set_settlement(ctx, "ETH", EXPIRY_S, half)
    margin = compute(ctx, account, -side * 8)
    (row,) = margin.venues.underlyings
    assert (row.result.net, row.result.hedged) == (3 * WAD, 10 * WAD)
    half.price_wad = 2_000 * WAD
    markets.set_settlement(ctx, "ETH", EXPIRY_S, half)
    settled = compute(ctx, account, -side * 8)
    assert settled.maintenance_uusd == leg_alone


@settings(max_examples=60, deadline=None)
@given(
    st.integers(-30, 30),
    st.integers(-30, 30),
    st.integers(-40, 40).filter(bool),
    st.sampled_from([-WAD, -WAD // 10, 0, WAD // 10, WAD]),
)
def test_netting_never_asks_less_than_the_net_nor_more_than_each_venue_alone(
    world, perp, future, leg, rate_wad
):
    """At any carry. A future marked under the spot nets at the spot, which costs that much."""
    ctx = world.branch()
    carry(ctx, rate_wad)
    account = build_account(perp=perp * ETHER, future=future * ETHER)
    margin = compute(ctx, account, leg)
    alone = compute(ctx, account).maintenance_uusd
    venue_alone = compute(ctx, build_account(), leg).maintenance_uusd
    forwards = [line.price_wad for line in margin.positions if line.market == FUTURE]
    lower_wad = max([0, *(2_000 * WAD - forward for forward in forwards)])
    dearer_uusd = abs(future) * lower_wad * USD // WAD * 50_000 // PPM
    assert margin.maintenance_uusd <= alone + venue_alone + dearer_uusd + 3
    net = abs(perp + future + leg)
    gross = abs(perp) + abs(future) + abs(leg)
    hedged_uusd = (gross - net) * 2_000 * USD * VENUE.basis_ppm // PPM
    assert margin.maintenance_uusd >= net * 2_000 * USD * 50_000 // PPM + hedged_uusd
    assert margin.initial_uusd >= margin.maintenance_uusd
