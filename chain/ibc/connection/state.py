"""The store of ICS-03: connection ends, connections of a client, parameters; keys as in ibc-go."""

from collections.abc import Iterator
from typing import Final

from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain.ibc import host
from chain.ibc.errors import ClientNotFound, ConnectionNotFound
from chain.runtime.context import Context
from chain.runtime.pagination import get_page
from chain.runtime.store import StoreView

ConnectionEnd = connection_pb2.ConnectionEnd

DEFAULT_TIME_PER_BLOCK_NS: Final = 30_000_000_000
"""The longest time between blocks one may expect, from which block delays follow."""

_NEXT_CONNECTION_SEQUENCE: Final = b"nextConnectionSequence"
_CONNECTIONS: Final = b"connections/"
_PARAMS: Final = b"connectionParams"


def _store(ctx: Context) -> StoreView:
    return ctx.kv(host.STORE)


def get_connection(ctx: Context, connection_id: str) -> ConnectionEnd:
    """A connection end; raises ConnectionNotFound."""
    value = _store(ctx).get(host.connection_path(connection_id))
    if value is None:
        raise ConnectionNotFound(f"no connection has the identifier {connection_id!r}")
    return ConnectionEnd.FromString(value)


def pack_connection(connection: ConnectionEnd) -> bytes:
    """A connection end as chains store it: fields that Go never omits are present."""
    connection.counterparty.SetInParent()
    connection.counterparty.prefix.SetInParent()
    return connection.SerializeToString(deterministic=True)


def set_connection(ctx: Context, connection_id: str, connection: ConnectionEnd) -> None:
    """Write a connection end."""
    _store(ctx).set(host.connection_path(connection_id), pack_connection(connection))


def get_client_connections(ctx: Context, client_id: str) -> tuple[str, ...]:
    """The identifiers of the connections over a client, in the order they were made."""
    value = _store(ctx).get(host.client_connections_path(client_id))
    return () if value is None else tuple(connection_pb2.ClientPaths.FromString(value).paths)


def set_client_connections(ctx: Context, client_id: str, paths: tuple[str, ...]) -> None:
    """Write the identifiers of the connections over a client."""
    message = connection_pb2.ClientPaths(paths=paths)
    _store(ctx).set(
        host.client_connections_path(client_id), message.SerializeToString(deterministic=True)
    )


def add_client_connection(ctx: Context, client_id: str, connection_id: str) -> None:
    """List a new connection with its client; raises ClientNotFound."""
    if not _store(ctx).has(host.client_state_path(client_id)):
        raise ClientNotFound(f"no client has the identifier {client_id!r}")
    paths = get_client_connections(ctx, client_id)
    set_client_connections(ctx, client_id, (*paths, connection_id))


def get_next_connection_sequence(ctx: Context) -> int:
    """The number of the next connection."""
    value = _store(ctx).get(_NEXT_CONNECTION_SEQUENCE)
    return 0 if value is None else int.from_bytes(value, "big")


def set_next_connection_sequence(ctx: Context, sequence: int) -> None:
    """Write the number of the next connection."""
    _store(ctx).set(_NEXT_CONNECTION_SEQUENCE, sequence.to_bytes(8, "big"))


def create_connection_id(ctx: Context) -> str:
    """A fresh connection identifier."""
    sequence = get_next_connection_sequence(ctx)
    set_next_connection_sequence(ctx, sequence + 1)
    return f"connection-{sequence}"


def iterate_connections(ctx: Context) -> Iterator[tuple[str, ConnectionEnd]]:
    """Identifier and end of every connection; bound the work at the call site."""
    for key, value in _store(ctx).iterate(_CONNECTIONS):
        yield key.removeprefix(_CONNECTIONS).decode(), ConnectionEnd.FromString(value)


def get_connection_page(
    ctx: Context, request: pagination_pb2.PageRequest
) -> tuple[list[tuple[str, ConnectionEnd]], pagination_pb2.PageResponse]:
    """One page of the connections, by identifier."""
    rows, page = get_page(_store(ctx), _CONNECTIONS, request)
    return [(key.decode(), ConnectionEnd.FromString(value)) for key, value in rows], page


def get_params(ctx: Context) -> connection_pb2.Params:
    """The connection parameters."""
    value = _store(ctx).get(_PARAMS)
    return connection_pb2.Params() if value is None else connection_pb2.Params.FromString(value)


def set_params(ctx: Context, params: connection_pb2.Params) -> None:
    """Write the connection parameters (a positive expected time per block)."""
    _store(ctx).set(_PARAMS, params.SerializeToString(deterministic=True))
