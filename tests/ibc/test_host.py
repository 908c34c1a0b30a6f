"""Identifiers and paths of ICS-24."""

from collections.abc import Callable

import pytest

from chain.ibc import host
from chain.ibc.errors import InvalidIdentifier


@pytest.mark.parametrize(
    ("validate", "low", "high"),
    [
        (host.validate_client_id, 4, 64),
        (host.validate_connection_id, 10, 64),
        (host.validate_channel_id, 8, 64),
        (host.validate_port_id, 2, 128),
    ],
)
def test_lengths_have_bounds(validate: Callable[[str], None], low: int, high: int) -> None:
    validate("a" * low)
    validate("a" * high)
    for length in (low - 1, high + 1):
        with pytest.raises(InvalidIdentifier):
            validate("a" * length)


@pytest.mark.parametrize("bad", ["/", " ", "\n", "é", "{", "\x00", ":", "\\"])
def test_alphabet_is_closed(bad: str) -> None:
    with pytest.raises(InvalidIdentifier):
        host.validate_port_id(f"transfer{bad}")
    with pytest.raises(InvalidIdentifier):
        host.validate_port_id(f"{bad}transfer")


def test_alphabet_holds_what_ics24_lists() -> None:
    host.validate_port_id("azAZ09._+-#[]<>")


@pytest.mark.parametrize(
    ("identifier", "number"),
    [
        ("channel-0", 0),
        ("channel-18446744073709551615", (1 << 64) - 1),
        ("channel-18446744073709551616", None),
        ("channel-", None),
        ("channel-a", None),
        ("channel-1-2", None),
        ("channel-+1", None),
        ("connection-1", None),
        ("1", None),
    ],
)
def test_generated_identifiers_carry_a_number(identifier: str, number: int | None) -> None:
    assert host.parse_sequence(identifier, "channel-") == number


def test_packet_paths_of_different_channels_never_meet() -> None:
    """No identifier may hold a slash, so that one path names one thing."""
    first = host.packet_commitment_path("ab", "channel-1", 12)
    second = host.packet_commitment_path("ab", "channel-11", 2)
    assert first != second
    assert first.startswith(host.packet_commitment_prefix("ab", "channel-1"))
    assert not first.startswith(host.packet_commitment_prefix("ab", "channel-11"))
