"""Row 17 over three chains: positions of two venues, proven to the hub, net in one account."""

import contextlib

import pytest
from google.protobuf.json_format import MessageToDict

from chain._pb.margin.accounts.v1 import query_pb2 as accounts_query
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.collateral.v1 import collateral_pb2
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain._pb.margin.desk.v1 import query_pb2 as desk_query
from chain._pb.margin.oracle.v1 import oracle_pb2
from chain._pb.margin.packet.v1 import packet_pb2
from chain._pb.margin.params.v1 import params_pb2
from chain._pb.margin.vault.v1 import tx_pb2 as vault_tx
from chain._pb.margin.vault.v1 import vault_pb2
from chain._pb.margin.venue.v1 import query_pb2 as venue_query
from chain._pb.margin.venue.v1 import tx_pb2 as venue_tx
from chain._pb.margin.venues.v1 import query_pb2, tx_pb2, venues_pb2
from chain.hub import HUB
from chain.modules.council.types import authority_address
from chain.modules.oracle.params import build_default_params
from chain.modules.venue.state import build_default_params as build_venue_params
from chain.runtime.router import pack
from chain.spoke import SPOKE
from chain.units import WAD
from tests.modules.economy import USD, build_asset_params
from tests.support.testchain import Account
from tests.twochain.chain import Clock, IbcChain, TxRefused
from tests.twochain.path import Endpoint, Path
from tests.twochain.test_margin import (
    COINS,
    CONFIG,
    council_state,
    get_place,
    get_trust,
    read_packet,
    relay,
)

BTC = 10**8
AUTHORITY = authority_address()
ALICE = Account.named("alice").address


def build_hub(clock):
    params = build_default_params()
    params.assets.append(build_asset_params("BTC", volatility_initial_wad=str(4 * WAD // 10)))
    price = oracle_pb2.Price(
        asset="BTC",
        price_wad=str(50_000 * WAD),
        raw_median_wad=str(50_000 * WAD),
        time_ns=clock.now_ns,
        height=1,
        confidence_ppm=1_000_000,
        source_count=3,
    )
    oracle = oracle_pb2.GenesisState(params=params, prices=[price])
    state = {
        "council": council_state(),
        "oracle": MessageToDict(oracle, preserving_proto_field_name=True),
    }
    coins = {**COINS, "uusd": 10**12}
    return IbcChain(clock, "hub-1", HUB, accounts={"alice": coins}, app_state=state)


def build_spoke(clock, chain_id):
    params = build_venue_params()
    params.operator = ALICE
    venue = {"params": MessageToDict(params, preserving_proto_field_name=True), "next_epoch": "1"}
    state = {"council": council_state(), "venue": venue}
    return IbcChain(clock, chain_id, SPOKE, accounts={"alice": COINS}, app_state=state)


def register(path, route_id):
    """The councils name the channel; the hub's names the venue behind it."""
    hub = vault_pb2.Hub(**get_place(path.b), **get_trust(path.b))
    path.b.chain.decide(vault_tx.MsgRegisterHub(authority=AUTHORITY, hub=hub))
    route = collateral_pb2.Route(
        route_id=route_id,
        vault="main",
        route_class=collateral_pb2.ROUTE_CLASS_LIGHT_CLIENT,
        trust=collateral_pb2.TrustParameters(**get_trust(path.a)),
        heartbeat_interval_s=86_400,
        value_cap_uusd=str(10**15),
        stake_uusd=str(10**16),
        validators_for_third=4,
        **get_place(path.a),
    )
    venue = venues_pb2.Venue(
        venue_id=f"venue-{route_id}",
        route_id=route_id,
        basis_ppm=10_000,
        fresh_s=120,
        stale_s=240,
        markets=[
            venues_pb2.VenueMarket(
                market="BTC-PERP",
                asset="BTC",
                quantum_decimals=8,
                maintenance_ppm=50_000,
                initial_ppm=100_000,
            )
        ],
    )
    path.a.chain.decide(
        collateral_tx.MsgRegisterRoute(authority=AUTHORITY, route=route),
        tx_pb2.MsgSetVenue(authority=AUTHORITY, venue=venue),
    )
    path.a.chain.deliver(tx_pb2.MsgJoinVenue(owner=ALICE, venue_id=venue.venue_id))


def build_world(cash_usd=100_000):
    clock = Clock()
    hub = build_hub(clock)
    hub.deliver(
        accounts_tx.MsgDepositCash(sender=ALICE, owner=ALICE, amount_uusd=str(cash_usd * USD))
    )
    paths = []
    for route_id in ("alpha", "beta"):
        spoke = build_spoke(clock, f"{route_id}-1")
        path = Path(Endpoint(hub, channel_config=CONFIG), Endpoint(spoke, channel_config=CONFIG))
        register(path.setup(), route_id)
        paths.append(path)
    return paths


def send(path, size, pnl=0, *, is_request=False):
    row = packet_pb2.VenuePosition(
        owner=ALICE, market="BTC-PERP", size_quantums=str(size), pnl_uusd=str(pnl)
    )
    message = venue_tx.MsgReportPositions(
        operator=ALICE, positions=[row] if size else [], is_request=is_request
    )
    return read_packet(path.b.chain.deliver(message))


def report(path, size, pnl=0, *, is_request=False):
    relay(path.b, send(path, size, pnl, is_request=is_request))


def ask(chain, path, request, response):
    return chain.query(path, request, response)


def get_netting(hub):
    response = ask(
        hub,
        "/margin.venues.v1.Query/Netting",
        query_pb2.QueryNettingRequest(owner=ALICE),
        query_pb2.QueryNettingResponse,
    )
    return response.underlyings[0] if response.underlyings else None


def get_margin(hub):
    return ask(
        hub,
        "/margin.accounts.v1.Query/Margin",
        accounts_query.QueryMarginRequest(owner=ALICE),
        accounts_query.QueryMarginResponse,
    ).margin


def get_acknowledged(path):
    return ask(
        path.b.chain,
        "/margin.venue.v1.Query/Reports",
        venue_query.QueryReportsRequest(),
        venue_query.QueryReportsResponse,
    )


def test_the_sample_of_row_17_over_two_venues():
    alpha, beta = build_world()
    hub = alpha.a.chain
    report(alpha, 10 * BTC)
    assert get_margin(hub).maintenance_uusd == str(25_000 * USD)
    report(beta, -8 * BTC)
    netted = get_netting(hub)
    assert netted.requirement_uusd == str(13_000 * USD)
    assert netted.siloed_uusd == str(45_000 * USD)
    assert (netted.net_wad, netted.hedged_wad) == (str(2 * WAD), str(16 * WAD))
    assert get_margin(hub).maintenance_uusd == str(13_000 * USD)
    assert max(int(leg.latency_ppm) for leg in netted.legs) <= int(netted.basis_ppm) == 10_000
    used = ask(
        hub,
        "/margin.desk.v1.Query/Utilisation",
        desk_query.QueryUtilisationRequest(owner=ALICE),
        desk_query.QueryUtilisationResponse,
    )
    assert used.siloed_requirement_uusd == str(45_000 * USD)
    assert used.saving_uusd == str(32_000 * USD)
    assert [silo.chain_id for silo in used.silos] == ["alpha-1", "beta-1", "hub-1"]


def test_a_report_that_has_not_arrived_does_not_net():
    alpha, beta = build_world()
    report(alpha, 10 * BTC)
    packet = send(beta, -8 * BTC)
    assert get_margin(alpha.a.chain).maintenance_uusd == str(25_000 * USD)
    assert get_acknowledged(beta).acknowledged.epoch == 0
    relay(beta.b, packet)
    assert get_margin(alpha.a.chain).maintenance_uusd == str(13_000 * USD)
    assert get_acknowledged(beta).acknowledged.epoch == 1


def test_an_older_epoch_is_acknowledged_and_ignored():
    alpha, beta = build_world()
    report(alpha, 10 * BTC)
    older, newer = send(beta, -4 * BTC), send(beta, -8 * BTC)
    relay(beta.b, newer)
    relay(beta.b, older)
    assert get_margin(alpha.a.chain).maintenance_uusd == str(13_000 * USD)
    reports = get_acknowledged(beta)
    assert (reports.acknowledged.epoch, len(reports.pending)) == (2, 0)


def test_netting_ramps_out_as_a_report_ages():
    alpha, beta = build_world()
    hub = alpha.a.chain
    report(alpha, 10 * BTC)
    report(beta, -8 * BTC)
    seen = [13_000 * USD]
    for _ in range(3):
        hub.clock.advance(60 * 10**9)
        hub.next_block()
        seen.append(int(get_margin(hub).maintenance_uusd))
    assert seen[1] == seen[0] < seen[2] < seen[3] < 45_000 * USD
    hub.clock.advance(120 * 10**9)
    hub.next_block()
    assert get_margin(hub).maintenance_uusd == str(45_000 * USD)
    report(alpha, 10 * BTC)
    report(beta, -8 * BTC)
    assert get_margin(hub).maintenance_uusd == str(13_000 * USD)


def test_netting_ramps_out_over_a_route_that_is_paused():
    alpha, beta = build_world()
    hub = alpha.a.chain
    report(alpha, 10 * BTC)
    report(beta, -8 * BTC)
    hub.decide(collateral_tx.MsgPauseRoute(sender=AUTHORITY, route_id="beta"))
    hub.clock.advance(60 * 10**9)
    hub.next_block()
    assert 13_000 * USD < int(get_margin(hub).maintenance_uusd) < 45_000 * USD


def test_a_leg_closes_only_after_the_hub_has_acknowledged():
    """10,000 USD carry the hedged book but not 10 BTC alone."""
    alpha, beta = build_world(cash_usd=20_000)
    hub = alpha.a.chain
    report(beta, -2 * BTC)
    report(alpha, 10 * BTC)
    report(beta, -8 * BTC)
    with pytest.raises(TxRefused):
        send(beta, 0)
    report(beta, 0, is_request=True)
    held = get_acknowledged(beta).acknowledged.positions
    assert [row.size_quantums for row in held] == [str(-8 * BTC)]
    assert get_margin(hub).maintenance_uusd == str(13_000 * USD)
    hub.deliver(
        accounts_tx.MsgDepositCash(sender=ALICE, owner=ALICE, amount_uusd=str(90_000 * USD))
    )
    report(beta, 0, is_request=True)
    assert not get_acknowledged(beta).acknowledged.positions
    assert get_margin(hub).maintenance_uusd == str(25_000 * USD)


def test_a_change_that_lowers_the_requirement_is_never_refused():
    alpha, beta = build_world(cash_usd=1_000)
    report(alpha, 10 * BTC)
    report(beta, -8 * BTC)
    report(alpha, 8 * BTC, is_request=True)
    assert get_acknowledged(alpha).acknowledged.epoch == 2
    assert get_margin(alpha.a.chain).maintenance_uusd == str(8_000 * USD)


def test_losses_count_at_once_and_profits_not_for_new_risk():
    alpha, beta = build_world()
    hub = alpha.a.chain
    before = get_margin(hub)
    report(alpha, 10 * BTC, pnl=-700 * USD)
    after = get_margin(hub)
    assert int(after.equity_uusd) == int(before.equity_uusd) - 700 * USD
    assert int(after.equity_initial_uusd) == int(before.equity_initial_uusd) - 700 * USD
    report(beta, -8 * BTC, pnl=600 * USD)
    # More profit than loss over a venue would be made of nothing.
    assert get_acknowledged(beta).acknowledged.epoch == 0
    assert get_margin(hub).equity_uusd == after.equity_uusd


@pytest.mark.parametrize(
    "changes",
    [
        {"market": "ETH-PERP"},
        {"account": 5},
        {"size_quantums": "1e5"},
        {"size_quantums": ""},
        {"owner": "margin1"},
    ],
)
def test_bad_rows_are_refused_by_one_end_or_the_other(changes):
    alpha, _ = build_world()
    fields = {"owner": ALICE, "market": "BTC-PERP", "size_quantums": str(BTC), **changes}
    message = venue_tx.MsgReportPositions(
        operator=ALICE, positions=[packet_pb2.VenuePosition(**fields)]
    )
    with contextlib.suppress(TxRefused):
        relay(alpha.b, read_packet(alpha.b.chain.deliver(message)))
    assert get_acknowledged(alpha).acknowledged.epoch == 0
    assert get_netting(alpha.a.chain) is None


def test_only_the_governed_operator_reports():
    alpha, _ = build_world()
    params = build_venue_params()
    alpha.b.chain.decide(
        params_pb2.MsgUpdateParams(authority=AUTHORITY, module="venue", params=pack(params))
    )
    with pytest.raises(TxRefused):
        send(alpha, BTC)


def test_a_member_leaves_without_a_position_alone():
    alpha, _ = build_world()
    hub = alpha.a.chain
    leave = tx_pb2.MsgLeaveVenue(owner=ALICE, venue_id="venue-alpha")
    report(alpha, BTC)
    with pytest.raises(TxRefused):
        hub.deliver(leave)
    report(alpha, 0, is_request=True)
    hub.deliver(leave)
    report(alpha, BTC)
    assert get_netting(hub) is None
