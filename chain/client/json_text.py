"""JSON from outside; the decoder recurses, so the depth is counted and bounded first."""

import json
import re
from typing import Any, Final

DEPTH_MAX: Final = 64
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]')


class TooDeep(ValueError):
    """A document that nests deeper than allowed."""


def measure_depth(text: str) -> int:
    """The deepest nesting of lists and objects; brackets inside texts do not count."""
    depth = deepest = 0
    for token in _BRACKETS.finditer(text):
        if token[0] in ("{", "["):
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in ("}", "]"):
            depth -= 1
    return deepest


def load_json(text: str, depth_max: int = DEPTH_MAX) -> Any:
    """The document; raises ValueError (TooDeep, json.JSONDecodeError) when it is none."""
    if measure_depth(text) > depth_max:
        raise TooDeep(f"nests deeper than {depth_max} levels")
    return json.loads(text)
