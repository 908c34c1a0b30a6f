"""The proposer rotation of CometBFT: weighted round robin by priority (proposer selection spec)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from chain.lightclient.types import INT64_MAX, Validator, ValidatorSet
from chain.units import ceil_div, clamp

PRIORITY_WINDOW_FACTOR: Final = 2
"""Priorities are kept within this many times the total power of each other."""
INT64_MIN: Final = -INT64_MAX - 1


def get_proposer(validators: ValidatorSet) -> Validator:
    """The validator with the highest priority; of equals, the one with the lower address."""
    return min(validators.validators, key=lambda v: (-v.proposer_priority, v.address))


def _truncated_quotient(value: int, divisor: int) -> int:
    """The quotient rounded toward zero, as CometBFT's integers divide."""
    return value // divisor if value >= 0 else -(-value // divisor)


def _center(priorities: Sequence[int], total_power: int) -> list[int]:
    """Priorities squeezed into their window, then shifted so that their mean is about zero."""
    window = PRIORITY_WINDOW_FACTOR * total_power
    spread = max(priorities) - min(priorities)
    if spread > window:
        ratio = ceil_div(spread, window)
        priorities = [_truncated_quotient(p, ratio) for p in priorities]
    mean = sum(priorities) // len(priorities)
    return [clamp(p - mean, INT64_MIN, INT64_MAX) for p in priorities]


def rotate_proposer(validators: ValidatorSet) -> tuple[ValidatorSet, Validator]:
    """The set after one round with the validator that proposes in it.

    Everyone gains its power in priority and the highest, who proposes, pays the total. A set of new
    validators starts with equal priorities.
    """
    total = validators.total_power
    centered = _center([v.proposer_priority for v in validators.validators], total)
    raised = ValidatorSet(
        tuple(
            replace(v, proposer_priority=clamp(p + v.voting_power, INT64_MIN, INT64_MAX))
            for v, p in zip(validators.validators, centered, strict=True)
        )
    )
    chosen = get_proposer(raised)
    paid = clamp(chosen.proposer_priority - total, INT64_MIN, INT64_MAX)
    proposer = replace(chosen, proposer_priority=paid)
    rotated = tuple(proposer if v is chosen else v for v in raised.validators)
    return ValidatorSet(rotated), proposer
