import pytest

from chain.runtime.json_text import JsonNumber, JsonObject, TooDeep, decode_json, is_deeper


def test_numbers_stay_text_and_pairs_stay_in_order():
    document = decode_json('{"a":1.50,"b":[-0e9,true,null],"a":"x"}', size_max=100)
    assert isinstance(document, JsonObject)
    assert document.pairs == (("a", "1.50"), ("b", ["-0e9", True, None]), ("a", "x"))
    number, text = document.get_values("a")
    assert isinstance(number, JsonNumber)
    assert not isinstance(text, JsonNumber)


@pytest.mark.parametrize(
    ("text", "depth"),
    [("{}", 1), ("[[]]", 2), ('{"[[[[":"]]{"}', 1), ('["\\"[",[]]', 2), ('"[', 0), ("1", 0)],
)
def test_depth_counts_brackets_outside_texts(text, depth):
    assert not is_deeper(text, depth)
    assert depth == 0 or is_deeper(text, depth - 1)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"NaN", b"[Infinity]", b"\xff", b'{"a":"\\ud800"}', b"1 2", b"x" * 101]
)
def test_what_is_not_json_is_refused(data):
    with pytest.raises(ValueError, match=r"\w"):
        decode_json(data, size_max=100)


def test_depth_is_bounded_before_decoding():
    with pytest.raises(TooDeep):
        decode_json("[" * 500_000, size_max=1_000_000)
