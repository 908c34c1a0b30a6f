"""Ends that an interrupted link left behind: found on chain and taken up instead of made anew.

A relayer may be killed between a transaction and the note of the id it gave. Whatever fits the path
exactly and leads nowhere else is what it was about to note.
"""

from functools import partial
from typing import Final

from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.channel.v1 import query_pb2 as channel_query
from chain._pb.ibc.core.client.v1 import client_pb2
from chain._pb.ibc.core.client.v1 import query_pb2 as client_query
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx
from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain._pb.ibc.core.connection.v1 import query_pb2 as connection_query
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain.client.comet import CometClient
from chain.client.errors import NotFound, QueryRefused, RpcError
from relayer.clients import ClientUnusable, fetch_client
from relayer.endpoint import Endpoint
from relayer.headers import to_consensus_state
from relayer.side import Side

PAGE_ROWS: Final = 100
PAGES_MAX: Final = 20
CONNECTIONS_MAX: Final = 50
"""So many of the newest connections of a client are looked at."""
_HALF_OPEN: Final = (connection_pb2.STATE_INIT, connection_pb2.STATE_TRYOPEN)


def is_same_kind(state: tendermint_pb2.ClientState, wanted: tendermint_pb2.ClientState) -> bool:
    """Whether two clients differ in nothing but the height they stand at."""
    mine = tendermint_pb2.ClientState()
    mine.CopyFrom(state)
    mine.latest_height.CopyFrom(wanted.latest_height)
    return mine == wanted


async def find_unused_client(
    endpoint: Endpoint, reference: Endpoint, wanted: client_tx.MsgCreateClient
) -> str:
    """A client like the wanted one that no connection uses, or "".

    Anyone may have made it, so its newest state must be what the reference chain has at its height.
    """
    state = tendermint_pb2.ClientState.FromString(wanted.client_state.value)
    for row in reversed(await _list_clients(endpoint)):
        if row.client_state.type_url != wanted.client_state.type_url:
            continue
        found = tendermint_pb2.ClientState.FromString(row.client_state.value)
        if not is_same_kind(found, state):
            continue
        if await _list_connections(endpoint, row.client_id):
            continue
        try:
            view = await fetch_client(endpoint, row.client_id)
            view.validate_usable((await endpoint.latest()).time_ns)
            height = view.latest_height.revision_height
            header = await reference.ask("header", partial(CometClient.header, height=height))
        except (ClientUnusable, NotFound, RpcError):
            continue
        if view.consensus == to_consensus_state(header):
            return row.client_id
    return ""


async def find_connection(side: Side, other: Side) -> str:
    """A half-open connection between both clients that belongs to no other path, or ""."""
    for connection_id in await _list_connections(side.endpoint, side.client):
        answer = await side.endpoint.query(
            "/ibc.core.connection.v1.Query/Connection",
            connection_query.QueryConnectionRequest(connection_id=connection_id),
            connection_query.QueryConnectionResponse,
        )
        end = answer.connection
        if end.state not in _HALF_OPEN or end.counterparty.client_id != other.client:
            continue
        if end.state == connection_pb2.STATE_INIT and not other.connection:
            return connection_id
        is_answer = end.counterparty.connection_id == other.connection
        if end.state == connection_pb2.STATE_TRYOPEN and is_answer:
            return connection_id
    return ""


async def find_channel(side: Side, other: Side, version: str, order: int) -> str:
    """A half-open channel of this path's ports, version and order, or ""."""
    if not side.connection:
        return ""
    try:
        answer = await side.endpoint.query(
            "/ibc.core.channel.v1.Query/ConnectionChannels",
            channel_query.QueryConnectionChannelsRequest(
                connection=side.connection, pagination=pagination_pb2.PageRequest(limit=PAGE_ROWS)
            ),
            channel_query.QueryConnectionChannelsResponse,
        )
    except (NotFound, QueryRefused):
        return ""
    for row in answer.channels:
        is_fitting = (
            row.port_id == side.port
            and row.counterparty.port_id == other.port
            and row.version == version
            and row.ordering == order
        )
        if not is_fitting:
            continue
        if row.state == channel_pb2.STATE_INIT and not other.channel:
            return row.channel_id
        is_answer = row.counterparty.channel_id == other.channel
        if row.state == channel_pb2.STATE_TRYOPEN and is_answer:
            return row.channel_id
    return ""


async def _list_connections(endpoint: Endpoint, client_id: str) -> list[str]:
    """Connections of a client, the newest first."""
    try:
        answer = await endpoint.query(
            "/ibc.core.connection.v1.Query/ClientConnections",
            connection_query.QueryClientConnectionsRequest(client_id=client_id),
            connection_query.QueryClientConnectionsResponse,
        )
    except (NotFound, QueryRefused):
        return []
    return list(reversed(answer.connection_paths))[:CONNECTIONS_MAX]


async def _list_clients(endpoint: Endpoint) -> list[client_pb2.IdentifiedClientState]:
    """The clients of a chain in the order of their making, at most PAGES_MAX pages of them."""
    rows: list[client_pb2.IdentifiedClientState] = []
    key = b""
    for _ in range(PAGES_MAX):
        answer = await endpoint.query(
            "/ibc.core.client.v1.Query/ClientStates",
            client_query.QueryClientStatesRequest(
                pagination=pagination_pb2.PageRequest(key=key, limit=PAGE_ROWS)
            ),
            client_query.QueryClientStatesResponse,
        )
        rows += answer.client_states
        key = answer.pagination.next_key
        if not key:
            break
    return rows
