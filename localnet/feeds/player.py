"""Plays prices to the validators: one feed document each, written anew several times a second.

Runs as `python -m localnet.feeds.player --control C --target NAME=FILE …`. Two venues quote ETH and
USDC. A price carries the moment it is written: the player stands for venues that quote all the time
and whose last hourly close is their price.
"""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from localnet.feeds.black_thursday import BINANCE_ETH_USDT, GEMINI_ETH_USD
from localnet.feeds.control import FeedControl, write_atomically

TICK_S: Final = 0.25
SOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    "binance": BINANCE_ETH_USDT,
    "gemini": GEMINI_ETH_USD,
}
USDC_PRICE: Final = "1"
LAG_NS: Final = 3_600 * 10**9
ABSURD_FACTOR: Final = 10**9
_NS_PER_MS: Final = 10**6


def compute_bar(control: FeedControl, now_ns: int) -> int:
    """Which hourly close is known: 0 before the play and at its start, the last one after it."""
    if control.script == "constant":
        return 0
    elapsed_ms = max(0, now_ns - control.started_at_ns) // _NS_PER_MS
    return min(len(BINANCE_ETH_USDT) - 1, elapsed_ms // control.bar_ms)


def make_document(control: FeedControl, now_ns: int, fault: str = "") -> dict[str, Any]:
    """The feed document of a moment, spoilt by a fault if one is named."""
    bar = compute_bar(control, now_ns)
    time_ns = now_ns - LAG_NS if fault == "lagging" else now_ns
    prices = []
    for source, closes in SOURCES.items():
        for asset, price in (("ETH", closes[bar]), ("USDC", USDC_PRICE)):
            said = str(Decimal(price) * ABSURD_FACTOR) if fault == "absurd" else price
            prices.append({"asset": asset, "source": source, "price": said, "time_ns": time_ns})
    return {"prices": prices}


def write_feeds(control: FeedControl, targets: Mapping[str, Path], now_ns: int) -> None:
    """Write every validator's document, but for those whose feed is dead."""
    for name, path in targets.items():
        fault = control.faults.get(name, "")
        if fault != "dead":
            write_atomically(path, json.dumps(make_document(control, now_ns, fault)))


def play(control_path: Path, targets: Mapping[str, Path], stop: threading.Event) -> None:
    """Write the feeds until told to stop; a control file that cannot be read changes nothing."""
    control = FeedControl()
    last_fault = ""
    while not stop.is_set():
        try:
            control = FeedControl.read(control_path)
        except ValueError as error:
            if str(error) != last_fault:
                last_fault = str(error)
                sys.stderr.write(f"{error}\n")
                sys.stderr.flush()
        write_feeds(control, targets, time.time_ns())
        stop.wait(TICK_S)


def main() -> None:
    """The command line of the player."""
    parser = argparse.ArgumentParser(description="Plays prices to the validators.")
    parser.add_argument("--control", type=Path, required=True)
    parser.add_argument("--target", action="append", default=[], metavar="NAME=FILE")
    arguments = parser.parse_args()
    targets = {}
    for target in arguments.target:
        name, _, path = target.partition("=")
        targets[name] = Path(path)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    play(arguments.control, targets, stop)


if __name__ == "__main__":
    main()
