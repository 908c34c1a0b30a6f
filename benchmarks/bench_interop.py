"""Hermes and our relayer on the same pair of chains, the hub and an ibc-go chain, in turns.

    python -m benchmarks.bench_interop [--runs 3] [--transfers 60]

First the handshakes: two clients, a connection and a transfer channel from nothing, each relayer in
turn. Then the transfers: while one relayer runs, so many transfers are sent from the hub, ten a
transaction, as fast as its mempool takes them; the clock stops when the hub holds no commitment any
more, so every one was received on ibc-go and its acknowledgement was proven on the hub. Both chains
have one validator and blocks of half a second; everything shares the machine.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localnet.actors import ACTORS
from localnet.interop import hermes_scenarios
from localnet.interop.binaries import find_hermes, find_simd
from localnet.interop.mrelay import Mrelay, RelayedChain, RelayedPath
from localnet.interop.mrelay_scenarios import build_link
from localnet.interop.sides import GAS_PER_MESSAGE, Link, wait_until_acknowledged
from localnet.interop.world import World

TRANSFERS_PER_TX: Final = 10


@dataclass(frozen=True, slots=True)
class RelayerDriver:
    """How the benchmark uses a relayer: a handshake by a name, and relaying while a block lasts."""

    name: str
    open_link: Callable[[str], Link]
    running: Callable[[], AbstractContextManager[object]]


def drive_hermes(world: World) -> RelayerDriver:
    """Hermes with its push mode."""
    config = world.write_hermes_config()

    def open_link(name: str) -> Link:
        hermes_scenarios.open_link(world, name, world.hub, world.simd)
        return world.links[name]

    return RelayerDriver("hermes", open_link, lambda: world.hermes_running(config))


class _Running:
    """`mrelay start` while a block lasts."""

    def __init__(self, mrelay: Mrelay) -> None:
        self._mrelay = mrelay

    def __enter__(self) -> None:
        self._mrelay.start()

    def __exit__(self, *_: object) -> None:
        self._mrelay.stop()


def drive_mrelay(world: World, runs: int) -> RelayerDriver:
    """Our relayer, with a path a run."""
    sides = (world.hub, world.simd)
    chains = [
        RelayedChain(side.chain_id, side.rpc_url, side.prefix, side.fee_denom) for side in sides
    ]
    paths = [RelayedPath(str(run), world.hub.chain_id, world.simd.chain_id) for run in range(runs)]
    mrelay = Mrelay.create(world.root / "mrelay", chains, paths, ACTORS["keeper"].wallet)

    def open_link(name: str) -> Link:
        return build_link(mrelay.link(name), *sides)

    return RelayerDriver("mrelay", open_link, lambda: _Running(mrelay))


def relay_transfers(link: Link, count: int) -> float:
    """Seconds from the first broadcast until every transfer is acknowledged; one goes before."""
    wallet = link.a.side.get_wallet("alice")
    link.send(1)
    wait_until_acknowledged(link.a)
    with link.a.side.connect() as client:
        started = time.monotonic()
        message = link.build_transfer(1)
        gas_limit = TRANSFERS_PER_TX * GAS_PER_MESSAGE
        sent = [
            client.submit(wallet, [message] * TRANSFERS_PER_TX, gas_limit=gas_limit)
            for _ in range(count // TRANSFERS_PER_TX)
        ]
        for transaction in sent:
            transaction.wait()
    wait_until_acknowledged(link.a)
    return time.monotonic() - started


def measure(world: World, runs: int, transfers: int) -> None:
    """Print the figures of every run and their medians."""
    drivers = (drive_hermes(world), drive_mrelay(world, runs))
    links: dict[str, Link] = {}
    handshakes: dict[str, list[float]] = {driver.name: [] for driver in drivers}
    for run in range(runs):
        for driver in drivers:
            started = time.monotonic()
            links[driver.name] = driver.open_link(str(run))
            handshakes[driver.name].append(time.monotonic() - started)
    show("handshake, client to channel", handshakes, "s")
    rates: dict[str, list[float]] = {driver.name: [] for driver in drivers}
    for _ in range(runs):
        for driver in drivers:
            with driver.running():
                seconds = relay_transfers(links[driver.name], transfers)
            rates[driver.name].append(transfers / seconds)
    show(f"{transfers} transfers, sent to acknowledged", rates, "transfers/s")


def show(title: str, figures: dict[str, list[float]], unit: str) -> None:
    """Print a figure of every relayer: the median and the runs in their order."""
    for name, values in figures.items():
        runs = ", ".join(f"{value:.1f}" for value in values)
        print(
            f"  {title}: {name} {statistics.median(values):.1f} {unit} (runs: {runs})", flush=True
        )


def main() -> None:
    """Bring the chains up, measure, and take them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--transfers", type=int, default=60)
    arguments = parser.parse_args()
    if find_simd() is None or find_hermes() is None:
        print("  simd and Hermes are not built yet: `make interop` builds them")
        return
    with tempfile.TemporaryDirectory() as folder:

        def say(text: str) -> None:
            print(f"  {text}", file=sys.stderr, flush=True)

        world = World(Path(folder) / "world", say)
        try:
            world.up(say)
            measure(world, arguments.runs, arguments.transfers)
        finally:
            world.close()


if __name__ == "__main__":
    main()
