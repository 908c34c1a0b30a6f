"""Who signs blocks, with which power."""

from chain._pb.margin.validators.v1 import validators_pb2
from chain.modules.validators import genesis, handlers, queries, state
from chain.modules.validators.handlers import handle_misbehavior
from chain.modules.validators.state import get_set, take_updates
from chain.runtime.module import MessageRoute, Module, QueryRoute

__all__ = ["MODULE", "get_set", "handle_misbehavior", "take_updates"]

_QUERY = "/margin.validators.v1.Query/"

MODULE = Module(
    name="validators",
    stores=(state.STORE,),
    messages=(
        MessageRoute(
            validators_pb2.MsgUpdateValidator, handlers.handle_update_validator, "authority"
        ),
    ),
    queries=(
        QueryRoute(
            _QUERY + "Validators",
            validators_pb2.QueryValidatorsRequest,
            validators_pb2.QueryValidatorsResponse,
            queries.query_validators,
        ),
        QueryRoute(
            _QUERY + "Validator",
            validators_pb2.QueryValidatorRequest,
            validators_pb2.QueryValidatorResponse,
            queries.query_validator,
        ),
        QueryRoute(
            _QUERY + "Evidence",
            validators_pb2.QueryEvidenceRequest,
            validators_pb2.QueryEvidenceResponse,
            queries.query_evidence,
        ),
    ),
    genesis=validators_pb2.GenesisState,
    default_genesis=genesis.build_default_genesis,
    init_genesis=genesis.init_genesis,
    export_genesis=genesis.export_genesis,
)
