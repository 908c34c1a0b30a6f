import json

import pytest

from chain.client.json_text import TooDeep, is_deeper, load_json


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("1", 0),
        ("[]", 1),
        ('{"a": [1, {"b": 2}]}', 3),
        ('"[[["', 0),
        (r'["\"[", "\\"]', 1),
        ("[][]", 1),
    ],
)
def test_depth_counts_brackets_outside_texts(text, depth):
    assert not is_deeper(text, depth)
    assert depth == 0 or is_deeper(text, depth - 1)


def test_bound_is_inclusive():
    assert load_json("[" * 64 + "]" * 64) is not None
    with pytest.raises(TooDeep, match="64"):
        load_json("[" * 65 + "]" * 65)


def test_very_deep_text_does_not_recurse():
    with pytest.raises(TooDeep):
        load_json("[" * 1_000_000)


def test_text_that_is_not_json_is_refused():
    with pytest.raises(json.JSONDecodeError):
        load_json('{"a": ')
    with pytest.raises(json.JSONDecodeError):
        load_json('"open [')
