"""JSON from outside; the decoder recurses, so the depth is counted and bounded first."""

import json
from typing import Any

from chain.runtime.json_text import DEPTH_MAX, TooDeep, is_deeper

__all__ = ["DEPTH_MAX", "TooDeep", "is_deeper", "load_json"]


def load_json(text: str, depth_max: int = DEPTH_MAX) -> Any:
    """The document; raises ValueError (TooDeep, json.JSONDecodeError) when it is none."""
    if is_deeper(text, depth_max):
        raise TooDeep(f"nests deeper than {depth_max} levels")
    return json.loads(text)
