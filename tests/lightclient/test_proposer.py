"""Proposer rotation: fair by power, bounded, and the same from any equal start."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from chain.lightclient.proposer import PRIORITY_WINDOW_FACTOR, get_proposer, rotate_proposer
from chain.lightclient.types import TOTAL_POWER_MAX, Validator, ValidatorSet
from tests.support.headers import TestValidatorSet


@settings(max_examples=40, deadline=None)
@given(powers=st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_each_proposes_in_proportion_to_its_power(powers: list[int]) -> None:
    validators = TestValidatorSet.create(powers).validators
    turns: Counter[bytes] = Counter()
    for _ in range(validators.total_power):
        validators, proposer = rotate_proposer(validators)
        turns[proposer.address] += 1
    assert turns == {v.address: v.voting_power for v in validators.validators}


@settings(max_examples=40, deadline=None)
@given(
    members=st.lists(
        st.tuples(st.integers(1, TOTAL_POWER_MAX // 8), st.integers(-(1 << 63), (1 << 63) - 1)),
        min_size=1,
        max_size=8,
    )
)
def test_priorities_return_to_their_window(members: list[tuple[int, int]]) -> None:
    validators = ValidatorSet(
        tuple(
            Validator(bytes([i]) * 32, power, priority)
            for i, (power, priority) in enumerate(members)
        )
    )
    for _ in range(2):
        validators, _ = rotate_proposer(validators)
    priorities = [v.proposer_priority for v in validators.validators]
    window = PRIORITY_WINDOW_FACTOR * validators.total_power
    # One round after the squeeze adds at most a power and takes at most the total.
    assert max(priorities) - min(priorities) <= window + 2 * validators.total_power


def test_ties_go_to_the_lower_address() -> None:
    validators = TestValidatorSet.create([1, 1, 1]).validators
    assert get_proposer(validators).address == min(v.address for v in validators.validators)
