"""Option pricing, margin checks and the re-margining of all accounts, in CPU time of one core."""

import argparse
import random
import resource
import time
from collections.abc import Callable

from chain.risk import portfolio as portfolios
from chain.risk.batch import AccountMatrix, compute_min_spans
from chain.risk.black76 import compute_black76, compute_black76_price_wad
from chain.risk.portfolio import (
    ExpiryPosition,
    OptionPosition,
    Portfolio,
    build_risk_table,
    compute_portfolio_margin,
)
from chain.risk.risk_table import LINEAR, InstrumentRow, RiskTable, compute_span
from chain.risk.scenarios import PRESETS
from chain.units import WAD

INSTRUMENTS = 50
SCENARIOS = 27
HELD = 12
SCALE = 1 << 30
DAY_S = 86_400


def measure_s(action: Callable[[], object], repeat: int) -> float:
    """The best CPU time of some runs."""
    best = float("inf")
    for _ in range(repeat):
        start = time.thread_time()
        action()
        best = min(best, time.thread_time() - start)
    return best


def build_portfolio() -> Portfolio:
    """Base, a perpetual and ten options of two expiries: twelve positions."""
    expiries = tuple(
        ExpiryPosition(
            days * DAY_S,
            2_000 * WAD,
            WAD // 20,
            tuple(
                OptionPosition(
                    strike * WAD, strike > 2_000, (-1) ** index * 3 * WAD, 7 * WAD // 10 + index
                )
                for index, strike in enumerate((1_600, 1_800, 2_050, 2_200, 2_600))
            ),
        )
        for days in (7, 60)
    )
    return Portfolio(
        spot_wad=2_000 * WAD,
        base_wad=WAD,
        perp_wad=-WAD,
        perp_price_wad=2_000 * WAD,
        expiries=expiries,
    )


def build_table(generator: random.Random, expiries: int) -> RiskTable:
    """Fifty instruments under 27 scenarios; two are linear when there are expiries, else all."""
    rows = []
    for index in range(INSTRUMENTS):
        expiry = (
            LINEAR if index < 2 or not expiries else (index - 2) * expiries // (INSTRUMENTS - 2)
        )
        mark = generator.randrange(10**4, 10**8)
        shocked = tuple(generator.randrange(10**4, 10**8) for _ in range(SCENARIOS))
        rows.append(
            InstrumentRow(
                expiry,
                1_000 + index // 2,
                index % 2 == 0,
                mark,
                shocked,
                (mark * 21 // 20, mark * 19 // 20),
                10**5,
                mark,
            )
        )
    return RiskTable(
        tuple(rows),
        (SCALE,) * SCENARIOS,
        (SCALE * 9 // 10,) * expiries,
        (SCALE // 4,) * expiries,
        0,
        0,
        SCALE,
    )


def fill_accounts(generator: random.Random, count: int) -> AccountMatrix:
    """Accounts with twelve positions each."""
    accounts = AccountMatrix(INSTRUMENTS, count)
    for _ in range(count):
        amounts = [0] * INSTRUMENTS
        for instrument in generator.sample(range(INSTRUMENTS), HELD):
            amounts[instrument] = generator.randrange(-(10**6), 10**6)
        accounts.append(amounts)
    return accounts


def report(name: str, seconds: float, count: int, unit: str) -> None:
    """One line: time a piece and pieces a second."""
    print(
        f"{name:<58} {seconds / count * 1e6:10.1f} µs/{unit:<8} {count / seconds:12.0f} {unit}s/s"
    )


def bench_options(count: int) -> None:
    """Prices alone, then with Greeks, over strikes from deep in to deep out of the money."""
    options = [
        (
            2_000 * WAD,
            (500 + 10 * (i % 400)) * WAD,
            WAD // 5 + i * WAD // 1_000,
            (1 + i % 300) * DAY_S,
        )
        for i in range(count)
    ]

    def price() -> None:
        for forward, strike, volatility, duration in options:
            compute_black76_price_wad(forward, strike, volatility, duration, is_call=True)

    def value() -> None:
        for forward, strike, volatility, duration in options:
            compute_black76(forward, strike, volatility, duration, is_call=False)

    report("Black-76 price", measure_s(price, 3), count, "option")
    report("Black-76 price and five Greeks", measure_s(value, 3), count, "option")


def bench_check() -> None:
    """One margin check of twelve positions: priced anew, with cached risk arrays, dot product."""
    held = build_portfolio()

    def check_anew() -> None:
        portfolios.compute_option_prices_wad.cache_clear()
        portfolios.compute_option_price_wad.cache_clear()
        compute_portfolio_margin(held, PRESETS["pmrm21"])

    report("12-position check, pmrm21, every option priced", measure_s(check_anew, 20), 1, "check")
    cached = measure_s(lambda: compute_portfolio_margin(held, PRESETS["pmrm21"]), 50)
    report("12-position check, pmrm21, risk arrays cached", cached, 1, "check")
    table, amounts = build_risk_table(held, PRESETS["pmrm21"])
    span = measure_s(lambda: compute_span(table, amounts), 50)
    report("12-position check, pmrm21, dot product alone", span, 1, "check")


def bench_accounts(count: int, expiries: int) -> None:
    """All accounts of one table; the answer is checked against Python integers on a sample."""
    generator = random.Random(7)
    table = build_table(generator, expiries)
    accounts = fill_accounts(generator, count)
    spans = compute_min_spans(table, accounts)
    for row in range(0, count, max(1, count // 50)):
        assert spans[row] == compute_span(table, accounts.get_amounts(row)).min_span
    seconds = measure_s(lambda: compute_min_spans(table, accounts), 3)
    kind = f"{expiries} expiries" if expiries else "linear"
    name = f"re-margin {count:,} accounts, 50 x 27, {kind}"
    print(f"{name:<58} {seconds * 1e3:10.1f} ms {accounts.bytes_held / 1e6:18.1f} MB of amounts")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", type=int, default=2_000)
    arguments = parser.parse_args()
    bench_options(arguments.options)
    bench_check()
    for count in (10_000, 100_000):
        for expiries in (0, 2, 4):
            bench_accounts(count, expiries)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    print(f"{'peak resident memory':<58} {peak:10.0f} MiB")


if __name__ == "__main__":
    main()
