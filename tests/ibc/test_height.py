"""Heights and revisions of chain ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.ibc.errors import InvalidChainId
from chain.ibc.height import Height, parse_revision, replace_revision

UINT64 = st.integers(0, (1 << 64) - 1)


@pytest.mark.parametrize(
    ("chain_id", "revision"),
    [
        ("hub-1", 1),
        ("hub-18446744073709551615", (1 << 64) - 1),
        ("a-b-42", 42),
        ("hub", 0),
        ("hub-0", 0),
        ("hub-01", 0),
        ("hub--1", 0),
        ("-1", 0),
        ("hub-1a", 0),
        ("hub-\u0661", 0),
        ("hub-1\n", 0),
        ("", 0),
    ],
)
def test_revision_is_the_number_after_the_last_dash(chain_id: str, revision: int) -> None:
    assert parse_revision(chain_id) == revision


@pytest.mark.parametrize("chain_id", ["hub-18446744073709551616", "hub-" + "9" * 40])
def test_revision_above_64_bits_is_refused(chain_id: str) -> None:
    with pytest.raises(InvalidChainId):
        parse_revision(chain_id)


def test_revision_is_replaced_only_where_there_is_one() -> None:
    assert replace_revision("hub-1", 7) == "hub-7"
    assert replace_revision("hub", 7) == "hub"


@given(UINT64, UINT64)
def test_height_round_trips(revision: int, number: int) -> None:
    height = Height(revision, number)
    assert Height.parse(str(height)) == height
    assert Height.from_proto(height.to_proto()) == height


@given(UINT64, UINT64, UINT64, UINT64)
def test_revision_orders_before_height(a: int, b: int, c: int, d: int) -> None:
    assert (Height(a, b) < Height(c, d)) == ((a, b) < (c, d))


@pytest.mark.parametrize("text", ["", "1", "1-2-3", "-1-2", "1-x", "1- 2", "\u0661-\u0662"])
def test_other_texts_are_no_heights(text: str) -> None:
    with pytest.raises(ValueError, match="revision-height"):
        Height.parse(text)
