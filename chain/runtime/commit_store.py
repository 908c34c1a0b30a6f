"""The committed state of a chain as the application sees it: versions, roots, proofs, snapshots.

The protocol is implemented by chain.node.storage; the runtime does not know what keeps the bytes.
State after block H is version H; version 0 is the empty store before genesis.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from chain.errors import ChainError
from chain.runtime.store import StateReader

Writes = Mapping[str, Mapping[bytes, bytes | None]]
"""Per store the net writes of a block (None: deleted), as Branch.net_writes() gives them."""


class HeightNotAvailable(ChainError):
    """A height that is pruned, not yet committed, or negative."""

    codespace = "store"
    code = 2
    summary = "height is not available"


class UnknownStore(ChainError):
    """A store name that the chain does not have (at the height asked)."""

    codespace = "store"
    code = 3
    summary = "unknown store"


class EmptyStoreHasNoProof(ChainError):
    """Absence asked of a tree without keys: ICS-23 has no proof of it."""

    codespace = "store"
    code = 4
    summary = "an empty store proves nothing"


class StoreCorrupt(ChainError):
    """Bytes on disk that contradict each other; restore the node from a snapshot."""

    codespace = "store"
    code = 5
    summary = "store is corrupt"


class SnapshotNotFound(ChainError):
    """A snapshot or chunk this node does not hold."""

    codespace = "store"
    code = 6
    summary = "snapshot not found"


class StoreNotOpen(ChainError):
    """A database folder that cannot be opened: held by another process, or unreadable."""

    codespace = "store"
    code = 7
    summary = "store cannot be opened"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a peer is told of a snapshot: the fields of tendermint.abci.Snapshot."""

    height: int
    format: int
    chunks: int
    hash: bytes
    metadata: bytes


class SnapshotVerdict(IntEnum):
    """The answer to an offer; numbers of tendermint.abci.ResponseOfferSnapshot.Result."""

    ACCEPT = 1
    ABORT = 2
    REJECT = 3
    REJECT_FORMAT = 4
    REJECT_SENDER = 5


class ChunkVerdict(IntEnum):
    """The answer to a chunk; numbers of tendermint.abci.ResponseApplySnapshotChunk.Result."""

    ACCEPT = 1
    ABORT = 2
    RETRY = 3
    RETRY_SNAPSHOT = 4
    REJECT_SNAPSHOT = 5


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """The answer to a chunk, with the chunks to fetch again and the peers to refuse."""

    verdict: ChunkVerdict
    refetch_chunks: tuple[int, ...] = ()
    reject_senders: tuple[str, ...] = ()


class CommitStore(Protocol):
    """Named, versioned, provable stores: one writer (the consensus thread), many readers."""

    store_names: tuple[str, ...]

    @property
    def height(self) -> int:
        """The last committed height; 0 before the first commit."""
        ...

    @property
    def earliest_height(self) -> int:
        """The lowest height that at() and prove() still answer; 0 before the first commit."""
        ...

    @property
    def app_hash(self) -> bytes:
        """The app hash of the last committed height (b"" before the first commit)."""
        ...

    def latest(self) -> StateReader:
        """The last committed state, through the flat index: for the consensus and mempool threads.

        It follows commits. Query threads take at(height), which cannot see half a commit.
        """
        ...

    def at(self, height: int) -> StateReader:
        """The state after block `height`, fixed; raises HeightNotAvailable."""
        ...

    def write_genesis(self, initial_height: int, writes: Writes) -> bytes:
        """Add genesis entries and return the app hash so far.

        May be called many times, so that a large genesis streams; latest() sees the entries at
        once. The height stays 0: the entries become part of version `initial_height` with its
        commit, and a store that stopped before opens empty. Only allowed at height 0.
        """
        ...

    def stage(self, height: int, writes: Writes) -> bytes:
        """Apply a block's net writes in ascending key order and return the app hash of `height`.

        Nothing is persisted. Staging again replaces what was staged. `height` must be the last
        committed height + 1 (any height above zero for the first block).
        """
        ...

    def commit(self) -> None:
        """Persist what was staged: one synced batch with nodes, values and the commit record."""
        ...

    def prove(
        self, store: str, key: bytes, height: int
    ) -> tuple[bytes | None, tuple[bytes, bytes]]:
        """The value at `height` (None: absent) and its proofs.

        The proofs are two encoded cosmos.ics23.v1.CommitmentProof: of the key in the store's tree,
        and of the store's root under the app hash of `height` (header `height` + 1 carries it).
        Raises HeightNotAvailable, UnknownStore, EmptyStoreHasNoProof.
        """
        ...

    def export(self, store: str) -> Iterator[tuple[bytes, bytes]]:
        """Every pair of a store at the last committed height, in key order."""
        ...

    def list_snapshots(self) -> tuple[Snapshot, ...]:
        """The snapshots this node serves, newest first."""
        ...

    def load_snapshot_chunk(self, height: int, snapshot_format: int, index: int) -> bytes:
        """A chunk of a held snapshot; raises SnapshotNotFound."""
        ...

    def offer_snapshot(self, snapshot: Snapshot, app_hash: bytes) -> SnapshotVerdict:
        """Begin restoring into this empty store; the light client verified `app_hash`."""
        ...

    def apply_snapshot_chunk(self, index: int, chunk: bytes, sender: str) -> ChunkResult:
        """The next chunk of the accepted snapshot; the last commits when the app hash is right."""
        ...

    def close(self) -> None:
        """Stop background work and release the database."""
        ...
