"""The default waterfall: an ordered list of layers, each paying what it can of what is left.

The order is the rule: residual of the account, market insurance, route insurance, global insurance,
auto-deleveraging, socialised loss. A layer that a chain does not have is simply not in the list.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layer:
    """One payer and the most it can pay now, in uusd."""

    name: str
    capacity_uusd: int

    def __post_init__(self) -> None:
        assert self.capacity_uusd >= 0, f"layer {self.name} cannot owe"


@dataclass(frozen=True, slots=True)
class Draw:
    """What one layer pays, possibly 0."""

    name: str
    amount_uusd: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """The draws in the order of the layers, and what no layer could pay: they sum to the loss."""

    draws: tuple[Draw, ...]
    uncovered_uusd: int


def compute_allocation(loss_uusd: int, layers: Sequence[Layer]) -> Allocation:
    """The loss spread over the layers in order, to the unit."""
    assert loss_uusd >= 0, "a gain needs no waterfall"
    remaining = loss_uusd
    draws = []
    for layer in layers:
        amount = min(remaining, layer.capacity_uusd)
        draws.append(Draw(layer.name, amount))
        remaining -= amount
    return Allocation(tuple(draws), remaining)


def compute_rolling_capacity_uusd(
    *, balance_uusd: int, share_ppm: int, paid_in_window_uusd: int
) -> int:
    """What a fund may still pay when at most a share of it leaves in a rolling window.

    The share is of the fund as it stood before the window's payments.
    """
    limit = (balance_uusd + paid_in_window_uusd) * share_ppm // 1_000_000
    return max(0, min(balance_uusd, limit - paid_in_window_uusd))
