"""Account addresses: 20 or 32 bytes, written in bech32 with the prefix of our chains."""

import hashlib
from functools import lru_cache
from typing import Final

import bech32
from bip32.ripemd160 import ripemd160 as ripemd160_in_python

from chain.runtime.errors import InvalidAddress
from chain.units import Address

BECH32_PREFIX: Final = "margin"
ADDRESS_SIZES: Final = (20, 32)
_CACHED: Final = 1 << 17
_TEXT_MAX: Final = 90  # BIP-173


@lru_cache(_CACHED)
def encode_address(raw: bytes) -> Address:
    """The bech32 text of an address of 20 or 32 bytes."""
    assert len(raw) in ADDRESS_SIZES, f"an address of {len(raw)} bytes"
    words = bech32.convertbits(raw, 8, 5)
    assert words is not None, "bytes always convert"
    return Address(bech32.bech32_encode(BECH32_PREFIX, words))


@lru_cache(_CACHED)
def _decode(text: str) -> bytes:
    if text != text.lower() or len(text) > _TEXT_MAX:
        # One account, one text: the upper-case form of BIP-173 would be a second key.
        raise InvalidAddress(f"address {text[:_TEXT_MAX]!r} must be lower-case bech32")
    prefix, words = bech32.bech32_decode(text)
    if prefix is None or words is None:
        raise InvalidAddress(f"address {text!r} is not bech32, or its checksum is wrong")
    if prefix != BECH32_PREFIX:
        raise InvalidAddress(f"address {text!r} must start with {BECH32_PREFIX}1")
    raw = bech32.convertbits(words, 5, 8, pad=False)
    if raw is None or len(raw) not in ADDRESS_SIZES:
        raise InvalidAddress(f"address {text!r} must hold 20 or 32 bytes")
    return bytes(raw)


def decode_address(text: str, field: str = "address") -> bytes:
    """The bytes of a bech32 address; raises InvalidAddress naming the field."""
    if not text:
        raise InvalidAddress(f"{field} is empty")
    return _decode(text)


def decode_foreign_address(text: str, prefix: str) -> bytes:
    """The bytes of another chain's bech32 address; raises InvalidAddress."""
    found, words = bech32.bech32_decode(text)
    raw = None if words is None else bech32.convertbits(words, 5, 8, pad=False)
    if found != prefix or raw is None:
        raise InvalidAddress(f"address {text[:_TEXT_MAX]!r} is not bech32 with prefix {prefix}")
    return bytes(raw)


@lru_cache(_CACHED)
def compute_account_address(public_key: bytes) -> Address:
    """The address of a compressed secp256k1 key: ripemd160(sha256(key))."""
    digest = hashlib.sha256(public_key).digest()
    try:
        raw = hashlib.new("ripemd160", digest).digest()
    except ValueError:  # An OpenSSL built without legacy digests.
        raw = ripemd160_in_python(digest)
    return encode_address(raw)
