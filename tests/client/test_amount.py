import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.client.amount import DISPLAY_UNITS, Amount
from chain.client.errors import InvalidField
from chain.units import AMOUNT_LIMIT, InvalidAmount


@pytest.mark.parametrize(
    ("text", "units", "denom"),
    [
        ("1 ETH", 10**18, "aeth"),
        ("1.50 ETH", 15 * 10**17, "aeth"),
        ("0.000001 USDC", 1, "uusdc"),
        ("20000 USDC", 20_000 * 10**6, "uusdc"),
        ("7umargin", 7, "umargin"),
        (" 7ibc/AB12 ", 7, "ibc/AB12"),
    ],
)
def test_texts_people_write(text, units, denom):
    assert Amount.parse(text) == Amount(units, denom)


@pytest.mark.parametrize("text", ["", "ETH", "1ETH2 x", "-1 ETH", "1 DOGE", "1,5 ETH", "1e3 ETH"])
def test_unreadable_text_is_refused(text):
    with pytest.raises(InvalidField):
        Amount.parse(text)


@pytest.mark.parametrize("text", ["0umargin", "0 ETH", "0.0 USDC", f"{AMOUNT_LIMIT}aeth"])
def test_amount_out_of_bounds_is_refused(text):
    with pytest.raises(InvalidAmount):
        Amount.parse(text)


def test_more_decimals_than_the_unit_has_are_refused():
    with pytest.raises(InvalidField, match="7 decimals, USDC has 6"):
        Amount.parse("0.0000001 USDC")


@given(st.sampled_from(sorted(DISPLAY_UNITS)), st.integers(1, AMOUNT_LIMIT - 1))
def test_text_reads_back_as_the_same_amount(name, units):
    amount = Amount(units, DISPLAY_UNITS[name][0])
    assert Amount.parse(str(amount)) == amount
    assert Amount.parse(f"{units}{amount.denom}") == amount
