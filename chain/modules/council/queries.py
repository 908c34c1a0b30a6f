"""Queries of the council and its proposals."""

from chain._pb.margin.council.v1 import council_pb2
from chain.modules.council import state
from chain.modules.council.errors import UnknownProposal
from chain.runtime.context import Context
from chain.runtime.errors import NotFound
from chain.runtime.pagination import get_page


def query_council(
    ctx: Context, request: council_pb2.QueryCouncilRequest
) -> council_pb2.QueryCouncilResponse:
    """Members, threshold, delays, guardian, and the address that signs what passes."""
    del request
    return council_pb2.QueryCouncilResponse(
        params=state.PARAMS.get(ctx), authority=state.get_authority(ctx)
    )


def query_proposal(
    ctx: Context, request: council_pb2.QueryProposalRequest
) -> council_pb2.QueryProposalResponse:
    """One proposal; raises NotFound."""
    try:
        proposal = state.get_proposal(ctx, request.proposal_id)
    except UnknownProposal as error:
        raise NotFound(error.detail) from None
    return council_pb2.QueryProposalResponse(proposal=proposal)


def query_proposals(
    ctx: Context, request: council_pb2.QueryProposalsRequest
) -> council_pb2.QueryProposalsResponse:
    """Proposals by number, paged; a status other than unspecified filters the page."""
    rows, page = get_page(ctx.kv(state.STORE), state.PROPOSAL_PREFIX, request.pagination)
    proposals = [council_pb2.Proposal.FromString(data) for _, data in rows]
    wanted = [p for p in proposals if request.status in (p.status, 0)]
    return council_pb2.QueryProposalsResponse(proposals=wanted, pagination=page)
