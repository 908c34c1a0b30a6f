"""Messages of the oracle."""

from chain._pb.margin.oracle.v1 import tx_pb2 as pb
from chain.modules.council import state as council
from chain.modules.oracle import state
from chain.runtime.context import Context


def handle_update_params(ctx: Context, msg: pb.MsgUpdateParams) -> pb.MsgUpdateParamsResponse:
    """Replace the parameters; only the council's authority may."""
    council.require_authority(ctx, msg.authority)
    state.PARAMS.change(ctx, msg.params)
    ctx.emit("oracle_params_updated", {"assets": len(msg.params.assets)})
    return pb.MsgUpdateParamsResponse()
