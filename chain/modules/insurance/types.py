"""Names, bounds and defaults of insurance."""

from typing import Final

from chain._pb.margin.insurance.v1 import insurance_pb2 as pb
from chain.modules.accounts.types import AccountId
from chain.modules.auth.types import module_address
from chain.modules.insurance.errors import InvalidParams
from chain.units import PPM

MODULE_NAME: Final = "insurance"
MODULE_ADDRESS: Final = module_address(MODULE_NAME)
"""The module account that holds the fund."""
POSITION_ACCOUNT: Final = AccountId(MODULE_ADDRESS, 0)
"""The first margin account in which the fund holds positions it took over; a full one has a next,
numbered on.
"""
WINDOW_HOURS: Final = 24


def build_default_params() -> pb.Params:
    """What a chain starts with when its genesis does not say otherwise (row 31: 50 % in 24 h)."""
    return pb.Params(cover_share_ppm=500_000, ledger_rows_max=100)


def validate_params(params: pb.Params) -> None:
    """Raises InvalidParams naming the parameter out of its bounds."""
    if params.cover_share_ppm > PPM:
        raise InvalidParams(f"cover_share_ppm {params.cover_share_ppm} is above {PPM}")
    if not 1 <= params.ledger_rows_max <= 1_000:
        raise InvalidParams("ledger_rows_max must lie within [1, 1000]")
