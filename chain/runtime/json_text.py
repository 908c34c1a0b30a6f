"""JSON from strangers, for consensus code: bounded before it is decoded, no number ever converted.

The standard decoder recurses, turns digits into floats and keeps one of two equal keys. Here depth
is counted first, numbers stay text, and an object keeps its pairs as they were written.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn

DEPTH_MAX: Final = 64
_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


class TooDeep(ValueError):
    """A document that nests deeper than allowed."""


class JsonNumber(str):
    """The text of a number, exactly as written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class JsonObject:
    """An object as its (key, value) pairs in order; a key may stand more than once."""

    pairs: tuple[tuple[str, Any], ...]

    def get_values(self, key: str) -> list[Any]:
        """Every value under a key."""
        return [value for name, value in self.pairs if name == key]


def is_deeper(text: str, depth_max: int) -> bool:
    """Whether lists and objects nest beyond a depth; brackets inside texts do not count."""
    if text.count("[") + text.count("{") <= depth_max:
        return False
    depth = 0
    for token in _BRACKETS.finditer(text):
        if token[0] in ("{", "["):
            depth += 1
            if depth > depth_max:
                return True
        elif token[0] in ("}", "]"):
            depth -= 1
    return False


def decode_json(data: bytes | str, *, size_max: int, depth_max: int = DEPTH_MAX) -> Any:
    """The document: JsonObject, list, str, JsonNumber, bool or None.

    `size_max` counts bytes (characters of a str). Raises ValueError, TooDeep among them, for what
    is longer, deeper, not UTF-8, not JSON, or has a key or text that is no Unicode.
    """
    if len(data) > size_max:
        raise ValueError(f"{len(data)} bytes are above {size_max}")
    text = data.decode() if isinstance(data, bytes) else data
    if is_deeper(text, depth_max):
        raise TooDeep(f"nests deeper than {depth_max} levels")
    return _DECODER.decode(text)


def _build_object(pairs: list[tuple[str, Any]]) -> JsonObject:
    for key, value in pairs:
        key.encode()  # An escaped half of a surrogate pair is no character: refused here.
        if isinstance(value, str):
            value.encode()
    return JsonObject(tuple(pairs))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_build_object,
    parse_int=JsonNumber,
    parse_float=JsonNumber,
    parse_constant=_refuse_constant,
)
