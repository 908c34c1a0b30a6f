"""The council's one door to parameters."""

from collections.abc import Iterable, Mapping
from typing import Any

from chain._pb.margin.params.v1 import params_pb2
from chain.modules.council import state as council
from chain.modules.params import state
from chain.modules.params.errors import UnknownModule, WrongParamsType
from chain.runtime.codec import Codec, compute_type_url
from chain.runtime.context import Context


class ParamsMessages:
    """The handlers over the parameters that the stores of one chain declare."""

    def __init__(self, stores: Iterable[str]) -> None:
        declared = state.get_declarations()
        self.declarations: Mapping[str, state.Declaration[Any]] = {
            store: declared[store] for store in sorted(stores) if store in declared
        }
        self._codec = Codec(item.message_type for item in self.declarations.values())

    def handle_update_params(
        self, ctx: Context, msg: params_pb2.MsgUpdateParams
    ) -> params_pb2.MsgUpdateParamsResponse:
        """Replace a module's parameters.

        Raises NotAuthority, UnknownModule, WrongParamsType, and what the module's own rule raises.
        """
        council.require_authority(ctx, msg.authority)
        declaration = self.get_declaration(msg.module)
        type_url = compute_type_url(declaration.message_type)
        if msg.params.type_url != type_url:
            raise WrongParamsType(f"{msg.module} takes {type_url}, not {msg.params.type_url[:200]}")
        what = f"params of {msg.module}"
        params = self._codec.decode(declaration.message_type, msg.params.value, what)
        declaration.change(ctx, params)
        ctx.emit("update_params", {"module": msg.module})
        return params_pb2.MsgUpdateParamsResponse()

    def get_declaration(self, module: str) -> state.Declaration[Any]:
        """The declaration of a module that this chain has; raises UnknownModule."""
        declaration = self.declarations.get(module)
        if declaration is None:
            raise UnknownModule(
                f"{module[:100]!r} has no parameters here; {', '.join(self.declarations)} have"
            )
        return declaration
