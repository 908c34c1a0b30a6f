"""Figures of the store: microseconds a leaf update, persisting, proofs, verification, reads.

    python benchmarks/bench_iavl.py [--keys 10000,100000] [--writes 2000] [--blocks 10]
        [--inserts PERCENT] [--cache A,B] [--memory]

Keys are drawn uniformly, which is the worst case for caches. `--cache` takes one or two node cache
capacities and alternates their runs, so that a shared machine's drift hits both alike. CPU time is
of the process, so LevelDB's own threads count. The hash line tells how fast the machine was.
"""

import argparse
import gc
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from chain.merkle import iavl, ics23, ics23_codec
from chain.node.storage import LevelCommitStore, StoreOptions, open_commit_store

STORE = "bank"
VALUE_BYTES = 40
GENESIS_SLICE = 20_000
PROOFS = 500
READS = 20_000
HASHES = 50_000


def make_key(index: int) -> bytes:
    """A 21-byte key like an account's: a kind byte and 20 pseudo-random bytes."""
    return b"\x02" + sha256(index.to_bytes(8, "big")).digest()[:20]


class Figures:
    """Sums of CPU and wall time by label."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}
        self.units: dict[str, int] = {}

    @contextmanager
    def measure(self, label: str, units: int) -> Iterator[None]:
        """Add the time of the block under the label."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu[label] = self.cpu.get(label, 0.0) + time.process_time() - cpu
        self.wall[label] = self.wall.get(label, 0.0) + time.perf_counter() - wall
        self.units[label] = self.units.get(label, 0) + units

    def show(self, title: str) -> None:
        """Print a line for each label."""
        print(title)
        for label, units in self.units.items():
            cpu, wall = self.cpu[label] / units * 1e6, self.wall[label] / units * 1e6
            print(f"  {label:<34} {cpu:8.1f} us CPU  {wall:8.1f} us wall  each")


def fill(store: LevelCommitStore, keys: int) -> None:
    """Write the genesis state in slices and commit the first height."""
    for start in range(0, keys, GENESIS_SLICE):
        span = range(start, min(keys, start + GENESIS_SLICE))
        store.write_genesis(1, {STORE: {make_key(i): bytes(VALUE_BYTES - 1) + b"g" for i in span}})
    store.stage(1, {})
    store.commit()


def run_blocks(
    store: LevelCommitStore, keys: int, blocks: int, writes: int, inserts: int, figures: Figures
) -> None:
    """Stage and commit blocks of random writes."""
    dice = random.Random(store.height)
    for _ in range(blocks):
        height = store.height + 1
        indexes = [
            dice.getrandbits(60) if dice.randrange(100) < inserts else dice.randrange(keys)
            for _ in range(writes)
        ]
        batch = {make_key(index): dice.randbytes(VALUE_BYTES) for index in indexes}
        with figures.measure("stage, a leaf", len(batch)):
            store.stage(height, {STORE: batch})
        with figures.measure("commit (persist, synced), a leaf", len(batch)):
            store.commit()


def run_reads(store: LevelCommitStore, keys: int, figures: Figures) -> None:
    """Read the flat index cold and warm, prove, and verify."""
    dice = random.Random(7)
    sample = [make_key(dice.randrange(keys)) for _ in range(READS)]
    get = store.latest().get
    for label in ("flat read, first time", "flat read, cached"):
        with figures.measure(label, READS):
            for key in sample:
                get(STORE, key)
    with figures.measure("prove (both levels, encoded)", PROOFS):
        proofs = [(key, *store.prove(STORE, key, store.height)) for key in sample[:PROOFS]]
    root = store.app_hash
    with figures.measure("decode and verify (both levels)", PROOFS):
        for key, value, encoded in proofs:
            decoded = [ics23_codec.decode_proof(proof) for proof in encoded]
            assert value is not None
            ics23.verify_membership(ics23.SDK_SPECS, decoded, root, (STORE.encode(), key), value)


def run_bare_tree(keys: int, blocks: int, writes: int, figures: Figures) -> None:
    """The tree alone over a dict: what the algorithm costs without a store."""
    nodes: dict[bytes, iavl.Node] = {}
    root: iavl.Root | None = None
    dice = random.Random(3)

    present: set[bytes] = set()

    def advance(version: int, batch: dict[bytes, bytes]) -> None:
        nonlocal root
        tree = iavl.WorkingTree(nodes.__getitem__, root, version)
        tree.apply(sorted(batch.items()), present.__contains__)
        present.update(batch)
        saved = tree.save()
        root = saved.root
        for orphan in saved.orphans:
            del nodes[orphan]
        nodes.update((node[0], node[1]) for node in saved.nodes)

    with figures.measure("bare tree: build, a leaf", keys):
        advance(1, {make_key(i): bytes(VALUE_BYTES) for i in range(keys)})
    for version in range(2, blocks + 2):
        batch = {make_key(dice.randrange(keys)): dice.randbytes(VALUE_BYTES) for _ in range(writes)}
        with figures.measure("bare tree: update, a leaf", len(batch)):
            advance(version, batch)


def with_store(
    options: StoreOptions, *, in_memory: bool, work: Callable[[LevelCommitStore], None]
) -> None:
    """Run over a store in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_commit_store(None if in_memory else Path(folder), (STORE, "ibc"), options)
        try:
            work(store)
        finally:
            store.close()


def compare_stores(keys: int, settings: list[int], arguments: argparse.Namespace) -> None:
    """Run the store with each node cache setting, alternating when there are two."""
    figures = {setting: Figures() for setting in settings}

    def work(store: LevelCommitStore) -> None:
        current = figures[store.options.node_cache_entries]
        with current.measure("genesis, a leaf", keys):
            fill(store, keys)
        run_blocks(store, keys, arguments.blocks, arguments.writes, arguments.inserts, current)
        run_reads(store, keys, current)

    for setting in settings * (2 if len(settings) > 1 else 1):
        with_store(StoreOptions(node_cache_entries=setting), in_memory=arguments.memory, work=work)
    for setting in settings:
        figures[setting].show(f"{keys:,} keys, node cache {setting:,}")


def main() -> None:
    """Print the figures for each number of keys and each cache setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", default="10000,100000")
    parser.add_argument("--writes", type=int, default=2000)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--inserts", type=int, default=0, help="percent of writes to new keys")
    parser.add_argument("--cache", default="400000", help="node cache entries, one or two settings")
    parser.add_argument("--memory", action="store_true", help="no LevelDB")
    arguments = parser.parse_args()
    settings = [int(text) for text in arguments.cache.split(",")]
    gc.freeze()
    for keys in (int(text) for text in arguments.keys.split(",")):
        bare = Figures()
        with bare.measure("sha256 of 75 bytes (the machine)", HASHES):
            for _ in range(HASHES):
                sha256(bytes(75)).digest()
        run_bare_tree(keys, arguments.blocks, arguments.writes, bare)
        bare.show(f"{keys:,} keys, {arguments.writes} uniform writes a block")
        gc.collect()
        compare_stores(keys, settings, arguments)


if __name__ == "__main__":
    main()
