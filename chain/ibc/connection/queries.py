"""The queries of ibc.core.connection.v1.Query."""

from typing import Final

from chain._pb.ibc.core.connection.v1 import connection_pb2, query_pb2
from chain.ibc.client.queries import get_identified_client_state, get_packed_consensus_state
from chain.ibc.client.state import get_self_height
from chain.ibc.connection import state
from chain.ibc.connection.state import ConnectionEnd
from chain.ibc.errors import ClientConnectionsNotFound
from chain.ibc.height import Height
from chain.ibc.queries import answer_not_found, build_query_routes
from chain.runtime.context import Context
from chain.runtime.module import QueryRoute


def identify_connection(
    connection_id: str, connection: ConnectionEnd
) -> connection_pb2.IdentifiedConnection:
    """A connection end with its identifier."""
    return connection_pb2.IdentifiedConnection(
        id=connection_id,
        client_id=connection.client_id,
        versions=connection.versions,
        state=connection.state,
        counterparty=connection.counterparty,
        delay_period=connection.delay_period,
    )


def query_connection(
    ctx: Context, request: query_pb2.QueryConnectionRequest
) -> query_pb2.QueryConnectionResponse:
    """One connection end."""
    with answer_not_found():
        connection = state.get_connection(ctx, request.connection_id)
    return query_pb2.QueryConnectionResponse(
        connection=connection, proof_height=get_self_height(ctx).to_proto()
    )


def query_connections(
    ctx: Context, request: query_pb2.QueryConnectionsRequest
) -> query_pb2.QueryConnectionsResponse:
    """A page of all connections."""
    rows, page = state.get_connection_page(ctx, request.pagination)
    return query_pb2.QueryConnectionsResponse(
        connections=[identify_connection(*row) for row in rows],
        pagination=page,
        height=get_self_height(ctx).to_proto(),
    )


def query_client_connections(
    ctx: Context, request: query_pb2.QueryClientConnectionsRequest
) -> query_pb2.QueryClientConnectionsResponse:
    """The connections over a client."""
    with answer_not_found():
        paths = state.get_client_connections(ctx, request.client_id)
        if not paths:
            raise ClientConnectionsNotFound(f"client {request.client_id!r} has no connection")
    return query_pb2.QueryClientConnectionsResponse(
        connection_paths=paths, proof_height=get_self_height(ctx).to_proto()
    )


def query_connection_client_state(
    ctx: Context, request: query_pb2.QueryConnectionClientStateRequest
) -> query_pb2.QueryConnectionClientStateResponse:
    """The client state under a connection."""
    with answer_not_found():
        connection = state.get_connection(ctx, request.connection_id)
        identified = get_identified_client_state(ctx, connection.client_id)
    return query_pb2.QueryConnectionClientStateResponse(
        identified_client_state=identified, proof_height=get_self_height(ctx).to_proto()
    )


def query_connection_consensus_state(
    ctx: Context, request: query_pb2.QueryConnectionConsensusStateRequest
) -> query_pb2.QueryConnectionConsensusStateResponse:
    """A consensus state of the client under a connection."""
    height = Height(request.revision_number, request.revision_height)
    with answer_not_found():
        connection = state.get_connection(ctx, request.connection_id)
        packed = get_packed_consensus_state(ctx, connection.client_id, height)
    return query_pb2.QueryConnectionConsensusStateResponse(
        consensus_state=packed,
        client_id=connection.client_id,
        proof_height=get_self_height(ctx).to_proto(),
    )


def query_connection_params(
    ctx: Context, request: query_pb2.QueryConnectionParamsRequest
) -> query_pb2.QueryConnectionParamsResponse:
    """The connection parameters."""
    del request
    return query_pb2.QueryConnectionParamsResponse(params=state.get_params(ctx))


QUERIES: Final[tuple[QueryRoute, ...]] = build_query_routes(
    query_pb2.DESCRIPTOR.services_by_name["Query"],
    {
        "Connection": query_connection,
        "Connections": query_connections,
        "ClientConnections": query_client_connections,
        "ConnectionClientState": query_connection_client_state,
        "ConnectionConsensusState": query_connection_consensus_state,
        "ConnectionParams": query_connection_params,
    },
)
