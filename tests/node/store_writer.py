"""A process that commits block after block until it is killed: `python -m … FOLDER`.

It prints each height once its commit has returned; the writes depend on the height alone.
"""

import random
import sys
from pathlib import Path

from chain.node.storage import StoreOptions, open_commit_store

STORES = ("bank", "ibc", "oracle")
OPTIONS = StoreOptions(keep_versions=5, node_cache_entries=100)


def make_genesis():
    """The entries written before the first block."""
    return {"bank": {b"account%04d" % index: b"100" for index in range(200)}}


def make_writes(height):
    """The net writes of a block."""
    dice = random.Random(height)
    return {
        store: {
            b"account%04d" % dice.randrange(300): None
            if dice.random() < 0.2
            else b"%d" % dice.getrandbits(40)
            for _ in range(40)
        }
        for store in STORES[:2]
    }


def main(folder):
    """Write genesis if the store is empty, then commit blocks forever."""
    store = open_commit_store(folder, STORES, OPTIONS)
    if store.height == 0:
        store.write_genesis(1, make_genesis())
    while True:
        height = store.height + 1
        store.stage(height, make_writes(height))
        store.commit()
        print(height, store.app_hash.hex(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
