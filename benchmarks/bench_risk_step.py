"""The risk step of a block over all accounts at risk: one price moves, all move, a crash.

Real modules over a branch: what is measured is the block hook that finds and records margin states
(`accounts.hooks.refresh_margin_states`), beside computing one account exactly, and the memory of
the index. Of the accounts each has three of twelve positions.
"""

import argparse
import random
import resource
import time
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.bench_margin_check import LINES, build_context
from chain.modules.accounts import hooks, margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import Account, Position
from chain.modules.collateral.measurement import SharedReads
from chain.modules.oracle import state as oracle
from chain.runtime.address import encode_address
from chain.runtime.context import Context
from chain.runtime.store import Branch
from chain.units import UUSD

HELD = 3


def build_accounts(ctx: Context, count: int) -> None:
    """Longs and shorts of 2,400 USD a position, equity from 5 to 25 % of all three."""
    generator = random.Random(11)
    for index in range(count):
        positions = {
            f"A{market:02}-USD": Position(sign * 1_200_000, sign * 2_400 * UUSD, 0)
            for market in generator.sample(range(LINES), HELD)
            for sign in (generator.choice((-1, 1)),)
        }
        owner = encode_address((index + 1_000).to_bytes(20, "big"))
        cash = generator.randrange(360, 1_800) * UUSD
        accounts.set_account(ctx, Account(owner, 0, cash, positions))


def move_prices(ctx: Context, markets: int, ppm: int) -> None:
    """The next block, with some prices moved."""
    ctx.height += 1
    for index in range(markets):
        price = oracle.get_price(ctx, f"A{index:02}")
        assert price is not None
        moved = price.price_wad + price.price_wad * ppm // 10**6
        oracle.set_price(ctx, replace(price, price_wad=moved, raw_median_wad=moved))


class Committed:
    """Committed state that takes over each block's writes: what a commit store is to a block."""

    def __init__(self, branch: Branch) -> None:
        self._branch = branch

    def get(self, store: str, key: bytes) -> bytes | None:
        """The value under the key, or None."""
        return self._branch.get(store, key)

    def iterate(
        self, store: str, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs within [start, end) in key order, or reversed."""
        return self._branch.iterate(store, start, end, reverse=reverse)

    def commit(self, block: Branch) -> None:
        """Take over what a block wrote."""
        for store, writes in block.net_writes().items():
            self._branch.adopt(store, dict(writes))


def measure_block(ctx: Context, committed: Committed, name: str, markets: int, ppm: int) -> int:
    """One block in which some prices move: its hook in CPU time, and the states it recorded."""
    ctx.store = Branch(committed)
    ctx.events.clear()
    move_prices(ctx, markets, ppm)
    start = time.thread_time()
    with ctx.branch() as child:
        hooks.refresh_margin_states(child)
    seconds = time.thread_time() - start
    committed.commit(ctx.store)
    changed = len(ctx.events)
    print(f"{name:<58} {seconds * 1e3:10.1f} ms {changed:10} states changed")
    return changed


def measure_peak_mib() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    count = parser.parse_args().accounts
    ctx = build_context([])
    build_accounts(ctx, count)
    committed = Committed(ctx.store)
    peak = measure_peak_mib()
    measure_block(ctx, committed, f"{count:,} accounts read from the store after a restart", 0, 0)
    print(f"{'memory of the index':<58} {measure_peak_mib() - peak:10.1f} MiB")
    while measure_block(ctx, committed, "risk step while states are not yet recorded", 0, 0):
        pass
    measure_block(ctx, committed, "risk step, no price moves", 0, 0)
    measure_block(ctx, committed, "risk step, one price moves by 0.01 %", 1, 100)
    measure_block(ctx, committed, "risk step, all twelve prices move by 0.01 %", LINES, 100)
    measure_block(ctx, committed, "risk step, one price moves by 1 %", 1, 10_000)
    measure_block(ctx, committed, "risk step, a crash: half of the prices by 50 %", 6, 500_000)
    account = next(accounts.iterate_accounts(ctx))
    start = time.thread_time()
    for _ in range(200):
        margin.compute_account_margin(ctx, account, shared=SharedReads())
    alone = (time.thread_time() - start) / 200
    print(f"{'one account exactly':<58} {alone * 1e3:10.3f} ms")


if __name__ == "__main__":
    main()
