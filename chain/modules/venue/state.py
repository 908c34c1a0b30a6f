"""The venue store: the only place that knows its keys."""

from collections.abc import Iterator
from typing import Final

from google.protobuf.message import Message

from chain._pb.margin.packet.v1 import packet_pb2
from chain._pb.margin.venue.v1 import venue_pb2 as pb
from chain.modules.params.state import declare_params
from chain.modules.venue.errors import InvalidPositions
from chain.runtime.address import decode_address
from chain.runtime.context import Context

STORE: Final = "venue"
_NEXT_EPOCH: Final = b"\x01"
_ACKNOWLEDGED: Final = b"\x02"
_PENDING: Final = b"\x03"
_TIMEOUT_S_MAX: Final = 86_400
_ROWS_MAX: Final = 512


def build_default_params() -> pb.Params:
    """What a chain starts with: nobody may report until the council names an operator."""
    return pb.Params(report_timeout_s=600, rows_max=128, pending_max=8)


def validate_params(params: pb.Params) -> None:
    """Raises InvalidPositions naming the first parameter out of its bounds."""
    if params.operator:
        decode_address(params.operator, "operator")
    bounds = (
        ("report_timeout_s", 1, _TIMEOUT_S_MAX),
        ("rows_max", 1, _ROWS_MAX),
        ("pending_max", 1, 64),
    )
    for name, low, high in bounds:
        value = getattr(params, name)
        if not low <= value <= high:
            raise InvalidPositions(f"{name} {value} must lie within [{low}, {high}]")


PARAMS: Final = declare_params(STORE, pb.Params, build_default_params, validate_params)


def _set(ctx: Context, key: bytes, message: Message) -> None:
    ctx.kv(STORE).set(key, message.SerializeToString(deterministic=True))


def get_next_epoch(ctx: Context) -> int:
    """The epoch of the next report; the first is 1."""
    return int.from_bytes(ctx.kv(STORE).get(_NEXT_EPOCH) or b"\x01", "big")


def set_next_epoch(ctx: Context, epoch: int) -> None:
    """Write the epoch of the next report."""
    ctx.kv(STORE).set(_NEXT_EPOCH, epoch.to_bytes(8, "big"))


def get_acknowledged(ctx: Context) -> packet_pb2.PositionReport:
    """The newest report that the hub has acknowledged; empty before the first."""
    value = ctx.kv(STORE).get(_ACKNOWLEDGED)
    return packet_pb2.PositionReport.FromString(value) if value else packet_pb2.PositionReport()


def set_acknowledged(ctx: Context, report: packet_pb2.PositionReport) -> None:
    """Remember a report that the hub has acknowledged."""
    _set(ctx, _ACKNOWLEDGED, report)


def set_pending(ctx: Context, report: packet_pb2.PositionReport) -> None:
    """Remember a report on its way."""
    _set(ctx, _PENDING + report.epoch.to_bytes(8, "big"), report)


def delete_pending(ctx: Context, epoch: int) -> None:
    """Forget a report that arrived, was refused or timed out."""
    ctx.kv(STORE).delete(_PENDING + epoch.to_bytes(8, "big"))


def iterate_pending(ctx: Context) -> Iterator[packet_pb2.PositionReport]:
    """Reports on their way by epoch; their number is bounded."""
    for _, value in ctx.kv(STORE).iterate(_PENDING):
        yield packet_pb2.PositionReport.FromString(value)
