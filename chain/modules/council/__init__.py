"""The m-of-n authority of a chain: what changes routes, listings and parameters."""

from chain._pb.margin.council.v1 import council_pb2
from chain.modules.council import genesis, handlers, queries, state
from chain.modules.council.types import MODULE_ACCOUNT, authority_address
from chain.runtime.module import MessageRoute, Module, QueryRoute

__all__ = ["MODULE", "authority_address"]

_QUERY = "/margin.council.v1.Query/"

MODULE = Module(
    name="council",
    stores=(state.STORE,),
    module_accounts=(MODULE_ACCOUNT,),
    messages=(
        MessageRoute(council_pb2.MsgSubmitProposal, handlers.handle_submit_proposal, "proposer"),
        MessageRoute(council_pb2.MsgApprove, handlers.handle_approve, "member"),
        MessageRoute(council_pb2.MsgReject, handlers.handle_reject, "member"),
        MessageRoute(council_pb2.MsgExecute, handlers.handle_execute, "executor"),
    ),
    queries=(
        QueryRoute(
            _QUERY + "Council",
            council_pb2.QueryCouncilRequest,
            council_pb2.QueryCouncilResponse,
            queries.query_council,
        ),
        QueryRoute(
            _QUERY + "Proposal",
            council_pb2.QueryProposalRequest,
            council_pb2.QueryProposalResponse,
            queries.query_proposal,
        ),
        QueryRoute(
            _QUERY + "Proposals",
            council_pb2.QueryProposalsRequest,
            council_pb2.QueryProposalsResponse,
            queries.query_proposals,
        ),
    ),
    genesis=council_pb2.GenesisState,
    default_genesis=genesis.build_default_genesis,
    init_genesis=genesis.init_genesis,
    export_genesis=genesis.export_genesis,
    end_block=handlers.close_expired,
)
