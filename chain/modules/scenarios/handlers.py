"""Messages of scenario sets."""

from chain._pb.margin.scenarios.v1 import tx_pb2 as pb
from chain.modules.council import state as council
from chain.modules.scenarios import state
from chain.runtime.context import Context


def handle_update_underlying(
    ctx: Context, msg: pb.MsgUpdateUnderlying
) -> pb.MsgUpdateUnderlyingResponse:
    """List an underlying or change its scenario set; only the council's authority may."""
    council.require_authority(ctx, msg.authority)
    end = state.change_underlying(ctx, msg.underlying)
    ctx.emit(
        "underlying_updated",
        {"asset": msg.underlying.asset, "preset": msg.underlying.preset, "ramp_end_s": end},
    )
    return pb.MsgUpdateUnderlyingResponse()
