"""The four steps in which two chains open a connection (ICS-03), as ibc-go v10 runs them.

Only the connection end is proven; the client and consensus proofs of older relayers are ignored.
"""

from collections.abc import Callable
from dataclasses import dataclass

from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain._pb.ibc.core.connection.v1 import connection_pb2, tx_pb2
from chain.ibc import host
from chain.ibc.client.membership import Proof, require_proof
from chain.ibc.client.state import require_active
from chain.ibc.connection import proofs, state, versions
from chain.ibc.connection.state import ConnectionEnd
from chain.ibc.errors import (
    InvalidConnectionCounterparty,
    InvalidConnectionIdentifier,
    InvalidConnectionState,
    InvalidConnectionVersion,
    InvalidMessage,
)
from chain.ibc.height import Height
from chain.runtime.context import Context

PREFIX_BYTES_MAX = 256


def _counterparty(client_id: str, connection_id: str) -> connection_pb2.Counterparty:
    """How the counterparty should have written this chain."""
    return connection_pb2.Counterparty(
        client_id=client_id,
        connection_id=connection_id,
        prefix=commitment_pb2.MerklePrefix(key_prefix=host.COMMITMENT_PREFIX),
    )


def _validate_counterparty(counterparty: connection_pb2.Counterparty) -> None:
    host.validate_client_id(counterparty.client_id)
    size = len(counterparty.prefix.key_prefix)
    if not 1 <= size <= PREFIX_BYTES_MAX:
        raise InvalidConnectionCounterparty(
            f"the counterparty's commitment prefix has {size} bytes, must have 1 to "
            f"{PREFIX_BYTES_MAX}"
        )


def _validate_own_id(connection_id: str) -> None:
    if host.parse_sequence(connection_id, "connection-") is None:
        raise InvalidConnectionIdentifier(
            f"{connection_id!r} is not of the form connection-NUMBER that this chain gives"
        )


def _require_state(connection: ConnectionEnd, connection_id: str, expected: int) -> None:
    if connection.state != expected:
        raise InvalidConnectionState(
            f"connection {connection_id!r} is {connection_pb2.State.Name(connection.state)}, this "
            f"step needs {connection_pb2.State.Name(expected)}"
        )


def _emit(ctx: Context, event: str, connection_id: str, connection: ConnectionEnd) -> None:
    ctx.emit(
        event,
        {
            "connection_id": connection_id,
            "client_id": connection.client_id,
            "counterparty_client_id": connection.counterparty.client_id,
            "counterparty_connection_id": connection.counterparty.connection_id,
        },
    )
    ctx.emit("message", {"module": "ibc_connection"})


def handle_connection_open_init(
    ctx: Context, msg: tx_pb2.MsgConnectionOpenInit
) -> tx_pb2.MsgConnectionOpenInitResponse:
    """Propose a connection over a client of this chain."""
    host.validate_client_id(msg.client_id)
    _validate_counterparty(msg.counterparty)
    if msg.counterparty.connection_id:
        raise InvalidConnectionCounterparty(
            "the counterparty has no connection identifier yet; leave it empty"
        )
    offered = versions.build_default_version()
    if msg.HasField("version"):
        versions.validate_version(msg.version)
        if not versions.is_supported([offered], msg.version):
            raise InvalidConnectionVersion(
                f"version {msg.version.identifier!r} with {list(msg.version.features)} is not "
                f"supported; this chain speaks {offered.identifier!r} with {list(offered.features)}"
            )
        offered = msg.version
    require_active(ctx, msg.client_id)
    connection_id = state.create_connection_id(ctx)
    state.add_client_connection(ctx, msg.client_id, connection_id)
    connection = ConnectionEnd(
        client_id=msg.client_id,
        versions=[offered],
        state=connection_pb2.STATE_INIT,
        counterparty=msg.counterparty,
        delay_period=msg.delay_period,
    )
    state.set_connection(ctx, connection_id, connection)
    _emit(ctx, "connection_open_init", connection_id, connection)
    return tx_pb2.MsgConnectionOpenInitResponse()


def handle_connection_open_try(
    ctx: Context, msg: tx_pb2.MsgConnectionOpenTry
) -> tx_pb2.MsgConnectionOpenTryResponse:
    """Answer a connection that the counterparty proposed."""
    host.validate_client_id(msg.client_id)
    _validate_counterparty(msg.counterparty)
    host.validate_connection_id(msg.counterparty.connection_id)
    if not 1 <= len(msg.counterparty_versions) <= versions.VERSIONS_MAX:
        raise InvalidConnectionVersion(
            f"{len(msg.counterparty_versions)} versions offered, must be 1 to "
            f"{versions.VERSIONS_MAX}"
        )
    for version in msg.counterparty_versions:
        versions.validate_version(version)
    require_proof(msg.proof_init, "proof_init")
    chosen = versions.pick_version(msg.counterparty_versions)
    connection_id = state.create_connection_id(ctx)
    expected = ConnectionEnd(
        client_id=msg.counterparty.client_id,
        versions=msg.counterparty_versions,
        state=connection_pb2.STATE_INIT,
        counterparty=_counterparty(msg.client_id, ""),
        delay_period=msg.delay_period,
    )
    connection = ConnectionEnd(
        client_id=msg.client_id,
        versions=[chosen],
        state=connection_pb2.STATE_TRYOPEN,
        counterparty=msg.counterparty,
        delay_period=msg.delay_period,
    )
    proof = Proof(msg.proof_init, Height.from_proto(msg.proof_height))
    proofs.verify_connection_state(ctx, connection, proof, msg.counterparty.connection_id, expected)
    state.add_client_connection(ctx, msg.client_id, connection_id)
    state.set_connection(ctx, connection_id, connection)
    _emit(ctx, "connection_open_try", connection_id, connection)
    return tx_pb2.MsgConnectionOpenTryResponse()


def handle_connection_open_ack(
    ctx: Context, msg: tx_pb2.MsgConnectionOpenAck
) -> tx_pb2.MsgConnectionOpenAckResponse:
    """Open the proposed connection after the counterparty answered."""
    _validate_own_id(msg.connection_id)
    host.validate_connection_id(msg.counterparty_connection_id)
    versions.validate_version(msg.version)
    require_proof(msg.proof_try, "proof_try")
    connection = state.get_connection(ctx, msg.connection_id)
    _require_state(connection, msg.connection_id, connection_pb2.STATE_INIT)
    if not versions.is_supported(connection.versions, msg.version):
        raise InvalidConnectionVersion(
            f"the counterparty chose version {msg.version.identifier!r} with "
            f"{list(msg.version.features)}, which connection {msg.connection_id!r} did not offer"
        )
    expected = ConnectionEnd(
        client_id=connection.counterparty.client_id,
        versions=[msg.version],
        state=connection_pb2.STATE_TRYOPEN,
        counterparty=_counterparty(connection.client_id, msg.connection_id),
        delay_period=connection.delay_period,
    )
    proof = Proof(msg.proof_try, Height.from_proto(msg.proof_height))
    proofs.verify_connection_state(ctx, connection, proof, msg.counterparty_connection_id, expected)
    connection.state = connection_pb2.STATE_OPEN
    del connection.versions[:]
    connection.versions.append(msg.version)
    connection.counterparty.connection_id = msg.counterparty_connection_id
    state.set_connection(ctx, msg.connection_id, connection)
    _emit(ctx, "connection_open_ack", msg.connection_id, connection)
    return tx_pb2.MsgConnectionOpenAckResponse()


def handle_connection_open_confirm(
    ctx: Context, msg: tx_pb2.MsgConnectionOpenConfirm
) -> tx_pb2.MsgConnectionOpenConfirmResponse:
    """Open the answered connection after the counterparty opened its end."""
    _validate_own_id(msg.connection_id)
    require_proof(msg.proof_ack, "proof_ack")
    connection = state.get_connection(ctx, msg.connection_id)
    _require_state(connection, msg.connection_id, connection_pb2.STATE_TRYOPEN)
    expected = ConnectionEnd(
        client_id=connection.counterparty.client_id,
        versions=connection.versions,
        state=connection_pb2.STATE_OPEN,
        counterparty=_counterparty(connection.client_id, msg.connection_id),
        delay_period=connection.delay_period,
    )
    proof = Proof(msg.proof_ack, Height.from_proto(msg.proof_height))
    proofs.verify_connection_state(
        ctx, connection, proof, connection.counterparty.connection_id, expected
    )
    connection.state = connection_pb2.STATE_OPEN
    state.set_connection(ctx, msg.connection_id, connection)
    _emit(ctx, "connection_open_confirm", msg.connection_id, connection)
    return tx_pb2.MsgConnectionOpenConfirmResponse()


@dataclass(frozen=True, slots=True)
class AuthorityMessages:
    """The handler of the message that only the chain's authority may send."""

    require_authority: Callable[[Context, str], None]

    def handle_update_connection_params(
        self, ctx: Context, msg: tx_pb2.MsgUpdateParams
    ) -> tx_pb2.MsgUpdateParamsResponse:
        """Set the longest expected time between blocks, from which block delays follow."""
        self.require_authority(ctx, msg.signer)
        if msg.params.max_expected_time_per_block == 0:
            raise InvalidMessage("max_expected_time_per_block must be above zero")
        state.set_params(ctx, msg.params)
        return tx_pb2.MsgUpdateParamsResponse()
