"""Bounds of a validator set."""

import hashlib
from typing import Any, Final

from chain._pb.margin.validators.v1 import validators_pb2
from chain.modules.validators.errors import InvalidValidator
from chain.runtime.address import decode_address
from chain.units import require_range

KEY_SIZE: Final = 32
MONIKER_SIZE_MAX: Final = 70
TOTAL_POWER_MAX: Final = ((1 << 63) - 1) // 8
"""CometBFT's MaxTotalVotingPower; a set above it halts every node."""
UPDATE_DELAY: Final = 2
"""Updates of block H sign from block H + 2 on (ABCI)."""
SETS_KEPT: Final = 4
"""Heights whose sets are kept behind the last block; votes of the height before need one."""


def compute_validator_address(public_key: bytes) -> bytes:
    """The 20-byte address of an ed25519 key."""
    return hashlib.sha256(public_key).digest()[:20]


def build_default_params() -> validators_pb2.Params:
    """At most 100 validators."""
    return validators_pb2.Params(validators_max=100)


def validate_params(params: Any) -> None:
    """Raises OutOfRange."""
    require_range(params.validators_max, 1, 1_000, "validators_max")


def validate_validator(key: bytes, power: int, moniker: str, operator: str) -> None:
    """Raises InvalidValidator or InvalidAddress."""
    if len(key) != KEY_SIZE:
        raise InvalidValidator(f"an ed25519 key has {KEY_SIZE} bytes, not {len(key)}")
    if not 0 <= power <= TOTAL_POWER_MAX:
        raise InvalidValidator(f"power {power} must lie within 0 and {TOTAL_POWER_MAX}")
    if len(moniker) > MONIKER_SIZE_MAX:
        raise InvalidValidator(f"moniker of {len(moniker)} characters is above {MONIKER_SIZE_MAX}")
    if operator:
        decode_address(operator, "operator")
