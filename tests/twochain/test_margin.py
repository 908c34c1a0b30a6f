"""The margin protocol between the real hub and the real collateral chain, headers and proofs."""

import pytest
from google.protobuf.json_format import MessageToDict

from chain._pb.margin.collateral.v1 import collateral_pb2, query_pb2
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain._pb.margin.oracle.v1 import oracle_pb2
from chain._pb.margin.vault.v1 import query_pb2 as vault_query
from chain._pb.margin.vault.v1 import tx_pb2 as vault_tx
from chain._pb.margin.vault.v1 import vault_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.hub import HUB
from chain.ibc.height import Height
from chain.ibc.router import Packet
from chain.modules.council import state as council
from chain.modules.council.types import authority_address
from chain.modules.oracle.params import build_default_params
from chain.modules.vault import state as vault
from chain.spoke import SPOKE
from chain.units import WAD
from tests.modules.economy import build_asset_params
from tests.modules.margin_network import build_asset, build_listing
from tests.support.testchain import Account
from tests.twochain.chain import Clock, IbcChain, TxRefused
from tests.twochain.path import ChannelConfig, Endpoint, Path, get_events

ETH = 10**18
COINS = {"umargin": 10**12}
CONFIG = ChannelConfig(port_id="margin", version="margin-1")


def council_state():
    alice = Account.named("alice").address
    return {"params": {"members": [alice], "threshold": 1, "voting_period_ns": "1000000000000"}}


def oracle_state(time_ns):
    params = build_default_params()
    params.assets.append(build_asset_params("ETH"))
    price = oracle_pb2.Price(
        asset="ETH",
        price_wad=str(2_000 * WAD),
        raw_median_wad=str(2_000 * WAD),
        time_ns=time_ns,
        height=1,
        confidence_ppm=1_000_000,
        source_count=3,
    )
    state = oracle_pb2.GenesisState(params=params, prices=[price])
    return MessageToDict(state, preserving_proto_field_name=True)


def build_path() -> Path:
    """Hub (a) and collateral chain (b), connected, with an open channel that means nothing yet."""
    clock = Clock()
    hub = IbcChain(
        clock,
        "hub-1",
        HUB,
        accounts={"alice": COINS},
        app_state={"council": council_state(), "oracle": oracle_state(clock.now_ns)},
    )
    spoke = IbcChain(
        clock,
        "alpha-1",
        SPOKE,
        accounts={"alice": {**COINS, "aeth": 100 * ETH}, "bob": COINS},
        app_state={"council": council_state()},
    )
    return Path(
        Endpoint(hub, channel_config=CONFIG), Endpoint(spoke, channel_config=CONFIG)
    ).setup()


def get_trust(endpoint):
    config = endpoint.client_config
    return {
        "trust_level_numerator": config.trust_level[0],
        "trust_level_denominator": config.trust_level[1],
        "trusting_period_s": config.trusting_period_s,
        "unbonding_period_s": config.unbonding_period_s,
        "max_clock_drift_s": config.max_clock_drift_s,
    }


def get_place(endpoint):
    return {
        "chain_id": endpoint.counterparty.chain.chain_id,
        "client_id": endpoint.client_id,
        "connection_id": endpoint.connection_id,
        "channel_id": endpoint.channel_id,
    }


def register(path: Path) -> None:
    """The councils of both chains name the channel: from here on it moves collateral."""
    authority = authority_address()
    register_vault(path)
    route = collateral_pb2.Route(
        route_id="alpha",
        vault="main",
        route_class=collateral_pb2.ROUTE_CLASS_LIGHT_CLIENT,
        trust=collateral_pb2.TrustParameters(**get_trust(path.a)),
        auction_duration_s=60,
        heartbeat_interval_s=600,
        value_cap_uusd=str(10**15),
        stake_uusd=str(10**16),
        validators_for_third=4,
        **get_place(path.a),
    )
    path.a.chain.decide(
        collateral_tx.MsgRegisterRoute(authority=authority, route=route),
        collateral_tx.MsgSetAsset(authority=authority, asset=build_asset()),
        collateral_tx.MsgSetListing(authority=authority, listing=build_listing()),
    )


def register_vault(path: Path) -> None:
    hub = vault_pb2.Hub(**get_place(path.b), **get_trust(path.b))
    path.b.chain.decide(vault_tx.MsgRegisterHub(authority=authority_address(), hub=hub))


def lock(path: Path, amount: int) -> Packet:
    alice = path.a.chain.accounts["alice"].address
    message = vault_tx.MsgLockCollateral(
        depositor=alice, owner=alice, denom="aeth", amount=str(amount)
    )
    return read_packet(path.b.chain.deliver(message))


def read_packet(result: abci.ExecTxResult) -> Packet:
    (values,) = get_events(result.events, "send_packet")
    return Packet(
        sequence=int(values["packet_sequence"]),
        source_port=values["packet_src_port"],
        source_channel=values["packet_src_channel"],
        destination_port=values["packet_dst_port"],
        destination_channel=values["packet_dst_channel"],
        data=bytes.fromhex(values["packet_data_hex"]),
        timeout_height=Height(0, 0),
        timeout_timestamp_ns=int(values["packet_timeout_timestamp"]),
    )


def get_liens(path: Path) -> str:
    response = path.a.chain.query(
        "/margin.collateral.v1.Query/Totals",
        query_pb2.QueryTotalsRequest(),
        query_pb2.QueryTotalsResponse,
    )
    return response.liens[0].amount


def get_locked(path: Path) -> vault_query.DenomTotal:
    response = path.b.chain.query(
        "/margin.vault.v1.Query/Totals",
        vault_query.QueryTotalsRequest(),
        vault_query.QueryTotalsResponse,
    )
    return response.totals[0]


def relay(source: Endpoint, packet: Packet) -> None:
    acknowledgement = source.counterparty.recv(packet)
    source.acknowledge(packet, acknowledgement)


def test_a_proven_lock_becomes_a_lien_and_comes_back_to_the_unit():
    path = build_path()
    register(path)
    relay(path.b, lock(path, 10 * ETH))
    assert get_liens(path) == get_locked(path).liened == str(10 * ETH)
    alice, bob = (path.b.chain.accounts[name].address for name in ("alice", "bob"))
    message = collateral_tx.MsgWithdrawCollateral(
        owner=alice, route_id="alpha", denom="aeth", amount=str(10 * ETH), receiver=bob
    )
    packet = read_packet(path.a.chain.deliver(message))
    assert get_liens(path) == "0"
    relay(path.a, packet)
    assert path.b.chain.balance("bob", "aeth") == 10 * ETH
    assert get_locked(path).bank_balance == "0"


def test_a_lock_over_the_cap_is_refunded_by_a_proven_refusal():
    path = build_path()
    register(path)
    path.a.chain.decide(
        collateral_tx.MsgSetListing(
            authority=authority_address(), listing=build_listing(amount_cap=str(5 * ETH))
        )
    )
    before = path.b.chain.balance("alice", "aeth")
    relay(path.b, lock(path, 5 * ETH + 1))
    assert path.b.chain.balance("alice", "aeth") == before
    assert get_liens(path) == "0"


def test_a_channel_without_a_route_mints_no_credit():
    path = build_path()
    register_vault(path)
    before = path.b.chain.balance("alice", "aeth")
    relay(path.b, lock(path, ETH))
    assert path.b.chain.balance("alice", "aeth") == before


def test_a_lock_that_never_arrived_is_refunded_once():
    path = build_path()
    register(path)
    before = path.b.chain.balance("alice", "aeth")
    packet = lock(path, ETH)
    with pytest.raises(TxRefused):
        path.b.timeout(packet)
    path.a.chain.clock.advance(601 * 10**9)
    path.a.chain.next_block()
    path.b.timeout(packet)
    path.b.timeout(packet)
    assert path.b.chain.balance("alice", "aeth") == before
    with pytest.raises(TxRefused):
        path.a.recv(packet)


def test_a_received_lock_cannot_time_out():
    path = build_path()
    register(path)
    packet = lock(path, ETH)
    acknowledgement = path.a.recv(packet)
    path.a.chain.clock.advance(601 * 10**9)
    path.a.chain.next_block()
    with pytest.raises(TxRefused):
        path.b.timeout(packet)
    path.b.acknowledge(packet, acknowledgement)
    assert get_liens(path) == get_locked(path).liened == str(ETH)


def test_a_vault_obeys_one_hub_channel():
    path = build_path()
    register(path)
    first = vault.require_hub(path.b.chain.read_context())
    path.b.channel_id = "channel-9"
    register_vault(path)
    ctx = path.b.chain.read_context()
    proposal = council.get_proposal(ctx, 2)
    assert (proposal.failure_codespace, proposal.failure_code) == ("vault", 3)
    assert vault.require_hub(ctx) == first


def test_heartbeats_cross_and_measure():
    path = build_path()
    register(path)
    path.a.chain.clock.advance(600 * 10**9)
    path.b.chain.next_block()
    path.a.chain.deliver(path.a.build_update())
    sent = [
        event
        for block in path.a.chain.blocks
        for event in block.response.events
        if event.type == "send_packet"
    ]
    relay(path.a, read_packet(abci.ExecTxResult(events=sent[-1:])))
    response = path.a.chain.query(
        "/margin.collateral.v1.Query/Routes",
        query_pb2.QueryRoutesRequest(),
        query_pb2.QueryRoutesResponse,
    )
    assert response.routes[0].samples == 1
    assert response.routes[0].client_status == "Active"
