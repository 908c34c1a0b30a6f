"""A real ibc-go chain as a collateral chain: deposits by memo, refusals refunded, withdrawals."""

import json
import time
from collections.abc import Iterator

import pytest

from chain._pb.cosmos.bank.v1beta1 import query_pb2 as bank_query
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.ibc.applications.transfer.v1 import tx_pb2 as transfer_tx
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.collateral.v1 import collateral_pb2
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain.client.comet_json import parse_query_result
from chain.hub import HUB
from chain.ibc.apps.transfer.denoms import Denom
from chain.ibc.channel.handlers import SUCCESS
from chain.ibc.router import Packet
from chain.modules.bank import state as bank
from chain.modules.collateral import state as collateral
from chain.modules.collateral.queries import get_lien_totals
from chain.modules.council.types import authority_address
from tests.e2e.ibc_go import SIMD, SimdChain, SimdEndpoint, SimdNode, WallClock, call
from tests.modules.margin_network import build_asset, build_listing
from tests.twochain.chain import IbcChain
from tests.twochain.path import (
    ChannelConfig,
    ClientConfig,
    Endpoint,
    Path,
    get_acknowledgement,
    get_events,
)
from tests.twochain.test_margin import (
    COINS,
    council_state,
    get_place,
    get_trust,
    oracle_state,
    read_packet,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not SIMD, reason="MARGIN_SIMD names no ibc-go binary"),
]

BASE = "samoleans"
ACCEPTED = b'{"result":"AQ=="}'


def build_hub() -> IbcChain:
    clock = WallClock()
    return IbcChain(
        clock,
        "hub-1",
        HUB,
        accounts={"alice": COINS},
        app_state={"council": council_state(), "oracle": oracle_state(clock.now_ns)},
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An open transfer channel between ibc-go (a) and the hub (b), registered as a route."""
    node = SimdNode(tmp_path_factory.mktemp("simd"))
    try:
        client = ClientConfig(max_clock_drift_s=3_600)
        channel = ChannelConfig(port_id="transfer", version="ics20-1")
        theirs = SimdEndpoint(SimdChain(), client_config=client, channel_config=channel)
        ours = Endpoint(build_hub(), client_config=client, channel_config=channel)
        path = Path(theirs, ours)
        path.create_clients()
        path.create_connections()
        path.create_channels()
        register(path.b)
        yield path
    finally:
        node.stop()


def get_voucher(hub: Endpoint) -> str:
    return Denom(BASE).with_hop("transfer", hub.channel_id).local_denom


def register(hub: Endpoint) -> None:
    route = collateral_pb2.Route(
        route_id="simd",
        vault="transfer",
        kind=collateral_pb2.ROUTE_KIND_VOUCHER,
        address_prefix="cosmos",
        route_class=collateral_pb2.ROUTE_CLASS_LIGHT_CLIENT,
        trust=collateral_pb2.TrustParameters(**get_trust(hub)),
        auction_duration_s=60,
        heartbeat_interval_s=600,
        value_cap_uusd=str(10**15),
        stake_uusd=str(10**16),
        validators_for_third=4,
        **get_place(hub),
    )
    listing = build_listing(
        route_id="simd", denom=get_voucher(hub), decimals=6, amount_min="1", amount_cap="1000"
    )
    authority = authority_address()
    hub.chain.decide(
        collateral_tx.MsgRegisterRoute(authority=authority, route=route),
        collateral_tx.MsgSetAsset(authority=authority, asset=build_asset()),
        collateral_tx.MsgSetListing(authority=authority, listing=listing),
    )
    hub.chain.deliver(accounts_tx.MsgCreateAccount(owner=hub.signer, number=0))


def get_balance_of_simd(path: Path) -> int:
    request = bank_query.QueryBalanceRequest(address=path.a.signer, denom=BASE)
    raw = call(
        "abci_query",
        path="/cosmos.bank.v1beta1.Query/Balance",
        data=request.SerializeToString().hex(),
    )
    value = parse_query_result(raw["response"]).value
    return int(bank_query.QueryBalanceResponse.FromString(value).balance.amount)


def get_lien(path: Path) -> int:
    totals = get_lien_totals(path.b.chain.read_context())
    return totals["simd", get_voucher(path.b)]


def send(path: Path, amount: int, memo: str) -> Packet:
    """A transfer that ibc-go's own module sends."""
    message = transfer_tx.MsgTransfer(
        source_port="transfer",
        source_channel=path.a.channel_id,
        token=coin_pb2.Coin(denom=BASE, amount=str(amount)),
        sender=path.a.signer,
        receiver=path.b.signer,
        timeout_height={},
        timeout_timestamp=time.time_ns() + 600 * 10**9,
        memo=memo,
    )
    return read_packet(path.a.chain.deliver(message))


def build_memo(owner: str, account: int = 0) -> str:
    return json.dumps({"margin": {"deposit": {"owner": owner, "account": account}}})


def settle(path: Path, packet: Packet) -> bytes:
    """Carry a packet of ibc-go to the hub and its acknowledgement back."""
    acknowledgement = path.b.recv(packet)
    result = path.a.chain.deliver(path.a.build_ack(packet, acknowledgement))
    assert get_events(result.events, "acknowledge_packet")
    return acknowledgement


def test_a_transfer_of_ibc_go_becomes_a_lien_and_goes_home(path: Path) -> None:
    balance = get_balance_of_simd(path)
    assert settle(path, send(path, 500, build_memo(path.b.signer))) == ACCEPTED
    assert get_lien(path) == 500
    assert get_balance_of_simd(path) == balance - 500
    withdrawal = collateral_tx.MsgWithdrawCollateral(
        owner=path.b.signer,
        route_id="simd",
        denom=get_voucher(path.b),
        amount="200",
        receiver=path.a.signer,
    )
    packet = read_packet(path.b.chain.deliver(withdrawal))
    acknowledgement = get_acknowledgement(path.a.chain.deliver(path.a.build_recv(packet)))
    assert acknowledgement == ACCEPTED
    assert get_balance_of_simd(path) == balance - 300
    assert path.b.acknowledge(packet, acknowledgement) == SUCCESS
    ctx = path.b.chain.read_context()
    assert not list(collateral.iterate_flights(ctx))
    assert get_lien(path) == bank.get_supply(ctx, get_voucher(path.b)) == 300


@pytest.mark.parametrize("memo", ["unknown account", "malformed", "another owner"])
def test_a_refused_deposit_is_refunded_by_ibc_go(path: Path, memo: str) -> None:
    text = {
        "unknown account": build_memo(path.b.signer, 9),
        "malformed": '{"margin":{}}',
        "another owner": build_memo(authority_address()),
    }[memo]
    balance, lien = get_balance_of_simd(path), get_lien(path)
    acknowledgement = settle(path, send(path, 50, text))
    assert acknowledgement.startswith(b'{"error":"ABCI code: ')
    assert get_balance_of_simd(path) == balance
    assert get_lien(path) == lien
