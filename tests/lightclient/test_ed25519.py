"""The fast path and the exact rule agree on honest signatures; the exact one judges odd ones."""

from hashlib import sha512

import nacl.exceptions
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_sign_open
from nacl.signing import SigningKey

from chain.lightclient.ed25519 import verify_signature, verify_zip215

P = (1 << 255) - 19
ORDER = (1 << 252) + 27742317777372353535851937790883648493
# The y of the points of order 1, 2, 4 and 8; p is added where that still fits 255 bits.
ORDER_8_Y_HEX = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
SMALL_Y = [1, P - 1, 0, int.from_bytes(bytes.fromhex(ORDER_8_Y_HEX), "little")]
SMALL_POINTS = [
    (y | sign << 255).to_bytes(32, "little")
    for base in SMALL_Y
    for y in {base, base + P if base + P < 1 << 255 else base}
    for sign in (0, 1)
]


def is_accepted_by_libsodium(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        crypto_sign_open(signature + message, key)
    except nacl.exceptions.BadSignatureError:
        return False
    return True


@settings(max_examples=25, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200))
def test_honest_signatures_verify_by_both_rules(seed: bytes, message: bytes) -> None:
    key = SigningKey(seed)
    public_key, signature = bytes(key.verify_key), key.sign(message).signature
    assert verify_signature(public_key, message, signature)
    assert verify_zip215(public_key, message, signature)
    assert not verify_signature(public_key, message + b"x", signature)
    assert not verify_zip215(public_key, message + b"x", signature)


@settings(max_examples=25, deadline=None)
@given(bit=st.integers(0, 511))
def test_a_flipped_bit_is_refused(bit: int) -> None:
    key = SigningKey(bytes(range(32)))
    signature = bytearray(key.sign(b"message").signature)
    signature[bit // 8] ^= 1 << bit % 8
    assert not verify_signature(bytes(key.verify_key), b"message", bytes(signature))


@pytest.mark.parametrize("key", SMALL_POINTS)
@pytest.mark.parametrize("point", SMALL_POINTS)
def test_small_order_points_are_accepted_as_zip215_says(key: bytes, point: bytes) -> None:
    """With s = 0 the equation holds for any small-order A and R; libsodium refuses them all."""
    signature = point + bytes(32)
    assert verify_zip215(key, b"Zcash", signature)
    assert verify_signature(key, b"Zcash", signature)
    assert not is_accepted_by_libsodium(key, b"Zcash", signature)


def test_s_at_or_above_the_order_is_refused() -> None:
    key = SigningKey(bytes(32))
    public_key, signature = bytes(key.verify_key), key.sign(b"m").signature
    s = int.from_bytes(signature[32:], "little")
    assert verify_zip215(public_key, b"m", signature)
    for other in (s + ORDER, ORDER):
        malleated = signature[:32] + other.to_bytes(32, "little")
        assert not verify_zip215(public_key, b"m", malleated)
        assert not verify_signature(public_key, b"m", malleated)


def test_encodings_without_a_point_are_refused() -> None:
    key = SigningKey(bytes(32))
    public_key, signature = bytes(key.verify_key), key.sign(b"m").signature
    no_point = (2).to_bytes(32, "little")
    assert not verify_signature(no_point, b"m", signature)
    assert not verify_signature(public_key, b"m", no_point + signature[32:])


@pytest.mark.parametrize(("key_size", "signature_size"), [(31, 64), (33, 64), (32, 63), (32, 65)])
def test_other_sizes_are_refused(key_size: int, signature_size: int) -> None:
    assert not verify_signature(bytes(key_size), b"", bytes(signature_size))


def test_key_of_mixed_order_needs_the_cofactor() -> None:
    """A key with a part of order two: only cofactored verification accepts all its signatures."""
    seed = bytes(range(32))
    digest = sha512(seed).digest()
    a = int.from_bytes(digest[:32], "little") & ~7 & ((1 << 254) - 1) | 1 << 254
    # Adding the point of order two: (x, y) + (0, -1) = (-x, -y).
    public_key = int.from_bytes(bytes(SigningKey(seed).verify_key), "little")
    y, sign = public_key & ((1 << 255) - 1), public_key >> 255
    mixed = ((P - y) | (sign ^ 1) << 255).to_bytes(32, "little")
    nonce_key = SigningKey(bytes(32))
    nonce_digest = sha512(bytes(32)).digest()
    r = int.from_bytes(nonce_digest[:32], "little") & ~7 & ((1 << 254) - 1) | 1 << 254
    big_r = bytes(nonce_key.verify_key)
    accepted = []
    for counter in range(8):
        message = b"message %d" % counter
        k = int.from_bytes(sha512(big_r + mixed + message).digest(), "little") % ORDER
        signature = big_r + ((r + k * a) % ORDER).to_bytes(32, "little")
        assert verify_zip215(mixed, message, signature)
        assert verify_signature(mixed, message, signature)
        accepted.append(is_accepted_by_libsodium(mixed, message, signature))
    assert not all(accepted)  # Odd challenges fail without the cofactor.
