"""The module table of the parameter register (apart: every module's state imports params.state)."""

from collections.abc import Iterable

from chain._pb.margin.params.v1 import params_pb2
from chain.modules.params import handlers, queries
from chain.runtime.module import MessageRoute, Module, QueryRoute

_QUERY = "/margin.params.v1.Query/"


def module(stores: Iterable[str]) -> Module:
    """The module; `stores` are those of the chain, whose declared parameters messages may carry."""
    messages = handlers.ParamsMessages(stores)
    answers = queries.ParamsQueries(messages)
    types = tuple(item.message_type for item in messages.declarations.values())
    return Module(
        name="params",
        messages=(
            MessageRoute(params_pb2.MsgUpdateParams, messages.handle_update_params, "authority"),
        ),
        queries=(
            QueryRoute(
                _QUERY + "Params",
                params_pb2.QueryParamsRequest,
                params_pb2.QueryParamsResponse,
                answers.query_params,
            ),
            QueryRoute(
                _QUERY + "AllParams",
                params_pb2.QueryAllParamsRequest,
                params_pb2.QueryAllParamsResponse,
                answers.query_all_params,
            ),
        ),
        any_types=types,
    )
