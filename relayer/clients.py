"""Clients on a chain: their state, their updates by single steps or by bisection, their age."""

import time
from dataclasses import dataclass
from typing import Final

import structlog
from google.protobuf.any_pb2 import Any

from chain._pb.ibc.core.client.v1 import client_pb2
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain.client.errors import MalformedAnswer, NotFound
from chain.errors import ChainError
from chain.ibc import host
from chain.ibc.client.tendermint_wire import signed_header_from_pb, validator_set_from_pb
from chain.ibc.height import Height
from chain.lightclient.types import Options, TrustedState, TrustLevel, UntrustedBlock
from chain.lightclient.verifier import Invalid, NotEnoughTrust, verify
from relayer.endpoint import Endpoint
from relayer.headers import NANOSECONDS, fetch_header, to_time_ns
from relayer.messages import update_client

STEPS_MAX: Final = 32
"""Bisections of one update; 2^32 heights lie between them."""

log = structlog.get_logger("relayer.clients")


class ClientUnusable(ChainError):
    """A client that no header can update: frozen, expired, or of another chain."""

    codespace = "relayer"
    code = 4
    summary = "client unusable"


@dataclass(frozen=True, slots=True)
class ClientView:
    """A 07-tendermint client as its host chain stores it, with its newest consensus state."""

    client_id: str
    state: tendermint_pb2.ClientState
    consensus: tendermint_pb2.ConsensusState

    @property
    def latest_height(self) -> client_pb2.Height:
        """The newest height the client trusts."""
        return self.state.latest_height

    @property
    def consensus_time_ns(self) -> int:
        """Time of the newest header the client trusts."""
        return to_time_ns(self.consensus.timestamp)

    @property
    def trusting_period_ns(self) -> int:
        """How long the client may go without an update."""
        period = self.state.trusting_period
        return period.seconds * NANOSECONDS + period.nanos

    @property
    def is_frozen(self) -> bool:
        """Whether misbehaviour was proven to it."""
        frozen = self.state.frozen_height
        return bool(frozen.revision_height or frozen.revision_number)

    def validate_usable(self, now_ns: int) -> None:
        """Raises ClientUnusable when the client is frozen or expired."""
        if self.is_frozen:
            raise ClientUnusable(
                f"{self.client_id} of {self.state.chain_id} is frozen for misbehaviour; the host "
                f"chain's council must substitute it"
            )
        expires_ns = self.consensus_time_ns + self.trusting_period_ns
        if expires_ns <= now_ns:
            raise ClientUnusable(
                f"{self.client_id} of {self.state.chain_id} expired "
                f"{(now_ns - expires_ns) // NANOSECONDS} s ago (trusting period "
                f"{self.trusting_period_ns // NANOSECONDS} s); the host chain's council must "
                f"substitute it"
            )


async def fetch_consensus_state(
    endpoint: Endpoint, client_id: str, height: client_pb2.Height
) -> tendermint_pb2.ConsensusState | None:
    """The consensus state a client holds at a height, or None."""
    path = host.consensus_state_path(client_id, Height.from_proto(height))
    found = await endpoint.query_state(path, 0, prove=False)
    if found.value is None:
        return None
    packed = Any.FromString(found.value)
    return tendermint_pb2.ConsensusState.FromString(packed.value)


async def fetch_client(endpoint: Endpoint, client_id: str) -> ClientView:
    """A client as its host chain stores it; raises NotFound and MalformedAnswer."""
    found = await endpoint.query_state(host.client_state_path(client_id), 0, prove=False)
    if found.value is None:
        raise NotFound(f"{endpoint.chain_id} has no client {client_id!r}")
    packed = Any.FromString(found.value)
    state = tendermint_pb2.ClientState()
    if packed.type_url != f"/{state.DESCRIPTOR.full_name}":
        raise MalformedAnswer(f"{client_id} is a {packed.type_url}, not a 07-tendermint client")
    state.ParseFromString(packed.value)
    consensus = await fetch_consensus_state(endpoint, client_id, state.latest_height)
    if consensus is None:
        raise NotFound(f"{client_id} on {endpoint.chain_id} has no newest consensus state")
    return ClientView(client_id, state, consensus)


def to_options(state: tendermint_pb2.ClientState) -> Options:
    """The parameters with which the host chain will verify."""
    period, drift = state.trusting_period, state.max_clock_drift
    return Options(
        trust_level=TrustLevel(state.trust_level.numerator, state.trust_level.denominator),
        trusting_period_ns=period.seconds * NANOSECONDS + period.nanos,
        clock_drift_ns=drift.seconds * NANOSECONDS + drift.nanos,
    )


async def build_updates(
    view: ClientView, source: Endpoint, target_height: int, signer: str
) -> list[client_tx.MsgUpdateClient]:
    """The updates that bring a client to the target height, verified here before they cost a fee.

    One when the trusted validators still sign enough, else a bisected run of several. Raises
    ClientUnusable when the source shows a header that the client must refuse.
    """
    options = to_options(view.state)
    trusted, consensus = view.latest_height, view.consensus
    messages: list[client_tx.MsgUpdateClient] = []
    pending = [target_height]
    for _ in range(STEPS_MAX):
        if not pending:
            return messages
        header = await fetch_header(source, pending[-1], trusted)
        state = TrustedState(
            chain_id=view.state.chain_id,
            height=trusted.revision_height,
            time_ns=to_time_ns(consensus.timestamp),
            next_validators_hash=consensus.next_validators_hash,
            next_validators=validator_set_from_pb(header.trusted_validators),
        )
        block = UntrustedBlock(
            signed_header_from_pb(header.signed_header), validator_set_from_pb(header.validator_set)
        )
        verdict = verify(state, block, options, time.time_ns())
        if isinstance(verdict, NotEnoughTrust):
            middle = (trusted.revision_height + pending[-1]) // 2
            log.info("bisecting", client=view.client_id, height=pending[-1], middle=middle)
            pending.append(middle)
            continue
        if isinstance(verdict, Invalid):
            raise ClientUnusable(
                f"{view.client_id}: header {pending[-1]} of {source.chain_id}: {verdict.error}"
            )
        messages.append(update_client(view.client_id, header, signer))
        consensus = tendermint_pb2.ConsensusState(
            timestamp=header.signed_header.header.time,
            next_validators_hash=header.signed_header.header.next_validators_hash,
        )
        trusted = client_pb2.Height(
            revision_number=trusted.revision_number, revision_height=pending.pop()
        )
    raise ClientUnusable(f"{view.client_id}: more than {STEPS_MAX} steps to height {target_height}")
