"""Addresses of module accounts and the parameters of accounts."""

import hashlib
from functools import cache
from typing import Any, Final

from chain._pb.cosmos.auth.v1beta1 import auth_pb2
from chain.runtime.address import encode_address
from chain.units import Address, require_range

FEE_COLLECTOR: Final = "fee_collector"
"""The module account that fees go to."""


@cache
def module_address(name: str) -> Address:
    """The address of a module's account: the first 20 bytes of sha256("module/" + name)."""
    return encode_address(hashlib.sha256(b"module/" + name.encode()).digest()[:20])


def build_default_params() -> auth_pb2.Params:
    """The parameters of a new chain."""
    return auth_pb2.Params(
        max_memo_characters=32_768,
        tx_sig_limit=7,
        tx_size_cost_per_byte=10,
        sig_verify_cost_ed25519=600,
        sig_verify_cost_secp256k1=1_000,
    )


def validate_params(params: Any) -> None:
    """Raises OutOfRange when a limit is zero or would let one transaction stop the chain."""
    require_range(params.max_memo_characters, 1, 1 << 16, "max_memo_characters")
    require_range(params.tx_sig_limit, 1, 64, "tx_sig_limit")
    require_range(params.tx_size_cost_per_byte, 1, 1 << 20, "tx_size_cost_per_byte")
    require_range(params.sig_verify_cost_ed25519, 1, 1 << 30, "sig_verify_cost_ed25519")
    require_range(params.sig_verify_cost_secp256k1, 1, 1 << 30, "sig_verify_cost_secp256k1")
