"""The parameters of the markets: defaults and bounds."""

from chain._pb.margin.markets.v1 import markets_pb2 as pb
from chain.modules.markets.errors import InvalidMarket

RAMP_S = 3_600
"""The ramp where parameters name none."""


def _require(value: int, low: int, high: int, field: str) -> None:
    if not low <= value <= high:
        raise InvalidMarket(f"{field} {value} must lie within [{low}, {high}]")


def validate_params(params: pb.Params) -> None:
    """Raise InvalidMarket at the first bound that is broken."""
    _require(params.orders_max, 1, 200, "orders_max")
    _require(params.fills_max, 1, 200, "fills_max")
    _require(params.fills_kept, 1, 1_000, "fills_kept")
    _require(params.funding_interval_s, 1, 604_800, "funding_interval_s")
    _require(params.markets_max, 1, 2_048, "markets_max")
    _require(params.settled_per_block_max, 1, 5_000, "settled_per_block_max")
    if params.ramp_s:
        _require(params.ramp_s, 60, 604_800, "ramp_s")


def build_default_params() -> pb.Params:
    """The limits of a new chain."""
    return pb.Params(
        orders_max=50,
        fills_max=50,
        fills_kept=500,
        funding_interval_s=3_600,
        markets_max=512,
        settled_per_block_max=200,
        ramp_s=RAMP_S,
    )
