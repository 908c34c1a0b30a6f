"""A venue's reports and requests, sent to the hub; it holds what the hub has acknowledged."""

from collections.abc import Iterable
from typing import Final

from chain._pb.margin.packet.v1 import packet_pb2
from chain._pb.margin.venue.v1 import tx_pb2
from chain.ibc.apps.margin import PacketHandlers, PacketInfo, send_margin_packet
from chain.modules.vault import state as vault
from chain.modules.vault.packets import require_hub_channel
from chain.modules.venue import state
from chain.modules.venue.errors import (
    InvalidPositions,
    NotTheOperator,
    TooManyReports,
    UnaskedReduction,
)
from chain.runtime.address import decode_address
from chain.runtime.context import Context
from chain.runtime.module import MessageRoute
from chain.units import parse_signed

_NAME_BYTES_MAX: Final = 64
_ACCOUNT_MAX: Final = 127


def _read_sizes(
    positions: Iterable[packet_pb2.VenuePosition],
) -> dict[tuple[str, int, str], int]:
    """Size by owner, account and market; raises InvalidPositions."""
    sizes: dict[tuple[str, int, str], int] = {}
    for row in positions:
        decode_address(row.owner, "owner")
        if row.account > _ACCOUNT_MAX or not 0 < len(row.market.encode()) <= _NAME_BYTES_MAX:
            raise InvalidPositions("account is at most 127, a market has 1 to 64 bytes")
        key = row.owner, row.account, row.market
        if key in sizes:
            raise InvalidPositions(f"{row.market} of account {row.account} is there twice")
        sizes[key] = parse_signed(row.size_quantums, "size_quantums")
        parse_signed(row.pnl_uusd or "0", "pnl_uusd")
    return sizes


def _require_no_reduction(ctx: Context, sizes: dict[tuple[str, int, str], int]) -> None:
    """Raises UnaskedReduction when an acknowledged leg would shrink, vanish or turn."""
    for key, held in _read_sizes(state.get_acknowledged(ctx).positions).items():
        size = sizes.get(key, 0)
        if abs(size) < abs(held) or size * held < 0:
            raise UnaskedReduction(
                f"{key[2]} of account {key[1]} would go from {held} to {size}; send a request, and "
                f"close once the hub has acknowledged it"
            )


def handle_report_positions(
    ctx: Context, msg: tx_pb2.MsgReportPositions
) -> tx_pb2.MsgReportPositionsResponse:
    """Send what the venue holds, or ask for a change of it."""
    # Check
    params = state.PARAMS.get(ctx)
    if not params.operator or msg.operator != params.operator:
        raise NotTheOperator(f"{msg.operator} is not the operator {params.operator or '(none)'}")
    hub = vault.require_hub(ctx)
    if len(msg.positions) > params.rows_max:
        raise InvalidPositions(
            f"{len(msg.positions)} positions, the most of one report is {params.rows_max}"
        )
    sizes = _read_sizes(msg.positions)
    if not msg.is_request:
        _require_no_reduction(ctx, sizes)
    if sum(1 for _ in state.iterate_pending(ctx)) >= params.pending_max:
        raise TooManyReports(f"{params.pending_max} reports are on their way; wait for one")
    # Apply
    epoch = state.get_next_epoch(ctx)
    report = packet_pb2.PositionReport(
        epoch=epoch, positions=msg.positions, is_request=msg.is_request
    )
    state.set_next_epoch(ctx, epoch + 1)
    state.set_pending(ctx, report)
    sequence = send_margin_packet(ctx, hub.channel_id, report, params.report_timeout_s)
    ctx.emit("report_sent", {"epoch": epoch, "positions": len(sizes)})
    return tx_pb2.MsgReportPositionsResponse(epoch=epoch, sequence=sequence)


def acknowledge_report(
    ctx: Context,
    info: PacketInfo,
    body: packet_pb2.PositionReport,
    result: packet_pb2.MarginAcknowledgement,
) -> None:
    """The hub counts this report from now on, or has refused it; an older one changes nothing."""
    require_hub_channel(ctx, info.channel_id)
    state.delete_pending(ctx, body.epoch)
    if result.code:
        refusal = f"{result.codespace}/{result.code}"
        ctx.emit("report_refused", {"epoch": body.epoch, "refusal": refusal})
        return
    if body.epoch > state.get_acknowledged(ctx).epoch:
        state.set_acknowledged(ctx, body)
    ctx.emit("report_acknowledged", {"epoch": body.epoch})


def time_out_report(ctx: Context, info: PacketInfo, body: packet_pb2.PositionReport) -> None:
    """A report that never arrived changes nothing."""
    require_hub_channel(ctx, info.channel_id)
    state.delete_pending(ctx, body.epoch)
    ctx.emit("report_refused", {"epoch": body.epoch, "refusal": "timeout"})


MESSAGES: Final = (MessageRoute(tx_pb2.MsgReportPositions, handle_report_positions, "operator"),)
PACKET_HANDLERS: Final = {
    "position_report": PacketHandlers(acknowledge=acknowledge_report, timeout=time_out_report)
}
"""What a collateral chain does with its own reports; the chain wires them into the application."""
