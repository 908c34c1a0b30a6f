"""IBC with ibc-go itself: handshakes, packets and timeouts in both directions, proofs of both."""

import time
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.ibc.applications.transfer.v1 import tx_pb2 as transfer_tx
from chain.ibc import module as ibc_module
from chain.ibc.channel.handlers import SUCCESS
from chain.ibc.height import Height
from chain.ibc.router import ChannelOpening, Packet
from chain.modules import auth, bank, validators
from chain.modules.auth import state as auth_state
from chain.modules.bank import state as bank_state
from chain.runtime.context import Context
from chain.runtime.definition import ChainDefinition
from tests.e2e.ibc_go import SIMD, SimdChain, SimdEndpoint, SimdNode, WallClock
from tests.support.echo import EchoApplication, get_count
from tests.twochain.chain import EchoChain, IbcChain
from tests.twochain.path import ChannelConfig, ClientConfig, Endpoint, Path, get_events

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not SIMD, reason="MARGIN_SIMD names no ibc-go binary"),
]

VERSION = "ics20-1"
ACCEPTED = b'{"result":"AQ=="}'


class TransferEcho(EchoApplication):
    """Speaks enough of ICS-20 for ibc-go's transfer module to open a channel and be answered."""

    def on_chan_open_init(self, ctx: Context, opening: ChannelOpening) -> str:
        super().on_chan_open_init(ctx, opening)
        return VERSION

    def on_recv_packet(self, ctx: Context, packet: Packet, relayer: str) -> bytes:
        super().on_recv_packet(ctx, packet, relayer)
        return ACCEPTED


class TransferChain(EchoChain):
    """An echo chain whose application is bound to the port of ICS-20."""

    def __init__(self, clock: WallClock) -> None:
        self.echo = TransferEcho()
        definition = ChainDefinition(
            name="echo",
            modules=(
                auth.module(),
                bank.MODULE,
                validators.MODULE,
                ibc_module({"transfer": self.echo}),
                self.echo.module(),
            ),
            accounts=auth_state,
            fees=bank_state,
            validators=validators.state,
        )
        IbcChain.__init__(self, clock, "alpha-1", definition, validators=4)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A channel between ibc-go (a) and a chain of ours (b); each side took two opening steps."""
    home: FilePath = tmp_path_factory.mktemp("simd")
    node = SimdNode(home)
    try:
        # Blocks here may run ahead of the wall clock by a second each.
        client = ClientConfig(max_clock_drift_s=3_600)
        channel = ChannelConfig(port_id="transfer", version=VERSION)
        theirs = SimdEndpoint(SimdChain(), client_config=client, channel_config=channel)
        ours = Endpoint(TransferChain(WallClock()), client_config=client, channel_config=channel)
        path = Path(theirs, ours)
        path.create_clients()
        path.create_connections()
        path.b.chan_open_init()
        path.a.chan_open_try()
        path.b.chan_open_ack()
        path.a.chan_open_confirm()
        yield path
    finally:
        node.stop()


def transfer(path: Path, timeout_s: int) -> Packet:
    """A packet that ibc-go's transfer module sends."""
    timeout_ns = time.time_ns() + timeout_s * 10**9
    message = transfer_tx.MsgTransfer(
        source_port="transfer",
        source_channel=path.a.channel_id,
        token=coin_pb2.Coin(denom="samoleans", amount="12345"),
        sender=path.a.signer,
        receiver=path.b.signer,
        timeout_height=Height().to_proto(),
        timeout_timestamp=timeout_ns,
    )
    sent = get_events(path.a.chain.deliver(message).events, "send_packet")[0]
    return Packet(
        sequence=int(sent["packet_sequence"]),
        source_port="transfer",
        source_channel=path.a.channel_id,
        destination_port="transfer",
        destination_channel=path.b.channel_id,
        data=bytes.fromhex(sent["packet_data_hex"]),
        timeout_height=Height(),
        timeout_timestamp_ns=timeout_ns,
    )


def test_packet_of_ibc_go_is_received_and_acknowledged(path: Path) -> None:
    packet = transfer(path, 600)
    acknowledgement = path.b.recv(packet)
    assert acknowledgement == ACCEPTED
    result = path.a.chain.deliver(path.a.build_ack(packet, acknowledgement))
    assert get_events(result.events, "acknowledge_packet")
    assert get_count(path.b.chain.read_context(), "recv") == 1


def test_ibc_go_times_out_over_our_absence_proof(path: Path) -> None:
    packet = transfer(path, 15)
    time.sleep(18)
    result = path.a.chain.deliver(path.a.build_timeout(packet))
    assert get_events(result.events, "timeout_packet")


def test_packet_of_ours_is_answered_by_ibc_go(path: Path) -> None:
    packet = path.b.send_packet(b'{"not":"ics20"}', timeout_s=600)
    result = path.a.chain.deliver(path.a.build_recv(packet))
    written = get_events(result.events, "write_acknowledgement")[0]
    acknowledgement = bytes.fromhex(written["packet_ack_hex"])
    assert acknowledgement.startswith(b'{"error":')
    assert path.b.acknowledge(packet, acknowledgement) == SUCCESS
