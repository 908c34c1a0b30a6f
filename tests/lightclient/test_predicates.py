"""Misbehaviour: what two headers of one chain prove against their signers."""

from dataclasses import replace

from chain.lightclient.predicates import is_conflicting, is_misbehaviour, is_time_violation
from tests.support.headers import TestValidatorSet, build_block

VALIDATORS = TestValidatorSet.create([3, 2, 1])
FIRST = build_block(5, VALIDATORS).header
LATER = build_block(6, VALIDATORS).header


def test_two_headers_of_one_height_conflict_when_they_differ() -> None:
    other = replace(FIRST, app_hash=bytes(32))
    assert is_conflicting(FIRST, other)
    assert is_misbehaviour(FIRST, other)
    assert not is_conflicting(FIRST, FIRST)
    assert not is_misbehaviour(FIRST, FIRST)


def test_headers_in_order_prove_nothing() -> None:
    assert not is_misbehaviour(FIRST, LATER)
    assert not is_misbehaviour(LATER, FIRST)


def test_higher_header_must_be_later() -> None:
    for time_ns, expected in [(FIRST.time_ns + 1, False), (FIRST.time_ns, True), (0, True)]:
        higher = replace(LATER, time_ns=time_ns)
        assert is_time_violation(FIRST, higher) is expected
        assert is_time_violation(higher, FIRST) is expected
        assert is_misbehaviour(higher, FIRST) is expected


def test_headers_of_one_height_are_no_time_violation() -> None:
    assert not is_time_violation(FIRST, replace(FIRST, time_ns=0))
