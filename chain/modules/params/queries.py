"""Queries of the parameters of all modules."""

from chain._pb.margin.params.v1 import params_pb2
from chain.modules.params.handlers import ParamsMessages
from chain.runtime.context import Context
from chain.runtime.router import pack


class ParamsQueries:
    """The queries over the parameters that the stores of one chain declare."""

    def __init__(self, messages: ParamsMessages) -> None:
        self._register = messages

    def query_params(
        self, ctx: Context, request: params_pb2.QueryParamsRequest
    ) -> params_pb2.QueryParamsResponse:
        """One module's parameters; raises UnknownModule."""
        return params_pb2.QueryParamsResponse(params=self._build(ctx, request.module))

    def query_all_params(
        self, ctx: Context, request: params_pb2.QueryAllParamsRequest
    ) -> params_pb2.QueryAllParamsResponse:
        """The parameters of every module of this chain, by name."""
        del request
        return params_pb2.QueryAllParamsResponse(
            params=[self._build(ctx, name) for name in self._register.declarations]
        )

    def _build(self, ctx: Context, name: str) -> params_pb2.ModuleParams:
        declaration = self._register.get_declaration(name)
        return params_pb2.ModuleParams(module=name, params=pack(declaration.get(ctx)))
