"""Queries of the parameters of all modules."""

from chain._pb.margin.params.v1 import params_pb2
from chain.modules.params import state
from chain.modules.params.handlers import get_declaration
from chain.runtime.context import Context
from chain.runtime.router import pack


def query_params(
    ctx: Context, request: params_pb2.QueryParamsRequest
) -> params_pb2.QueryParamsResponse:
    """One module's parameters; raises UnknownModule."""
    return params_pb2.QueryParamsResponse(params=_build(ctx, request.module))


def query_all_params(
    ctx: Context, request: params_pb2.QueryAllParamsRequest
) -> params_pb2.QueryAllParamsResponse:
    """The parameters of every module of this chain, by name."""
    del request
    names = [n for n in sorted(state.get_declarations()) if ctx.kv(n).has(state.KEY)]
    return params_pb2.QueryAllParamsResponse(params=[_build(ctx, name) for name in names])


def _build(ctx: Context, name: str) -> params_pb2.ModuleParams:
    declaration = get_declaration(ctx, name)
    return params_pb2.ModuleParams(module=name, params=pack(declaration.get(ctx)))
