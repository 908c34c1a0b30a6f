"""The store of ICS-02: client states, consensus states and their metadata, keys as in ibc-go.

Values are what the Cosmos SDK stores there, byte for byte: client and consensus states as
google.protobuf.Any, numbers as 8 bytes big-endian, heights as text.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Final

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.ibc.core.client.v1 import client_pb2
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain.ibc import host
from chain.ibc.errors import ClientNotActive, ClientNotFound
from chain.ibc.height import Height, parse_revision
from chain.runtime.context import Context
from chain.runtime.pagination import get_page
from chain.runtime.store import StoreView
from chain.units import NANOSECONDS

CLIENT_TYPE: Final = "07-tendermint"
CLIENT_STATE_URL: Final = "/ibc.lightclients.tendermint.v1.ClientState"
CONSENSUS_STATE_URL: Final = "/ibc.lightclients.tendermint.v1.ConsensusState"

_NEXT_CLIENT_SEQUENCE: Final = b"nextClientSequence"
_PARAMS: Final = b"clientParams"
_CLIENTS: Final = b"clients/"

ClientState = tendermint_pb2.ClientState
ConsensusState = tendermint_pb2.ConsensusState


class Status(Enum):
    """What a client may be used for: only an active one verifies anything."""

    ACTIVE = "Active"
    EXPIRED = "Expired"
    FROZEN = "Frozen"
    UNKNOWN = "Unknown"


def _store(ctx: Context) -> StoreView:
    return ctx.kv(host.STORE)


def get_self_height(ctx: Context) -> Height:
    """The height of this chain as its counterparties write it."""
    return Height(parse_revision(ctx.chain_id), ctx.height)


def duration_ns(duration: Duration) -> int:
    """A protobuf duration in nanoseconds."""
    return duration.seconds * NANOSECONDS + duration.nanos


def timestamp_ns(timestamp: Timestamp) -> int:
    """A protobuf time in nanoseconds since 1970."""
    return timestamp.seconds * NANOSECONDS + timestamp.nanos


def pack_client_state(state: ClientState) -> Any:
    """The client state as it is stored: fields that Go never omits are present."""
    for field in (
        state.trust_level,
        state.trusting_period,
        state.unbonding_period,
        state.max_clock_drift,
        state.frozen_height,
        state.latest_height,
    ):
        field.SetInParent()
    return Any(type_url=CLIENT_STATE_URL, value=state.SerializeToString(deterministic=True))


def pack_consensus_state(state: ConsensusState) -> Any:
    """The consensus state as it is stored: fields that Go never omits are present."""
    state.timestamp.SetInParent()
    state.root.SetInParent()
    return Any(type_url=CONSENSUS_STATE_URL, value=state.SerializeToString(deterministic=True))


def has_client(ctx: Context, client_id: str) -> bool:
    """Whether a client of this identifier exists."""
    return _store(ctx).has(host.client_state_path(client_id))


def get_client_state(ctx: Context, client_id: str) -> ClientState:
    """The state of a client; raises ClientNotFound."""
    value = _store(ctx).get(host.client_state_path(client_id))
    if value is None:
        raise ClientNotFound(f"no client has the identifier {client_id!r}")
    return ClientState.FromString(Any.FromString(value).value)


def set_client_state(ctx: Context, client_id: str, state: ClientState) -> None:
    """Write the state of a client."""
    _store(ctx).set(
        host.client_state_path(client_id),
        pack_client_state(state).SerializeToString(deterministic=True),
    )


def get_consensus_state(ctx: Context, client_id: str, height: Height) -> ConsensusState | None:
    """What a client verified of its chain at a height, or None."""
    value = _store(ctx).get(host.consensus_state_path(client_id, height))
    return None if value is None else ConsensusState.FromString(Any.FromString(value).value)


def get_latest_height(ctx: Context, client_id: str) -> Height:
    """The highest height a client verified; raises ClientNotFound."""
    return Height.from_proto(get_client_state(ctx, client_id).latest_height)


def get_consensus_time_ns(ctx: Context, client_id: str, height: Height) -> int | None:
    """The block time of a verified height, or None when the client does not hold it."""
    state = get_consensus_state(ctx, client_id, height)
    return None if state is None else timestamp_ns(state.timestamp)


def get_latest_consensus_time_ns(ctx: Context, client_id: str) -> int | None:
    """The block time of the highest verified height, or None when it was pruned.

    Raises ClientNotFound.
    """
    return get_consensus_time_ns(ctx, client_id, get_latest_height(ctx, client_id))


def is_expired(state: ClientState, consensus_time_ns: int, now_ns: int) -> bool:
    """Whether a consensus state of this time is past the trusting period."""
    return consensus_time_ns + duration_ns(state.trusting_period) <= now_ns


def get_status(ctx: Context, client_id: str) -> Status:
    """Whether a client is active, expired, frozen or unknown at the block time."""
    if not has_client(ctx, client_id):
        return Status.UNKNOWN
    state = get_client_state(ctx, client_id)
    if not Height.from_proto(state.frozen_height).is_zero:
        return Status.FROZEN
    time_ns = get_consensus_time_ns(ctx, client_id, Height.from_proto(state.latest_height))
    if time_ns is None or is_expired(state, time_ns, ctx.time_ns):
        return Status.EXPIRED
    return Status.ACTIVE


def require_active(ctx: Context, client_id: str) -> None:
    """Raises ClientNotActive unless the client is active."""
    status = get_status(ctx, client_id)
    if status is not Status.ACTIVE:
        raise ClientNotActive(f"client {client_id!r} is {status.value}; it proves nothing")


# Consensus states and metadata -------------------------------------------------------------------


def _metadata_key(client_id: str, height: Height, name: bytes) -> bytes:
    return host.consensus_state_path(client_id, height) + name


def _iteration_prefix(client_id: str) -> bytes:
    return f"clients/{client_id}/iterateConsensusStates".encode()


def _iteration_key(client_id: str, height: Height) -> bytes:
    return (
        _iteration_prefix(client_id)
        + height.revision_number.to_bytes(8, "big")
        + height.revision_height.to_bytes(8, "big")
    )


def _height_of_iteration_key(key: bytes) -> Height:
    return Height(int.from_bytes(key[-16:-8], "big"), int.from_bytes(key[-8:], "big"))


def set_consensus_state(
    ctx: Context, client_id: str, height: Height, state: ConsensusState
) -> None:
    """Write a verified consensus state with the time and height at which it is processed here."""
    set_consensus_state_processed(
        ctx, client_id, height, state, processed=(ctx.time_ns, get_self_height(ctx))
    )


def set_consensus_state_processed(
    ctx: Context,
    client_id: str,
    height: Height,
    state: ConsensusState,
    processed: tuple[int, Height],
) -> None:
    """Write a consensus state with given processing time (ns) and height of this chain."""
    store = _store(ctx)
    path = host.consensus_state_path(client_id, height)
    time_ns, self_height = processed
    store.set(path, pack_consensus_state(state).SerializeToString(deterministic=True))
    store.set(path + b"/processedTime", time_ns.to_bytes(8, "big"))
    store.set(path + b"/processedHeight", str(self_height).encode())
    store.set(_iteration_key(client_id, height), f"consensusStates/{height}".encode())


def delete_consensus_state(ctx: Context, client_id: str, height: Height) -> None:
    """Forget a consensus state and its metadata."""
    store = _store(ctx)
    store.delete(host.consensus_state_path(client_id, height))
    store.delete(_metadata_key(client_id, height, b"/processedTime"))
    store.delete(_metadata_key(client_id, height, b"/processedHeight"))
    store.delete(_iteration_key(client_id, height))


def get_processed(ctx: Context, client_id: str, height: Height) -> tuple[int, Height] | None:
    """When this chain processed a consensus state: its block time (ns) and height, or None."""
    store = _store(ctx)
    time_bytes = store.get(_metadata_key(client_id, height, b"/processedTime"))
    height_bytes = store.get(_metadata_key(client_id, height, b"/processedHeight"))
    if time_bytes is None or height_bytes is None:
        return None
    return int.from_bytes(time_bytes, "big"), Height.parse(height_bytes.decode())


def iterate_consensus_heights(ctx: Context, client_id: str) -> Iterator[Height]:
    """The heights a client holds, ascending; bound the work at the call site."""
    for key, _ in _store(ctx).iterate(_iteration_prefix(client_id)):
        yield _height_of_iteration_key(key)


def get_height_page(
    ctx: Context, client_id: str, request: pagination_pb2.PageRequest
) -> tuple[list[Height], pagination_pb2.PageResponse]:
    """One page of the heights a client holds, ascending unless reversed."""
    rows, page = get_page(_store(ctx), _iteration_prefix(client_id), request)
    return [_height_of_iteration_key(key) for key, _ in rows], page


def iterate_metadata(ctx: Context) -> Iterator[tuple[str, bytes, bytes]]:
    """Client, key within the client and value of all metadata; bound the work at the call site."""
    for key, value in _store(ctx).iterate(_CLIENTS):
        _, client_id, rest = key.split(b"/", 2)
        parts = rest.split(b"/")
        is_metadata = rest.startswith(b"iterateConsensusStates") or (
            len(parts) == 3 and parts[0] == b"consensusStates"
        )
        if is_metadata:
            yield client_id.decode(), rest, value


def set_metadata(ctx: Context, client_id: str, key: bytes, value: bytes) -> None:
    """Write metadata as iterate_metadata gave it."""
    _store(ctx).set(f"clients/{client_id}/".encode() + key, value)


def set_exported_consensus_state(ctx: Context, client_id: str, height: Height, packed: Any) -> None:
    """Write a consensus state without metadata, which an export lists apart."""
    _store(ctx).set(
        host.consensus_state_path(client_id, height),
        packed.SerializeToString(deterministic=True),
    )


def get_previous_height(ctx: Context, client_id: str, height: Height) -> Height | None:
    """The highest held height below this one, or None."""
    pairs = _store(ctx).iterate_range(
        _iteration_prefix(client_id), _iteration_key(client_id, height), reverse=True
    )
    first = next(pairs, None)
    return None if first is None else _height_of_iteration_key(first[0])


def get_next_height(ctx: Context, client_id: str, height: Height) -> Height | None:
    """The lowest held height above this one, or None."""
    start = _iteration_key(client_id, height) + b"\x00"
    end = _iteration_prefix(client_id) + b"\xff" * 17
    first = next(_store(ctx).iterate_range(start, end), None)
    return None if first is None else _height_of_iteration_key(first[0])


# Identifiers and parameters ----------------------------------------------------------------------


def get_next_client_sequence(ctx: Context) -> int:
    """The number of the next client."""
    value = _store(ctx).get(_NEXT_CLIENT_SEQUENCE)
    return 0 if value is None else int.from_bytes(value, "big")


def set_next_client_sequence(ctx: Context, sequence: int) -> None:
    """Write the number of the next client."""
    _store(ctx).set(_NEXT_CLIENT_SEQUENCE, sequence.to_bytes(8, "big"))


def create_client_id(ctx: Context) -> str:
    """A fresh client identifier."""
    sequence = get_next_client_sequence(ctx)
    set_next_client_sequence(ctx, sequence + 1)
    return f"{CLIENT_TYPE}-{sequence}"


def get_params(ctx: Context) -> client_pb2.Params:
    """Which client types may be created and used."""
    value = _store(ctx).get(_PARAMS)
    return client_pb2.Params() if value is None else client_pb2.Params.FromString(value)


def set_params(ctx: Context, params: client_pb2.Params) -> None:
    """Write the client parameters (at least one allowed client)."""
    _store(ctx).set(_PARAMS, params.SerializeToString(deterministic=True))


def iterate_client_states(ctx: Context, start: int = 0) -> Iterator[tuple[int, str, Any]]:
    """Number, identifier and packed state of clients from a number on; bound the work yourself.

    Identifiers are generated, so each is read directly: consensus states are never walked.
    """
    store = _store(ctx)
    for number in range(start, get_next_client_sequence(ctx)):
        client_id = f"{CLIENT_TYPE}-{number}"
        value = store.get(host.client_state_path(client_id))
        if value is not None:
            yield number, client_id, Any.FromString(value)
