"""The IBC messages a relayer signs, each carrying the proof its receiver will verify."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.duration_pb2 import Duration

from chain._pb.cosmos.ics23.v1 import proofs_pb2
from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.channel.v1 import tx_pb2 as channel_tx
from chain._pb.ibc.core.client.v1 import client_pb2
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain._pb.tendermint.types import types_pb2
from chain.client.transaction import pack_any
from chain.ibc import host
from relayer.config import ChainSection
from relayer.endpoint import Endpoint
from relayer.headers import to_consensus_state

UPGRADE_PATH: Final = ("upgrade", "upgradedIBCState")


def proof_specs() -> Sequence[proofs_pb2.ProofSpec]:
    """The two proof formats of a Cosmos store: IAVL below, the simple tree above (ICS-23)."""
    iavl = proofs_pb2.ProofSpec(
        leaf_spec=proofs_pb2.LeafOp(
            hash=proofs_pb2.SHA256,
            prehash_value=proofs_pb2.SHA256,
            length=proofs_pb2.VAR_PROTO,
            prefix=b"\x00",
        ),
        inner_spec=proofs_pb2.InnerSpec(
            child_order=[0, 1],
            child_size=33,
            min_prefix_length=4,
            max_prefix_length=12,
            hash=proofs_pb2.SHA256,
        ),
    )
    simple = proofs_pb2.ProofSpec(
        leaf_spec=iavl.leaf_spec,
        inner_spec=proofs_pb2.InnerSpec(
            child_order=[0, 1],
            child_size=32,
            min_prefix_length=1,
            max_prefix_length=1,
            hash=proofs_pb2.SHA256,
        ),
    )
    return iavl, simple


def create_client(
    reference: ChainSection, header: types_pb2.Header, revision: int, signer: str
) -> client_tx.MsgCreateClient:
    """A client of the reference chain that starts from one of its headers."""
    state = tendermint_pb2.ClientState(
        chain_id=reference.id,
        trust_level=tendermint_pb2.Fraction(
            numerator=reference.trust_threshold_numerator,
            denominator=reference.trust_threshold_denominator,
        ),
        trusting_period=Duration(seconds=reference.trusting_period_s),
        unbonding_period=Duration(seconds=reference.unbonding_period_s),
        max_clock_drift=Duration(seconds=reference.clock_drift_s),
        frozen_height=client_pb2.Height(),
        latest_height=client_pb2.Height(revision_number=revision, revision_height=header.height),
        proof_specs=proof_specs(),
        upgrade_path=UPGRADE_PATH,
    )
    return client_tx.MsgCreateClient(
        client_state=pack_any(state),
        consensus_state=pack_any(to_consensus_state(header)),
        signer=signer,
    )


def update_client(
    client_id: str, header: tendermint_pb2.Header, signer: str
) -> client_tx.MsgUpdateClient:
    """An update of a client by one header."""
    return client_tx.MsgUpdateClient(
        client_id=client_id, client_message=pack_any(header), signer=signer
    )


@dataclass(frozen=True, slots=True)
class Prover:
    """The state of a source chain after one block, as its client on another chain can verify it.

    `height` is the block whose state is proven; the client must hold `proof_height`, one later.
    """

    source: Endpoint
    height: int

    @property
    def proof_height(self) -> client_pb2.Height:
        """The consensus height that verifies the proofs."""
        return client_pb2.Height(
            revision_number=self.source.revision, revision_height=self.height + 1
        )

    async def prove(self, path: bytes) -> bytes:
        """The proof of presence or absence of a path."""
        return (await self.source.query_state(path, self.height, prove=True)).proof

    async def receive(self, packet: channel_pb2.Packet, signer: str) -> channel_tx.MsgRecvPacket:
        """A packet the source committed to."""
        path = host.packet_commitment_path(
            packet.source_port, packet.source_channel, packet.sequence
        )
        return channel_tx.MsgRecvPacket(
            packet=packet,
            proof_commitment=await self.prove(path),
            proof_height=self.proof_height,
            signer=signer,
        )

    async def acknowledge(
        self, packet: channel_pb2.Packet, acknowledgement: bytes, signer: str
    ) -> channel_tx.MsgAcknowledgement:
        """An acknowledgement the source wrote for a packet it received."""
        path = host.packet_acknowledgement_path(
            packet.destination_port, packet.destination_channel, packet.sequence
        )
        return channel_tx.MsgAcknowledgement(
            packet=packet,
            acknowledgement=acknowledgement,
            proof_acked=await self.prove(path),
            proof_height=self.proof_height,
            signer=signer,
        )

    async def timeout(
        self, packet: channel_pb2.Packet, signer: str, *, is_ordered: bool
    ) -> channel_tx.MsgTimeout:
        """Proof that the source (the packet's destination) did not receive a packet in time."""
        path, next_sequence = await self._unreceived(packet, is_ordered=is_ordered)
        return channel_tx.MsgTimeout(
            packet=packet,
            proof_unreceived=await self.prove(path),
            proof_height=self.proof_height,
            next_sequence_recv=next_sequence,
            signer=signer,
        )

    async def timeout_on_close(
        self, packet: channel_pb2.Packet, signer: str, *, is_ordered: bool
    ) -> channel_tx.MsgTimeoutOnClose:
        """Proof that the packet's destination closed its channel without receiving it."""
        path, next_sequence = await self._unreceived(packet, is_ordered=is_ordered)
        end = host.channel_path(packet.destination_port, packet.destination_channel)
        return channel_tx.MsgTimeoutOnClose(
            packet=packet,
            proof_unreceived=await self.prove(path),
            proof_close=await self.prove(end),
            proof_height=self.proof_height,
            next_sequence_recv=next_sequence,
            signer=signer,
        )

    async def _unreceived(
        self, packet: channel_pb2.Packet, *, is_ordered: bool
    ) -> tuple[bytes, int]:
        port, channel = packet.destination_port, packet.destination_channel
        if not is_ordered:
            return host.packet_receipt_path(port, channel, packet.sequence), packet.sequence
        path = host.next_sequence_recv_path(port, channel)
        stored = await self.source.query_state(path, self.height, prove=False)
        return path, int.from_bytes(stored.value or b"", "big")
