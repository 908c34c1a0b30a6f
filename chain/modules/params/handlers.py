"""The council's one door to parameters."""

from chain._pb.margin.params.v1 import params_pb2
from chain.modules.council import state as council
from chain.modules.params import state
from chain.modules.params.errors import UnknownModule, WrongParamsType
from chain.runtime.codec import Codec, compute_type_url
from chain.runtime.context import Context


def handle_update_params(
    ctx: Context, msg: params_pb2.MsgUpdateParams
) -> params_pb2.MsgUpdateParamsResponse:
    """Replace a module's parameters.

    Raises NotAuthority, UnknownModule, WrongParamsType, and what the module's own rule raises.
    """
    council.require_authority(ctx, msg.authority)
    declaration = get_declaration(ctx, msg.module)
    type_url = compute_type_url(declaration.message_type)
    if msg.params.type_url != type_url:
        raise WrongParamsType(f"{msg.module} takes {type_url}, not {msg.params.type_url[:200]}")
    codec = Codec([declaration.message_type])
    params = codec.decode(declaration.message_type, msg.params.value, f"params of {msg.module}")
    declaration.set(ctx, params)
    ctx.emit("update_params", {"module": msg.module})
    return params_pb2.MsgUpdateParamsResponse()


def get_declaration(ctx: Context, module: str) -> state.Declaration:  # type: ignore[type-arg]
    """The declaration of a module that this chain has; raises UnknownModule."""
    declaration = state.get_declarations().get(module)
    if declaration is None or not ctx.kv(module).has(state.KEY):
        raise UnknownModule(f"{module[:100]!r} has no parameters on this chain")
    return declaration
