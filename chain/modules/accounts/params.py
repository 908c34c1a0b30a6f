"""The parameters of margin accounts: defaults and bounds."""

from chain._pb.margin.accounts.v1 import accounts_pb2 as pb
from chain.modules.accounts.errors import InvalidAccount
from chain.units import PPM


def _require(value: int, low: int, high: int, field: str) -> None:
    if not low <= value <= high:
        raise InvalidAccount(f"{field} {value} must lie within [{low}, {high}]")


def validate_params(params: pb.Params) -> None:
    """Raise InvalidAccount at the first bound that is broken."""
    _require(params.accounts_scanned_max, 1, 100_000, "accounts_scanned_max")
    _require(params.liens_max, 1, 128, "liens_max")
    _require(params.positions_max, 1, 128, "positions_max")
    _require(params.initial_profit_ppm, 0, PPM, "initial_profit_ppm")
    _require(params.leverage_max, 1, 1_000, "leverage_max")


def build_default_params() -> pb.Params:
    """The limits of a new chain; the share of profit for initial margin is that of row 9."""
    return pb.Params(
        accounts_scanned_max=1_000,
        liens_max=128,
        positions_max=64,
        initial_profit_ppm=800_000,
        leverage_max=25,
    )
