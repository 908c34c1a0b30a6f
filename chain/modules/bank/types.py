"""Parameters of the bank and the bounds of its messages."""

from typing import Any, Final

from chain._pb.cosmos.bank.v1beta1 import bank_pb2
from chain.runtime.coins import is_denom
from chain.runtime.errors import InvalidCoins
from chain.units import require_range

OUTPUTS_MAX: Final = 500
"""Most outputs of one MsgMultiSend."""
_SEND_ENABLED_MAX: Final = 1_000


def build_default_params() -> bank_pb2.Params:
    """Every denom may be sent."""
    return bank_pb2.Params(default_send_enabled=True)


def validate_params(params: Any) -> None:
    """Raises InvalidCoins or OutOfRange when an entry is no denom, or there are too many."""
    require_range(len(params.send_enabled), 0, _SEND_ENABLED_MAX, "send_enabled entries")
    for entry in params.send_enabled:
        if not is_denom(entry.denom):
            raise InvalidCoins(f"send_enabled: {entry.denom!r} is not a valid denom")


def is_send_enabled(params: Any, denom: str) -> bool:
    """Whether users may send the denom; modules always may."""
    for entry in params.send_enabled:
        if entry.denom == denom:
            return bool(entry.enabled)
    return bool(params.default_send_enabled)
