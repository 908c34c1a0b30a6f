"""An expiry judged from outside: its price from the blocks it averages, its payments to the uusd.

Nothing here asks the chain's own code: payoff, floor and average are written again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.markets.v1 import markets_pb2
from localnet.block_history import BlockEvent
from localnet.report import Check

SETTLED_IN_CASH: Final = "options were settled in cash at the average price, to the uusd"
_WAD_PER_UUSD: Final = 10**12


@dataclass(frozen=True, slots=True)
class PriceSample:
    """The published price after a block, WAD, and the block's time; 0: none that may settle."""

    time_ns: int
    price_wad: int


def compute_average_wad(samples: Sequence[PriceSample], start_ns: int, end_ns: int) -> int:
    """The time-weighted average of a window, floored; 0 when no sample covers any of it.

    A block's price stands for the time since the block before. Samples ascend in time.
    """
    weighted = covered = 0
    last_ns = start_ns
    for sample in samples:
        until_ns = min(sample.time_ns, end_ns)
        if until_ns > last_ns:
            if sample.price_wad:
                weighted += sample.price_wad * (until_ns - last_ns)
                covered += until_ns - last_ns
            last_ns = until_ns
    return weighted // covered if covered else 0


def compute_payoff_wad(market: markets_pb2.Market, price_wad: int) -> int:
    """What one whole unit pays at a settlement price."""
    if market.kind == markets_pb2.INSTRUMENT_KIND_FUTURE:
        return price_wad
    strike_wad = int(market.strike_wad)
    if market.option_kind == markets_pb2.OPTION_KIND_CALL:
        return max(0, price_wad - strike_wad)
    return max(0, strike_wad - price_wad)


def compute_settled_value_uusd(
    market: markets_pb2.Market, size_quantums: int, price_wad: int
) -> int:
    """What a position is worth at its settlement, floored whichever side it is on."""
    unit: int = 10**market.quantum_decimals * _WAD_PER_UUSD
    return size_quantums * compute_payoff_wad(market, price_wad) // unit


def judge_settlement(
    markets: Mapping[str, markets_pb2.Market],
    before: accounts_pb2.Account,
    after: accounts_pb2.Account,
    payments: Sequence[BlockEvent],
    average_wad: int,
) -> Check:
    """Whether an account was paid, in one block, exactly what its settled positions were worth.

    `before` and `after` are the account on either side of the block whose `position_settled` events
    of the account are `payments`; `average_wad` is the settlement price from `compute_average_wad`.
    """
    held = {position.market: position for position in before.positions}
    left = {position.market for position in after.positions}
    rows: list[dict[str, Any]] = []
    expected = 0
    for event in payments:
        market = markets[event.values["market"]]
        position = held[market.id]
        size = int(position.size_quantums)
        value = compute_settled_value_uusd(market, size, average_wad)
        profit = value - int(position.cost_uusd)
        expected += profit
        rows.append(
            {
                "market": market.id,
                "height": event.height,
                "size_quantums": position.size_quantums,
                "strike_wad": market.strike_wad,
                "settlement_price_wad": str(average_wad),
                "payoff_wad": str(compute_payoff_wad(market, average_wad)),
                "value_uusd": str(value),
                "cost_uusd": position.cost_uusd,
                "pnl_uusd": str(profit),
                "paid_uusd": event.values["value_uusd"],
                "is_gone": market.id not in left,
            }
        )
    moved = int(after.cash_uusd or 0) - int(before.cash_uusd or 0)
    is_exact = bool(rows) and all(
        row["value_uusd"] == row["paid_uusd"] and row["is_gone"] for row in rows
    )
    return Check(
        SETTLED_IN_CASH,
        is_exact and moved == expected,
        {"cash_moved_uusd": str(moved), "expected_uusd": str(expected), "positions": rows},
    )


def find_window(times_ns: Mapping[int, int], start_ns: int, end_ns: int) -> list[int]:
    """The heights whose prices a window samples: after its start, up to the first at its end."""
    heights = []
    for height in sorted(times_ns):
        if times_ns[height] <= start_ns:
            continue
        heights.append(height)
        if times_ns[height] >= end_ns:
            break
    return heights
