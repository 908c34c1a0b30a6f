"""secp256k1 signatures in consensus: 33-byte keys, 64-byte compact signatures, low s only.

libsecp256k1 through coincurve's own binding, without its object layer: recovery and DER accept
malleated forms and stay out of here.
"""

import hashlib
from typing import Final

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

PUBLIC_KEY_SIZE: Final = 33
SIGNATURE_SIZE: Final = 64
_CONTEXT = GLOBAL_CONTEXT.ctx


def is_public_key(key: bytes) -> bool:
    """Whether the bytes are a compressed point on the curve."""
    return (
        len(key) == PUBLIC_KEY_SIZE
        and lib.secp256k1_ec_pubkey_parse(_CONTEXT, ffi.new("secp256k1_pubkey *"), key, len(key))
        == 1
    )


def is_signature_valid(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether r‖s signs sha256(message) under the key, with r, s < n and s <= n/2."""
    if len(public_key) != PUBLIC_KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    key = ffi.new("secp256k1_pubkey *")
    if lib.secp256k1_ec_pubkey_parse(_CONTEXT, key, public_key, PUBLIC_KEY_SIZE) != 1:
        return False
    parsed = ffi.new("secp256k1_ecdsa_signature *")
    # Refuses r or s at or above the group order.
    if lib.secp256k1_ecdsa_signature_parse_compact(_CONTEXT, parsed, signature) != 1:
        return False
    if lib.secp256k1_ecdsa_signature_normalize(_CONTEXT, ffi.NULL, parsed) == 1:
        return False  # s was above n/2.
    digest = hashlib.sha256(message).digest()
    return bool(lib.secp256k1_ecdsa_verify(_CONTEXT, parsed, digest, key) == 1)
