"""Names, bounds and defaults of the vault."""

from typing import Final

from chain._pb.margin.vault.v1 import vault_pb2 as pb
from chain.modules.auth.types import module_address
from chain.modules.vault.errors import InvalidParams
from chain.runtime.address import decode_address

MODULE_NAME: Final = "vault"
MODULE_ADDRESS: Final = module_address(MODULE_NAME)
"""The module account that holds every locked coin."""
TREASURY_NAME: Final = "treasury"
TIMEOUT_S_MAX: Final = 30 * 86_400
ORDER_ID_BYTES_MAX: Final = 64
ACCOUNT_NUMBER_MAX: Final = 127
"""Sub-accounts of an owner on the hub are numbered 0..127."""


def build_default_params() -> pb.Params:
    """What a chain starts with when its genesis does not say otherwise."""
    return pb.Params(
        lock_timeout_s=600,
        locks_per_query_max=100,
        treasury_address=module_address(TREASURY_NAME),
    )


def validate_params(params: pb.Params) -> None:
    """Raises InvalidParams (or InvalidAddress) naming the parameter out of its bounds."""
    if not 1 <= params.lock_timeout_s <= TIMEOUT_S_MAX:
        raise InvalidParams(f"lock_timeout_s must lie within [1, {TIMEOUT_S_MAX}]")
    if not 1 <= params.locks_per_query_max <= 1_000:
        raise InvalidParams("locks_per_query_max must lie within [1, 1000]")
    for name in ("treasury_address", "local_auction_address"):
        address = getattr(params, name)
        if not address:
            continue
        decode_address(address, name)
        if address == MODULE_ADDRESS:
            raise InvalidParams(f"{name} cannot be the vault itself")
