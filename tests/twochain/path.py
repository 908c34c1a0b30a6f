"""Paths between two chains: endpoints that make clients, connections and channels, and relay.

An endpoint acts on its own chain with proofs of its counterparty's. Every step is a separate call,
so that a test may leave out, repeat, reorder or falsify any of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.channel.v1 import tx_pb2 as channel_tx
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx
from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain._pb.ibc.core.connection.v1 import tx_pb2 as connection_tx
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.ibc import host
from chain.ibc.channel import packets
from chain.ibc.channel import state as channel_state
from chain.ibc.channel.handlers import SUCCESS
from chain.ibc.client import state as client_state
from chain.ibc.client.membership import Proof
from chain.ibc.client.tendermint_wire import (
    signed_header_to_pb,
    time_ns_to_pb,
    validator_set_to_pb,
)
from chain.ibc.connection.versions import build_default_version
from chain.ibc.height import Height
from chain.ibc.router import ORDER_UNORDERED, Packet
from chain.merkle.ics23 import SDK_SPECS
from chain.merkle.ics23_codec import spec_to_message
from chain.runtime.router import pack
from chain.units import NANOSECONDS
from tests.support.echo import PORT, VERSION
from tests.support.headers import TestBlock
from tests.twochain.chain import Clock, EchoChain, IbcChain

DAY_S = 86_400


@dataclass
class ClientConfig:
    """The parameters of a client about to be created."""

    trust_level: tuple[int, int] = (1, 3)
    trusting_period_s: int = 14 * DAY_S
    unbonding_period_s: int = 21 * DAY_S
    max_clock_drift_s: int = 10


@dataclass
class ChannelConfig:
    """The parameters of a channel about to be opened."""

    port_id: str = PORT
    version: str = VERSION
    ordering: Any = ORDER_UNORDERED


@dataclass
class Endpoint:
    """One end of a path: a chain and its identifiers for the other."""

    chain: IbcChain
    client_config: ClientConfig = field(default_factory=ClientConfig)
    channel_config: ChannelConfig = field(default_factory=ChannelConfig)
    delay_period_ns: int = 0
    client_id: str = ""
    connection_id: str = ""
    channel_id: str = ""
    counterparty: "Endpoint" = field(init=False, repr=False)

    @property
    def signer(self) -> str:
        return self.chain.accounts["alice"].address

    @property
    def port_id(self) -> str:
        return self.channel_config.port_id

    # Clients -------------------------------------------------------------------------------------

    def build_client_state(self) -> tendermint_pb2.ClientState:
        """The client state this endpoint would create of its counterparty now."""
        config, other = self.client_config, self.counterparty.chain
        return tendermint_pb2.ClientState(
            chain_id=other.chain_id,
            trust_level=tendermint_pb2.Fraction(
                numerator=config.trust_level[0], denominator=config.trust_level[1]
            ),
            trusting_period=Duration(seconds=config.trusting_period_s),
            unbonding_period=Duration(seconds=config.unbonding_period_s),
            max_clock_drift=Duration(seconds=config.max_clock_drift_s),
            frozen_height=Height().to_proto(),
            latest_height=other.latest_height.to_proto(),
            proof_specs=[spec_to_message(spec) for spec in SDK_SPECS],
            upgrade_path=["upgrade", "upgradedIBCState"],
        )

    def build_consensus_state(self) -> tendermint_pb2.ConsensusState:
        """The consensus state of the counterparty's last header."""
        header = self.counterparty.chain.latest_block.header
        return tendermint_pb2.ConsensusState(
            timestamp=time_ns_to_pb(header.time_ns),
            root=commitment_pb2.MerkleRoot(hash=header.app_hash),
            next_validators_hash=header.next_validators_hash,
        )

    def build_create_client(self) -> client_tx.MsgCreateClient:
        return client_tx.MsgCreateClient(
            client_state=pack(self.build_client_state()),
            consensus_state=pack(self.build_consensus_state()),
            signer=self.signer,
        )

    def create_client(self) -> str:
        result = self.chain.deliver(self.build_create_client())
        self.client_id = get_attribute(result, "create_client", "client_id")
        return self.client_id

    def get_client_height(self) -> Height:
        return client_state.get_latest_height(self.chain.read_context(), self.client_id)

    def get_status(self) -> str:
        return client_state.get_status(self.chain.read_context(), self.client_id).value

    def build_header(
        self, block: TestBlock | None = None, trusted: Height | None = None
    ) -> tendermint_pb2.Header:
        """The update with a block of the counterparty (its last one) over a trusted height."""
        other = self.counterparty.chain
        block = block or other.latest_block
        trusted = trusted or self.get_client_height()
        trusted_block = other.headers.at(trusted.revision_height)
        return tendermint_pb2.Header(
            signed_header=signed_header_to_pb(block.signed_header),
            validator_set=validator_set_to_pb(block.validators.validators),
            trusted_height=trusted.to_proto(),
            trusted_validators=validator_set_to_pb(trusted_block.next_validators.validators),
        )

    def build_update(self, message: Message | None = None) -> client_tx.MsgUpdateClient:
        return client_tx.MsgUpdateClient(
            client_id=self.client_id,
            client_message=pack(message or self.build_header()),
            signer=self.signer,
        )

    def update_client(self) -> None:
        """Bring the client to a header that proves all the counterparty has committed."""
        self.counterparty.chain.next_block()
        self.chain.deliver(self.build_update())

    # Connections ---------------------------------------------------------------------------------

    def conn_open_init(self) -> None:
        result = self.chain.deliver(
            connection_tx.MsgConnectionOpenInit(
                client_id=self.client_id,
                counterparty=self._counterparty_of_connection(),
                version=build_default_version(),
                delay_period=self.delay_period_ns,
                signer=self.signer,
            )
        )
        self.connection_id = get_attribute(result, "connection_open_init", "connection_id")

    def _counterparty_of_connection(self) -> connection_pb2.Counterparty:
        return connection_pb2.Counterparty(
            client_id=self.counterparty.client_id,
            connection_id=self.counterparty.connection_id,
            prefix=commitment_pb2.MerklePrefix(key_prefix=host.COMMITMENT_PREFIX),
        )

    def prove(self, path: bytes) -> Proof:
        """A proof of the counterparty's store, after updating the client."""
        self.update_client()
        return self.counterparty.chain.prove(path)

    def conn_open_try(self) -> None:
        proof = self.prove(host.connection_path(self.counterparty.connection_id))
        result = self.chain.deliver(
            connection_tx.MsgConnectionOpenTry(
                client_id=self.client_id,
                counterparty=self._counterparty_of_connection(),
                delay_period=self.delay_period_ns,
                counterparty_versions=[build_default_version()],
                proof_init=proof.data,
                proof_height=proof.height.to_proto(),
                signer=self.signer,
            )
        )
        self.connection_id = get_attribute(result, "connection_open_try", "connection_id")

    def conn_open_ack(self) -> None:
        proof = self.prove(host.connection_path(self.counterparty.connection_id))
        self.chain.deliver(
            connection_tx.MsgConnectionOpenAck(
                connection_id=self.connection_id,
                counterparty_connection_id=self.counterparty.connection_id,
                version=build_default_version(),
                proof_try=proof.data,
                proof_height=proof.height.to_proto(),
                signer=self.signer,
            )
        )

    def conn_open_confirm(self) -> None:
        proof = self.prove(host.connection_path(self.counterparty.connection_id))
        self.chain.deliver(
            connection_tx.MsgConnectionOpenConfirm(
                connection_id=self.connection_id,
                proof_ack=proof.data,
                proof_height=proof.height.to_proto(),
                signer=self.signer,
            )
        )

    # Channels ------------------------------------------------------------------------------------

    def build_channel(self, state: Any) -> channel_pb2.Channel:
        return channel_pb2.Channel(
            state=state,
            ordering=self.channel_config.ordering,
            counterparty=channel_pb2.Counterparty(
                port_id=self.counterparty.port_id, channel_id=self.counterparty.channel_id
            ),
            connection_hops=[self.connection_id],
            version=self.channel_config.version,
        )

    def get_channel(self) -> channel_pb2.Channel:
        ctx = self.chain.read_context()
        return channel_state.get_channel(ctx, self.port_id, self.channel_id)

    def chan_open_init(self) -> None:
        result = self.chain.deliver(
            channel_tx.MsgChannelOpenInit(
                port_id=self.port_id,
                channel=self.build_channel(channel_pb2.STATE_INIT),
                signer=self.signer,
            )
        )
        self.channel_id = get_attribute(result, "channel_open_init", "channel_id")

    def prove_channel(self) -> Proof:
        other = self.counterparty
        return self.prove(host.channel_path(other.port_id, other.channel_id))

    def chan_open_try(self) -> None:
        proof = self.prove_channel()
        result = self.chain.deliver(
            channel_tx.MsgChannelOpenTry(
                port_id=self.port_id,
                channel=self.build_channel(channel_pb2.STATE_TRYOPEN),
                counterparty_version=self.counterparty.get_channel().version,
                proof_init=proof.data,
                proof_height=proof.height.to_proto(),
                signer=self.signer,
            )
        )
        self.channel_id = get_attribute(result, "channel_open_try", "channel_id")

    def chan_open_ack(self) -> None:
        proof = self.prove_channel()
        self.chain.deliver(
            channel_tx.MsgChannelOpenAck(
                port_id=self.port_id,
                channel_id=self.channel_id,
                counterparty_channel_id=self.counterparty.channel_id,
                counterparty_version=self.counterparty.get_channel().version,
                proof_try=proof.data,
                proof_height=proof.height.to_proto(),
                signer=self.signer,
            )
        )

    def chan_open_confirm(self) -> None:
        proof = self.prove_channel()
        self.chain.deliver(
            channel_tx.MsgChannelOpenConfirm(
                port_id=self.port_id,
                channel_id=self.channel_id,
                proof_ack=proof.data,
                proof_height=proof.height.to_proto(),
                signer=self.signer,
            )
        )

    def chan_close_init(self) -> None:
        self.chain.deliver(
            channel_tx.MsgChannelCloseInit(
                port_id=self.port_id, channel_id=self.channel_id, signer=self.signer
            )
        )

    def chan_close_confirm(self) -> None:
        proof = self.prove_channel()
        self.chain.deliver(
            channel_tx.MsgChannelCloseConfirm(
                port_id=self.port_id,
                channel_id=self.channel_id,
                proof_init=proof.data,
                proof_height=proof.height.to_proto(),
                signer=self.signer,
            )
        )

    # Packets -------------------------------------------------------------------------------------

    def send_packet(
        self, data: bytes, *, timeout_height: Height | None = None, timeout_s: int = 0
    ) -> Packet:
        """Send from the echo application; without a timeout given it is a day away."""
        assert isinstance(self.chain, EchoChain)
        height = timeout_height or Height()
        if height.is_zero and not timeout_s:
            timeout_s = DAY_S
        time_ns = self.chain.clock.now_ns + timeout_s * NANOSECONDS if timeout_s else 0
        sent: list[int] = []
        self.chain.run(
            lambda ctx: sent.append(
                packets.send_packet(ctx, self.port_id, self.channel_id, height, time_ns, data)
            )
        )
        return Packet(
            sequence=sent[0],
            source_port=self.port_id,
            source_channel=self.channel_id,
            destination_port=self.counterparty.port_id,
            destination_channel=self.counterparty.channel_id,
            data=data,
            timeout_height=height,
            timeout_timestamp_ns=time_ns,
        )

    def has_commitment(self, packet: Packet) -> bool:
        """Whether a packet sent from here is still in flight."""
        ctx = self.chain.read_context()
        stored = channel_state.get_packet_commitment(
            ctx, self.port_id, self.channel_id, packet.sequence
        )
        return stored is not None

    def build_recv(self, packet: Packet) -> channel_tx.MsgRecvPacket:
        proof = self.prove(
            host.packet_commitment_path(packet.source_port, packet.source_channel, packet.sequence)
        )
        return channel_tx.MsgRecvPacket(
            packet=packet.to_proto(),
            proof_commitment=proof.data,
            proof_height=proof.height.to_proto(),
            signer=self.signer,
        )

    def recv(self, packet: Packet) -> bytes:
        """Receive a packet of the counterparty; the acknowledgement written, b"" when none was."""
        result = self.chain.deliver(self.build_recv(packet))
        return get_acknowledgement(result)

    def build_ack(self, packet: Packet, ack: bytes) -> channel_tx.MsgAcknowledgement:
        proof = self.prove(
            host.packet_acknowledgement_path(
                packet.destination_port, packet.destination_channel, packet.sequence
            )
        )
        return channel_tx.MsgAcknowledgement(
            packet=packet.to_proto(),
            acknowledgement=ack,
            proof_acked=proof.data,
            proof_height=proof.height.to_proto(),
            signer=self.signer,
        )

    def acknowledge(self, packet: Packet, ack: bytes) -> int:
        result = self.chain.deliver(self.build_ack(packet, ack))
        return get_result(result, channel_tx.MsgAcknowledgementResponse)

    def _prove_unreceived(self, packet: Packet) -> tuple[Proof, int]:
        port_id, channel_id = packet.destination_port, packet.destination_channel
        if self.channel_config.ordering == ORDER_UNORDERED:
            return self.prove(host.packet_receipt_path(port_id, channel_id, packet.sequence)), 1
        proof = self.prove(host.next_sequence_recv_path(port_id, channel_id))
        ctx = self.counterparty.chain.read_context()
        following = channel_state.get_next_sequence_recv(ctx, port_id, channel_id)
        return proof, following or 0

    def build_timeout(self, packet: Packet) -> channel_tx.MsgTimeout:
        proof, following = self._prove_unreceived(packet)
        return channel_tx.MsgTimeout(
            packet=packet.to_proto(),
            proof_unreceived=proof.data,
            proof_height=proof.height.to_proto(),
            next_sequence_recv=following,
            signer=self.signer,
        )

    def timeout(self, packet: Packet) -> int:
        result = self.chain.deliver(self.build_timeout(packet))
        return get_result(result, channel_tx.MsgTimeoutResponse)

    def build_timeout_on_close(self, packet: Packet) -> channel_tx.MsgTimeoutOnClose:
        proof, following = self._prove_unreceived(packet)
        other = self.counterparty
        closed = other.chain.prove(host.channel_path(other.port_id, other.channel_id))
        return channel_tx.MsgTimeoutOnClose(
            packet=packet.to_proto(),
            proof_unreceived=proof.data,
            proof_close=closed.data,
            proof_height=proof.height.to_proto(),
            next_sequence_recv=following,
            signer=self.signer,
        )


@dataclass
class Path:
    """Two endpoints of each other; the steps of a whole handshake in order."""

    a: Endpoint
    b: Endpoint

    def __post_init__(self) -> None:
        self.a.counterparty, self.b.counterparty = self.b, self.a

    def create_clients(self) -> None:
        self.a.create_client()
        self.b.create_client()

    def create_connections(self) -> None:
        self.a.connection_id = self.b.connection_id = ""
        self.a.conn_open_init()
        self.b.conn_open_try()
        self.a.conn_open_ack()
        self.b.conn_open_confirm()

    def create_channels(self) -> None:
        self.a.channel_id = self.b.channel_id = ""
        self.a.chan_open_init()
        self.b.chan_open_try()
        self.a.chan_open_ack()
        self.b.chan_open_confirm()

    def setup(self) -> "Path":
        self.create_clients()
        self.create_connections()
        self.create_channels()
        return self

    def relay(self, packet: Packet) -> bytes:
        """Carry a packet sent from a to b and its acknowledgement back."""
        acknowledgement = self.b.recv(packet)
        assert self.a.acknowledge(packet, acknowledgement) == SUCCESS
        return acknowledgement


class Coordinator:
    """The clock and the chains of a test."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.chains: list[EchoChain] = []

    def create_echo_path(self, ordering: Any = ORDER_UNORDERED) -> Path:
        """Two echo chains, not yet connected."""
        chains = [EchoChain(self.clock, chain_id) for chain_id in ("alpha-1", "beta-1")]
        self.chains += chains
        a, b = (
            Endpoint(chain, channel_config=ChannelConfig(ordering=ordering)) for chain in chains
        )
        return Path(a, b)

    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds * NANOSECONDS)


def get_events(events: Iterable[abci.Event], event_type: str) -> list[dict[str, str]]:
    """The attributes of every event of a type."""
    return [{a.key: a.value for a in e.attributes} for e in events if e.type == event_type]


def get_attribute(result: abci.ExecTxResult, event_type: str, key: str) -> str:
    return get_events(result.events, event_type)[0][key]


def get_acknowledgement(result: abci.ExecTxResult) -> bytes:
    written = get_events(result.events, "write_acknowledgement")
    return bytes.fromhex(written[0]["packet_ack_hex"]) if written else b""


def get_result(result: abci.ExecTxResult, response_type: Any) -> int:
    """The result field of the first message's response."""
    from chain._pb.cosmos.base.abci.v1beta1 import abci_pb2  # noqa: PLC0415

    data = abci_pb2.TxMsgData.FromString(result.data)
    return int(response_type.FromString(data.msg_responses[0].value).result)
