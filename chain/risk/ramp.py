"""Ramps: how a change for the worse reaches what exists, in a straight line over a time (row 20).

New risk sees the target at once; what exists sees the reading of the ramp. A change for the better
binds both at once.
"""

from dataclasses import dataclass, replace
from typing import Final

from chain.units import ceil_div, clamp

RISE: Final = 1
"""A larger figure is the worse one, as of a haircut."""
FALL: Final = -1
"""A smaller figure is the worse one, as of a limit."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """A figure on its way from an origin to a target, `step` of it every duration.

    `step` is a magnitude, 0 when nothing moves; times are in any one unit.
    """

    origin: int
    target: int
    step: int
    started: int


def compute_between(before: int, after: int, now: int, start: int, end: int) -> int:
    """A requirement on its straight way from one rule's to another's, rounded up: a rise takes all
    of the time, a fall none.
    """
    if after <= before or now >= end:
        return after
    return before + ceil_div((after - before) * max(0, now - start), end - start)


def build_still(value: int, now: int) -> Ramp:
    """A ramp that stands at a value."""
    return Ramp(value, value, 0, now)


def compute_reading(ramp: Ramp, now: int, duration: int) -> int:
    """Where the ramp is, rounded towards its target; a duration of 0 is over at once."""
    if duration <= 0:
        return ramp.target
    elapsed = max(0, now - ramp.started)
    moved = clamp(ceil_div(ramp.step * elapsed, duration), 0, abs(ramp.target - ramp.origin))
    return ramp.origin + moved if ramp.target >= ramp.origin else ramp.origin - moved


def compute_ramp_after(ramp: Ramp, target: int, now: int, duration: int, worse: int) -> Ramp:
    """The ramp towards a new target; `worse` (RISE or FALL) says which way hurts.

    A better target binds at once. A worse one is reached a duration from now at the latest, and a
    ramp under way never becomes slower: small changes in every block neither hold it up nor give
    time back.
    """
    current = compute_reading(ramp, now, duration)
    gap = (target - current) * worse
    if gap <= 0:
        return ramp if current == target == ramp.target else build_still(target, now)
    if target == ramp.target:
        return ramp
    is_moving = current != ramp.target
    if is_moving and gap <= ramp.step:
        return replace(ramp, target=target)
    return Ramp(current, target, max(gap, ramp.step) if is_moving else gap, now)
