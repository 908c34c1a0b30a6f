"""The messages of ICS-02: creating, updating, freezing, upgrading and recovering clients."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message

from chain._pb.ibc.core.client.v1 import client_pb2, tx_pb2
from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain.ibc import host
from chain.ibc.client import state, tendermint
from chain.ibc.client.membership import Proof, require_proof, verify_membership
from chain.ibc.client.state import (
    CLIENT_STATE_URL,
    CLIENT_TYPE,
    CONSENSUS_STATE_URL,
    ClientState,
    ConsensusState,
    Status,
)
from chain.ibc.errors import (
    ClientNotActive,
    ConsensusStateNotFound,
    InvalidClientType,
    InvalidHeight,
    InvalidMessage,
    InvalidRecoveryClient,
    InvalidSubstitute,
    InvalidUpgradeClient,
    Unauthorized,
    UnpackFailed,
)
from chain.ibc.height import Height
from chain.runtime.context import Context
from chain.units import NANOSECONDS, mul_div_floor

M = TypeVar("M", bound=Message)

ALLOW_ALL = "*"
ALLOWED_CLIENTS_MAX = 200


def unpack(packed: Any, type_url: str, message_type: type[M]) -> M:
    """The message in an Any; raises UnpackFailed for another type or bytes that are not one."""
    if packed.type_url != type_url:
        raise UnpackFailed(f"type {packed.type_url[:100]!r} stands where {type_url!r} must")
    try:
        return message_type.FromString(packed.value)
    except DecodeError:
        raise UnpackFailed(f"the bytes are not a {type_url}") from None


def require_allowed(ctx: Context, client_id: str) -> None:
    """Raises InvalidIdentifier or InvalidClientType unless the client may be used here."""
    host.validate_client_id(client_id)
    client_type = client_id.rsplit("-", 1)[0]
    allowed = state.get_params(ctx).allowed_clients
    if client_type != CLIENT_TYPE or not (client_type in allowed or ALLOW_ALL in allowed):
        raise InvalidClientType(
            f"client {client_id!r} is not of an allowed type; allowed: {list(allowed)}"
        )


def _emit(ctx: Context, event: str, attributes: dict[str, str]) -> None:
    ctx.emit(event, attributes)
    ctx.emit("message", {"module": "ibc_client"})


def handle_create_client(
    ctx: Context, msg: tx_pb2.MsgCreateClient
) -> tx_pb2.MsgCreateClientResponse:
    """Start following another chain from a state its creator vouches for; anyone may."""
    client = unpack(msg.client_state, CLIENT_STATE_URL, ClientState)
    consensus = unpack(msg.consensus_state, CONSENSUS_STATE_URL, ConsensusState)
    tendermint.validate_client_state(client)
    tendermint.validate_consensus_state(consensus)
    client_id = state.create_client_id(ctx)
    require_allowed(ctx, client_id)
    tendermint.initialize(ctx, client_id, client, consensus)
    status = state.get_status(ctx, client_id)
    if status is not Status.ACTIVE:
        raise ClientNotActive(f"the new client would be {status.value}; offer a fresh header")
    height = Height.from_proto(client.latest_height)
    _emit(
        ctx,
        "create_client",
        {
            "client_id": client_id,
            "client_type": CLIENT_TYPE,
            "consensus_height": str(height),
        },
    )
    return tx_pb2.MsgCreateClientResponse(client_id=client_id)


def handle_update_client(
    ctx: Context, msg: tx_pb2.MsgUpdateClient
) -> tx_pb2.MsgUpdateClientResponse:
    """Offer a header or misbehaviour to a client."""
    apply_client_message(ctx, msg.client_id, msg.client_message)
    return tx_pb2.MsgUpdateClientResponse()


def handle_submit_misbehaviour(
    ctx: Context, msg: tx_pb2.MsgSubmitMisbehaviour
) -> tx_pb2.MsgSubmitMisbehaviourResponse:
    """Offer misbehaviour to a client (the older message for it)."""
    apply_client_message(ctx, msg.client_id, msg.misbehaviour)
    return tx_pb2.MsgSubmitMisbehaviourResponse()


def apply_client_message(
    ctx: Context, client_id: str, packed: Any, *, is_verified: bool = False
) -> None:
    """Verify a header or misbehaviour and update or freeze the client; raises to refuse it.

    `is_verified` spares a header that verified before, in CheckTx, to be verified again.
    """
    require_allowed(ctx, client_id)
    state.require_active(ctx, client_id)
    height: Height | None
    if packed.type_url == tendermint.MISBEHAVIOUR_URL:
        evidence = unpack(packed, tendermint.MISBEHAVIOUR_URL, tendermint.Misbehaviour)
        is_frozen = tendermint.submit_misbehaviour(ctx, client_id, evidence)
        height = None
    else:
        header = unpack(packed, tendermint.HEADER_URL, tendermint.Header)
        height = tendermint.update(ctx, client_id, header, is_verified=is_verified)
        is_frozen = height is None
    identity = {"client_id": client_id, "client_type": CLIENT_TYPE}
    if is_frozen:
        _emit(ctx, "client_misbehaviour", identity)
        return
    heights = "" if height is None else str(height)
    # The header lets a relayer compare it with its own node's and prove a fork.
    header_hex = packed.SerializeToString(deterministic=True).hex()
    _emit(
        ctx,
        "update_client",
        identity
        | {"consensus_height": heights, "consensus_heights": heights, "header": header_hex},
    )


def handle_upgrade_client(
    ctx: Context, msg: tx_pb2.MsgUpgradeClient
) -> tx_pb2.MsgUpgradeClientResponse:
    """Follow a chain over an upgrade that it committed to under the client's upgrade path."""
    require_allowed(ctx, msg.client_id)
    state.require_active(ctx, msg.client_id)
    upgraded = unpack(msg.client_state, CLIENT_STATE_URL, ClientState)
    consensus = unpack(msg.consensus_state, CONSENSUS_STATE_URL, ConsensusState)
    require_proof(msg.proof_upgrade_client, "proof_upgrade_client")
    require_proof(msg.proof_upgrade_consensus_state, "proof_upgrade_consensus_state")
    client = state.get_client_state(ctx, msg.client_id)
    latest = Height.from_proto(client.latest_height)
    if not client.upgrade_path:
        raise InvalidUpgradeClient(f"client {msg.client_id!r} has no upgrade path")
    if Height.from_proto(upgraded.latest_height) <= latest:
        raise InvalidHeight(
            f"the upgraded client's height {Height.from_proto(upgraded.latest_height)} must be "
            f"above {latest}"
        )
    outer = tuple(key.encode() for key in client.upgrade_path[:-1])
    innermost = f"{client.upgrade_path[-1]}/{latest.revision_height}"
    committed = state.pack_client_state(tendermint.zero_custom_fields(upgraded))
    for data, name, value in (
        (msg.proof_upgrade_client, "upgradedClient", committed),
        (
            msg.proof_upgrade_consensus_state,
            "upgradedConsState",
            state.pack_consensus_state(consensus),
        ),
    ):
        verify_membership(
            ctx,
            msg.client_id,
            Proof(data, latest),
            (*outer, f"{innermost}/{name}".encode()),
            value.SerializeToString(deterministic=True),
        )
    successor = _build_upgraded(client, upgraded)
    tendermint.validate_client_state(successor)
    tendermint.validate_consensus_state(consensus)
    new_height = Height.from_proto(successor.latest_height)
    state.set_client_state(ctx, msg.client_id, successor)
    state.set_consensus_state(
        ctx,
        msg.client_id,
        new_height,
        ConsensusState(
            timestamp=consensus.timestamp,
            root=commitment_pb2.MerkleRoot(hash=tendermint.SENTINEL_ROOT),
            next_validators_hash=consensus.next_validators_hash,
        ),
    )
    _emit(
        ctx,
        "upgrade_client",
        {
            "client_id": msg.client_id,
            "client_type": CLIENT_TYPE,
            "consensus_height": str(new_height),
        },
    )
    return tx_pb2.MsgUpgradeClientResponse()


def _build_upgraded(client: ClientState, upgraded: ClientState) -> ClientState:
    """The client after an upgrade: the chain's part from the chain, the rest as it was.

    A shorter unbonding period shortens the trusting period in proportion (rounds down).
    """
    successor = ClientState()
    successor.CopyFrom(client)
    successor.chain_id = upgraded.chain_id
    successor.unbonding_period.CopyFrom(upgraded.unbonding_period)
    successor.latest_height.CopyFrom(upgraded.latest_height)
    del successor.proof_specs[:]
    successor.proof_specs.extend(upgraded.proof_specs)
    del successor.upgrade_path[:]
    successor.upgrade_path.extend(upgraded.upgrade_path)
    old_ns = state.duration_ns(client.unbonding_period)
    new_ns = state.duration_ns(upgraded.unbonding_period)
    if new_ns < old_ns:
        trusting_ns = mul_div_floor(state.duration_ns(client.trusting_period), new_ns, old_ns)
        seconds, nanos = divmod(trusting_ns, NANOSECONDS)
        successor.trusting_period.seconds = seconds
        successor.trusting_period.nanos = nanos
    return successor


@dataclass(frozen=True, slots=True)
class AuthorityMessages:
    """The handlers of messages that only the chain's authority may send."""

    get_authority: Callable[[Context], str]

    def require_authority(self, ctx: Context, signer: str) -> None:
        """Raises Unauthorized unless the signer is the chain's authority."""
        authority = self.get_authority(ctx)
        if signer != authority:
            raise Unauthorized(f"only the authority {authority!r} may do this, not {signer!r}")

    def handle_update_client_params(
        self, ctx: Context, msg: tx_pb2.MsgUpdateParams
    ) -> tx_pb2.MsgUpdateParamsResponse:
        """Set which client types may be created and used."""
        self.require_authority(ctx, msg.signer)
        validate_params(msg.params)
        state.set_params(ctx, msg.params)
        return tx_pb2.MsgUpdateParamsResponse()

    def handle_recover_client(
        self, ctx: Context, msg: tx_pb2.MsgRecoverClient
    ) -> tx_pb2.MsgRecoverClientResponse:
        """Let an expired or frozen client continue from the state of an active substitute."""
        self.require_authority(ctx, msg.signer)
        subject_id, substitute_id = msg.subject_client_id, msg.substitute_client_id
        require_allowed(ctx, subject_id)
        require_allowed(ctx, substitute_id)
        subject = state.get_client_state(ctx, subject_id)
        if state.get_status(ctx, subject_id) is Status.ACTIVE:
            raise InvalidRecoveryClient(f"client {subject_id!r} is active and needs no recovery")
        state.require_active(ctx, substitute_id)
        substitute = state.get_client_state(ctx, substitute_id)
        height = Height.from_proto(substitute.latest_height)
        if Height.from_proto(subject.latest_height) >= height:
            raise InvalidHeight(
                f"the substitute's height {height} must be above the subject's "
                f"{Height.from_proto(subject.latest_height)}"
            )
        if _recoverable_part(subject) != _recoverable_part(substitute):
            raise InvalidSubstitute(
                "subject and substitute may differ in chain id, heights and trusting period only"
            )
        consensus = state.get_consensus_state(ctx, substitute_id, height)
        processed = state.get_processed(ctx, substitute_id, height)
        if consensus is None or processed is None:
            raise ConsensusStateNotFound(f"substitute {substitute_id!r} holds nothing at {height}")
        subject.chain_id = substitute.chain_id
        subject.trusting_period.CopyFrom(substitute.trusting_period)
        subject.latest_height.CopyFrom(substitute.latest_height)
        subject.frozen_height.CopyFrom(client_pb2.Height())
        state.set_client_state(ctx, subject_id, subject)
        state.set_consensus_state_processed(ctx, subject_id, height, consensus, processed)
        _emit(ctx, "recover_client", {"subject_client_id": subject_id, "client_type": CLIENT_TYPE})
        return tx_pb2.MsgRecoverClientResponse()


def _recoverable_part(client: ClientState) -> ClientState:
    """What a substitute must share with its subject."""
    part = ClientState()
    part.CopyFrom(client)
    for field in (
        "chain_id",
        "latest_height",
        "frozen_height",
        "trusting_period",
        "allow_update_after_expiry",
        "allow_update_after_misbehaviour",
    ):
        part.ClearField(field)
    return part


def validate_params(params: client_pb2.Params) -> None:
    """Raises InvalidMessage unless 1 to 200 distinct client types are named."""
    allowed = list(params.allowed_clients)
    if not 1 <= len(allowed) <= ALLOWED_CLIENTS_MAX:
        raise InvalidMessage(
            f"{len(allowed)} allowed client types, must be 1 to {ALLOWED_CLIENTS_MAX}"
        )
    if sorted(dict.fromkeys(allowed)) != sorted(allowed) or not all(t.strip() for t in allowed):
        raise InvalidMessage("allowed client types must be distinct and not blank")
