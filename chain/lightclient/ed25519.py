"""Ed25519 verification by the rule of CometBFT: ZIP-215, at libsodium's speed for ordinary keys.

Libraries disagree on odd keys and signatures (small-order points, non-canonical encodings, the
cofactor), and a light client that disagrees with its chain stops following it. libsodium accepts a
subset of ZIP-215, so its yes is final; only its no is judged again by the slow exact rule:

- s below the group order;
- A and R decode with y taken modulo p, and any sign bit, also that of x = 0;
- [8][s]B = [8]R + [8][k]A.
"""

from hashlib import sha512
from typing import Final

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_P: Final = (1 << 255) - 19
_L: Final = (1 << 252) + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_SQRT_MINUS_ONE: Final = pow(2, (_P - 1) // 4, _P)

_Point = tuple[int, int, int, int]
"""Extended coordinates (X, Y, Z, T) with x = X/Z, y = Y/Z, x·y = T/Z."""

_IDENTITY: Final[_Point] = (0, 1, 1, 0)


def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature of the message under the key is valid by ZIP-215.

    Costs about 70 µs when libsodium says yes and a few ms when it says no; callers stop at the
    first no.
    """
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return verify_zip215(public_key, message, signature)
    return True


def verify_zip215(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """The exact rule alone, in plain integers; for keys of 32 and signatures of 64 bytes."""
    s = int.from_bytes(signature[32:], "little")
    if s >= _L:
        return False
    a = _decompress(public_key)
    r = _decompress(signature[:32])
    if a is None or r is None:
        return False
    digest = sha512(signature[:32] + public_key + message).digest()
    k = int.from_bytes(digest, "little") % _L
    # [8]([s]B - [k]A - R) is the identity: (0 : 1 : 1).
    point = _add(_double_multiply(s, _BASE, k, _negate(a)), _negate(r))
    x, y, z, _ = _double(_double(_double(point)))
    return x == 0 and y == z


def _decompress(encoded: bytes) -> _Point | None:
    """The point an encoding names, or None when no x fits its y; y may be non-canonical."""
    number = int.from_bytes(encoded, "little")
    sign = number >> 255
    y = (number & ((1 << 255) - 1)) % _P
    u = (y * y - 1) % _P
    v = (_D * y * y + 1) % _P
    # The candidate root of u/v (RFC 8032, section 5.1.3).
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    residue = v * x * x % _P
    if residue == (-u) % _P:
        x = x * _SQRT_MINUS_ONE % _P
    elif residue != u:
        return None
    if x & 1 != sign:
        x = -x % _P  # Minus zero is zero: ZIP-215 ignores the sign of x = 0.
    return x, y, 1, x * y % _P


def _negate(point: _Point) -> _Point:
    x, y, z, t = point
    return -x % _P, y, z, -t % _P


def _add(left: _Point, right: _Point) -> _Point:
    """The complete addition law of the twisted Edwards curve with a = -1."""
    x1, y1, z1, t1 = left
    x2, y2, z2, t2 = right
    a = (y1 - x1) * (y2 - x2) % _P
    b = (y1 + x1) * (y2 + x2) % _P
    c = 2 * t1 * t2 * _D % _P
    d = 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _double(point: _Point) -> _Point:
    x, y, z, _ = point
    a = x * x % _P
    b = y * y % _P
    c = 2 * z * z % _P
    h = a + b
    e = h - (x + y) * (x + y)
    g = a - b
    f = c + g
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _double_multiply(s: int, p: _Point, k: int, q: _Point) -> _Point:
    """[s]p + [k]q with one shared chain of doublings."""
    both = _add(p, q)
    result = _IDENTITY
    for bit in range(max(s.bit_length(), k.bit_length()) - 1, -1, -1):
        result = _double(result)
        in_s, in_k = s >> bit & 1, k >> bit & 1
        if in_s and in_k:
            result = _add(result, both)
        elif in_s:
            result = _add(result, p)
        elif in_k:
            result = _add(result, q)
    return result


def _base_point() -> _Point:
    point = _decompress((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    assert point is not None
    return point


_BASE: Final = _base_point()
