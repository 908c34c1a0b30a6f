"""The queries of ibc.core.client.v1.Query."""

from itertools import islice
from typing import Final

from google.protobuf.any_pb2 import Any

from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.ibc.core.client.v1 import client_pb2, query_pb2
from chain.ibc.client import state
from chain.ibc.errors import ClientNotFound, ConsensusStateNotFound
from chain.ibc.height import Height
from chain.ibc.queries import answer_not_found, build_query_routes
from chain.runtime.context import Context
from chain.runtime.errors import InvalidRequest, NotFound
from chain.runtime.module import QueryRoute
from chain.runtime.pagination import LIMIT_DEFAULT, LIMIT_MAX


def get_identified_client_state(ctx: Context, client_id: str) -> client_pb2.IdentifiedClientState:
    """A client's state with its identifier; raises ClientNotFound."""
    packed = state.pack_client_state(state.get_client_state(ctx, client_id))
    return client_pb2.IdentifiedClientState(client_id=client_id, client_state=packed)


def get_packed_consensus_state(ctx: Context, client_id: str, height: Height) -> Any:
    """A consensus state as it is stored; raises ClientNotFound or ConsensusStateNotFound."""
    if not state.has_client(ctx, client_id):
        raise ClientNotFound(f"no client has the identifier {client_id!r}")
    consensus = state.get_consensus_state(ctx, client_id, height)
    if consensus is None:
        raise ConsensusStateNotFound(f"client {client_id!r} holds nothing at height {height}")
    return state.pack_consensus_state(consensus)


def query_client_state(
    ctx: Context, request: query_pb2.QueryClientStateRequest
) -> query_pb2.QueryClientStateResponse:
    """The state of one client."""
    with answer_not_found():
        client = state.get_client_state(ctx, request.client_id)
    return query_pb2.QueryClientStateResponse(
        client_state=state.pack_client_state(client),
        proof_height=state.get_self_height(ctx).to_proto(),
    )


def query_client_states(
    ctx: Context, request: query_pb2.QueryClientStatesRequest
) -> query_pb2.QueryClientStatesResponse:
    """A page of all clients in the order they were created; the page key is the next number."""
    page = request.pagination
    if page.reverse:
        raise InvalidRequest("clients are listed in the order they were created only")
    if page.key and (page.offset or len(page.key) != 8):
        raise InvalidRequest("continue with the next_key of the page before and no offset")
    start = int.from_bytes(page.key, "big") if page.key else page.offset
    limit = min(page.limit or LIMIT_DEFAULT, LIMIT_MAX)
    found = list(islice(state.iterate_client_states(ctx, start), limit + 1))
    following = pagination_pb2.PageResponse()
    if len(found) > limit:
        following.next_key = found[limit][0].to_bytes(8, "big")
    if page.count_total and not page.key:
        following.total = state.get_next_client_sequence(ctx)
    return query_pb2.QueryClientStatesResponse(
        client_states=[
            client_pb2.IdentifiedClientState(client_id=client_id, client_state=packed)
            for _, client_id, packed in found[:limit]
        ],
        pagination=following,
    )


def query_consensus_state(
    ctx: Context, request: query_pb2.QueryConsensusStateRequest
) -> query_pb2.QueryConsensusStateResponse:
    """A client's consensus state at a height, or at its latest."""
    height = Height(request.revision_number, request.revision_height)
    with answer_not_found():
        if request.latest_height:
            height = state.get_latest_height(ctx, request.client_id)
        packed = get_packed_consensus_state(ctx, request.client_id, height)
    return query_pb2.QueryConsensusStateResponse(
        consensus_state=packed, proof_height=state.get_self_height(ctx).to_proto()
    )


def query_consensus_states(
    ctx: Context, request: query_pb2.QueryConsensusStatesRequest
) -> query_pb2.QueryConsensusStatesResponse:
    """A page of a client's consensus states, by height."""
    heights, page = state.get_height_page(ctx, request.client_id, request.pagination)
    return query_pb2.QueryConsensusStatesResponse(
        consensus_states=[
            client_pb2.ConsensusStateWithHeight(
                height=height.to_proto(),
                consensus_state=get_packed_consensus_state(ctx, request.client_id, height),
            )
            for height in heights
        ],
        pagination=page,
    )


def query_consensus_state_heights(
    ctx: Context, request: query_pb2.QueryConsensusStateHeightsRequest
) -> query_pb2.QueryConsensusStateHeightsResponse:
    """A page of the heights a client holds, in order."""
    heights, page = state.get_height_page(ctx, request.client_id, request.pagination)
    return query_pb2.QueryConsensusStateHeightsResponse(
        consensus_state_heights=[height.to_proto() for height in heights], pagination=page
    )


def query_client_status(
    ctx: Context, request: query_pb2.QueryClientStatusRequest
) -> query_pb2.QueryClientStatusResponse:
    """Whether a client is Active, Expired or Frozen."""
    with answer_not_found():
        state.get_client_state(ctx, request.client_id)
    return query_pb2.QueryClientStatusResponse(
        status=state.get_status(ctx, request.client_id).value
    )


def query_client_params(
    ctx: Context, request: query_pb2.QueryClientParamsRequest
) -> query_pb2.QueryClientParamsResponse:
    """Which client types are allowed."""
    del request
    return query_pb2.QueryClientParamsResponse(params=state.get_params(ctx))


_NO_UPGRADE: Final = (
    "this chain keeps its id and revision over an upgrade: its clients go on, and there is no "
    "upgraded one to move to"
)


def query_upgraded_client_state(
    ctx: Context, request: query_pb2.QueryUpgradedClientStateRequest
) -> query_pb2.QueryUpgradedClientStateResponse:
    """Always raises NotFound: nothing is committed for clients to move to."""
    del ctx, request
    raise NotFound(f"upgraded client not found: {_NO_UPGRADE}")


def query_upgraded_consensus_state(
    ctx: Context, request: query_pb2.QueryUpgradedConsensusStateRequest
) -> query_pb2.QueryUpgradedConsensusStateResponse:
    """Always raises NotFound: nothing is committed for clients to move to."""
    del ctx, request
    raise NotFound(f"upgraded consensus state not found: {_NO_UPGRADE}")


QUERIES: Final[tuple[QueryRoute, ...]] = build_query_routes(
    query_pb2.DESCRIPTOR.services_by_name["Query"],
    {
        "ClientState": query_client_state,
        "ClientStates": query_client_states,
        "ConsensusState": query_consensus_state,
        "ConsensusStates": query_consensus_states,
        "ConsensusStateHeights": query_consensus_state_heights,
        "ClientStatus": query_client_status,
        "ClientParams": query_client_params,
        "UpgradedClientState": query_upgraded_client_state,
        "UpgradedConsensusState": query_upgraded_consensus_state,
    },
)
