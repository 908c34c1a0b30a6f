"""Names, bounds and defaults of liquidation."""

from typing import Final

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain.modules.auth.types import module_address
from chain.modules.liquidation.errors import InvalidParams
from chain.risk.auction import Curve, CurveKind
from chain.units import PPM, RAY, parse_amount, parse_nonnegative

MODULE_NAME: Final = "liquidation"
MODULE_ADDRESS: Final = module_address(MODULE_NAME)
"""The module account that holds the escrow of bids."""
STEPS_MAX: Final = 1_000
"""Most steps of a stair curve before its tail: bounds the exponent of the cut."""


def build_default_params() -> pb.Params:
    """What a chain starts with when its genesis does not say otherwise (systems rows 39-43)."""
    return pb.Params(
        cases_per_block_max=50,
        openings_per_block_max=50,
        reduce_share_ppm=100_000,
        target_gmr_ppm=1_100_000,
        debt_target_ppm=1_250_000,
        handover_blocks=3,
        fee_ppm=15_000,
        bankruptcy_adjustment_ppm=PPM,
        spread_ppm=1_500_000,
        bonus_max_ppm=1_100_000,
        bonus_factor_ppm=500_000,
        bonus_health_ppm=900_000,
        curve=pb.CURVE_KIND_STAIRS,
        auction_buffer_ppm=1_250_000,
        auction_cut_ppm=990_000,
        auction_step_ms=30_000,
        auction_tail_ms=3_600_000,
        auction_floor_ppm=300_000,
        auction_total_uusd_max=str(10_000_000 * 1_000_000),
        dust_uusd=str(10 * 1_000_000),
        keeper_tip_uusd=str(1_000_000),
        keeper_share_ppm=1_000,
        seize_attempts_max=5,
        history_rows_max=100,
    )


def validate_params(params: pb.Params) -> None:
    """Raises InvalidParams (or InvalidAmount) naming the parameter out of its bounds."""
    bounds = (
        ("cases_per_block_max", 1, 10_000),
        ("openings_per_block_max", 1, 10_000),
        ("reduce_share_ppm", 1, PPM),
        ("target_gmr_ppm", PPM, 10 * PPM),
        ("debt_target_ppm", PPM, 10 * PPM),
        ("handover_blocks", 1, 10_000),
        ("fee_ppm", 0, PPM // 2),
        ("bankruptcy_adjustment_ppm", 0, 10 * PPM),
        ("spread_ppm", 0, 10 * PPM),
        ("bonus_max_ppm", PPM, 2 * PPM),
        ("bonus_factor_ppm", 0, PPM),
        ("bonus_health_ppm", 0, PPM - 1),
        ("curve", pb.CURVE_KIND_STAIRS, pb.CURVE_KIND_LINEAR),
        ("auction_buffer_ppm", PPM, 10 * PPM),
        ("auction_cut_ppm", 1, PPM),
        ("auction_step_ms", 1, 86_400_000),
        ("auction_tail_ms", 1, 7 * 86_400_000),
        ("auction_floor_ppm", 1, PPM - 1),
        ("keeper_share_ppm", 0, PPM // 10),
        ("seize_attempts_max", 1, 100),
        ("history_rows_max", 1, 1_000),
    )
    for name, low, high in bounds:
        value = getattr(params, name)
        if not low <= value <= high:
            raise InvalidParams(f"{name} {value} must lie within [{low}, {high}]")
    if params.auction_tail_ms // params.auction_step_ms > STEPS_MAX:
        raise InvalidParams(f"auction_tail_ms may hold at most {STEPS_MAX} steps")
    parse_amount(params.auction_total_uusd_max, "auction_total_uusd_max")
    parse_amount(params.dust_uusd, "dust_uusd")
    parse_nonnegative(params.keeper_tip_uusd, "keeper_tip_uusd")


def build_curve(params: pb.Params) -> Curve:
    """The governed price curve."""
    is_linear = params.curve == pb.CURVE_KIND_LINEAR
    return Curve(
        kind=CurveKind.LINEAR if is_linear else CurveKind.STAIRS,
        tail_ms=params.auction_tail_ms,
        floor_ppm=params.auction_floor_ppm,
        cut_ray=params.auction_cut_ppm * (RAY // PPM),
        step_ms=params.auction_step_ms,
    )
