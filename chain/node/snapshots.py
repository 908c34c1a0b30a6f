"""State snapshots: taking, keeping and serving them, and restoring from chunks nobody vouches for.

Format 1: the stores in name order, each a name followed by the nodes of its tree in post-order with
version and height, cut into chunks of at most 10 MB. The metadata is the sha256 of every chunk, the
snapshot's hash is the sha256 of the metadata. Restoring recomputes every node hash; nothing counts
until the roots give the app hash that the light client verified.
"""

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

import structlog
from google.protobuf.message import DecodeError

from chain._pb.margin.store.v1 import store_pb2 as pb
from chain.errors import ChainError
from chain.merkle import iavl, simple
from chain.node.keyvalue import DATABASE_ERRORS
from chain.runtime.commit_store import (
    ChunkResult,
    ChunkVerdict,
    Snapshot,
    SnapshotNotFound,
    SnapshotVerdict,
)

FORMAT = 1
CHUNK_BYTES_MAX = 10_000_000
CHUNK_BYTES_AIM = 8_000_000
CHUNKS_MAX = 100_000
BALANCE_MAX = 1
PAUSE_EVERY_NODES = 1000
PAUSE_S = 0.01

_METADATA_FILE = "metadata"
_PARTIAL_SUFFIX = ".partial"
_ITEM_OVERHEAD_BYTES = 32

_log = structlog.get_logger("snapshots")


class NodeStore(Protocol):
    """What a snapshot is taken from."""

    store_names: tuple[str, ...]

    def iterate_nodes(
        self, store: str, height: int
    ) -> Iterator[tuple[iavl.NodeKey, int, iavl.Node]]:
        """Every node of a store's tree at a height in post-order."""
        ...

    def pin(self, height: int) -> None:
        """Keep a height from being pruned."""
        ...

    def unpin(self, height: int) -> None:
        """Undo one pin()."""
        ...


class MalformedChunk(ChainError):
    """A chunk whose bytes match its announced hash and yet hold no valid part of a tree."""

    codespace = "store"
    code = 8
    summary = "malformed snapshot chunk"


def iterate_chunks(store: NodeStore, height: int) -> Iterator[bytes]:
    """The chunks of the snapshot of a height, one in memory at a time."""
    chunk = pb.SnapshotChunk()
    size = nodes = 0
    for name in store.store_names:
        chunk.items.add(store=name)
        for node_key, node_height, node in store.iterate_nodes(name, height):
            message = chunk.items.add().node
            message.version = iavl.get_node_version(node_key)
            message.height = node_height
            size += _ITEM_OVERHEAD_BYTES
            if len(node) == 2:
                message.key, message.value = node
                size += len(node[0]) + len(node[1])
            if size >= CHUNK_BYTES_AIM:
                yield chunk.SerializeToString(deterministic=True)
                chunk = pb.SnapshotChunk()
                size = 0
            nodes += 1
            if nodes % PAUSE_EVERY_NODES == 0:
                # The interpreter is shared with consensus.
                time.sleep(PAUSE_S)
    yield chunk.SerializeToString(deterministic=True)


class SnapshotArchive:
    """The snapshots a node holds, in a folder a height, or in memory when there is no folder."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._held: dict[int, Snapshot] = {}
        self._memory: dict[int, list[bytes]] = {}
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        if folder is not None and folder.exists():
            self._read_folder(folder)

    def _read_folder(self, folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            metadata = path / _METADATA_FILE
            if path.name.endswith(_PARTIAL_SUFFIX) or not metadata.exists():
                shutil.rmtree(path, ignore_errors=True)
                continue
            self._hold(int(path.name), metadata.read_bytes())

    def _hold(self, height: int, metadata: bytes) -> None:
        chunks = len(pb.SnapshotMetadata.FromString(metadata).chunk_hashes)
        digest = sha256(metadata).digest()
        self._held[height] = Snapshot(height, FORMAT, chunks, digest, metadata)

    def list(self) -> tuple[Snapshot, ...]:
        """The snapshots held, newest first."""
        return tuple(self._held[height] for height in sorted(self._held, reverse=True))

    def load_chunk(self, height: int, snapshot_format: int, index: int) -> bytes:
        """A chunk; raises SnapshotNotFound."""
        snapshot = self._held.get(height)
        if snapshot is None or snapshot_format != FORMAT or not 0 <= index < snapshot.chunks:
            raise SnapshotNotFound(
                f"chunk {index} of height {height} format {snapshot_format} is not held here"
            )
        try:
            if self._folder is None:
                return self._memory[height][index]
            return (self._folder / str(height) / str(index)).read_bytes()
        except (OSError, KeyError) as error:
            raise SnapshotNotFound(f"height {height} was removed meanwhile") from error

    def begin(self, store: NodeStore, height: int, kept: int) -> threading.Thread | None:
        """Take a snapshot in the background; None when one is being taken already."""
        if self._thread is not None and self._thread.is_alive():
            return None
        store.pin(height)
        self._thread = threading.Thread(
            target=self._run, args=(store, height, kept), name="store-snapshot", daemon=True
        )
        self._thread.start()
        return self._thread

    def _run(self, store: NodeStore, height: int, kept: int) -> None:
        try:
            if self._take(store, height):
                self._drop_older(kept)
                _log.info("snapshot_taken", height=height, chunks=self._held[height].chunks)
        except (ChainError, *DATABASE_ERRORS):
            # A snapshot helps peers and steers nothing: the node goes on without it.
            _log.exception("snapshot_failed", height=height)
        finally:
            store.unpin(height)

    def _take(self, store: NodeStore, height: int) -> bool:
        """Write all chunks, then make them visible at once; False when the node is stopping."""
        hashes: list[bytes] = []
        chunks: list[bytes] = []
        partial: Path | None = None
        if self._folder is not None:
            partial = self._folder / f"{height}{_PARTIAL_SUFFIX}"
            partial.mkdir(parents=True, exist_ok=True)
        for index, chunk in enumerate(iterate_chunks(store, height)):
            if self._stopping.is_set():
                return False
            hashes.append(sha256(chunk).digest())
            if partial is None:
                chunks.append(chunk)
            else:
                (partial / str(index)).write_bytes(chunk)
        metadata = pb.SnapshotMetadata(chunk_hashes=hashes).SerializeToString(deterministic=True)
        if partial is None:
            self._memory[height] = chunks
        else:
            (partial / _METADATA_FILE).write_bytes(metadata)
            final = partial.with_name(str(height))
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
        self._hold(height, metadata)
        return True

    def _drop_older(self, kept: int) -> None:
        for height in sorted(self._held)[: -max(1, kept)]:
            del self._held[height]
            self._memory.pop(height, None)
            if self._folder is not None:
                shutil.rmtree(self._folder / str(height), ignore_errors=True)

    def close(self) -> None:
        """Stop taking a snapshot; the part written is removed at the next start."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()


class _Subtree(NamedTuple):
    """A finished subtree on the stack of the restore."""

    height: int
    size: int
    version: int
    hash: bytes
    node_key: iavl.NodeKey
    smallest_key: bytes


class _TreeRestore:
    """One store's tree from its nodes in post-order; every rule of the tree is checked."""

    def __init__(self, store: str, version_max: int) -> None:
        self.store = store
        self._version_max = version_max
        self._stack: list[_Subtree] = []
        self._last_key = b""

    def _refuse(self, reason: str) -> MalformedChunk:
        return MalformedChunk(f"store {self.store}: {reason}")

    def add(self, message: pb.SnapshotNode, nonce: int) -> tuple[iavl.NodeKey, iavl.Node]:
        """The next node, as it is to be persisted; raises MalformedChunk."""
        if not 1 <= message.version <= self._version_max:
            raise self._refuse(f"version {message.version} is outside [1, {self._version_max}]")
        node_key = iavl.make_node_key(message.version, nonce)
        if message.height == 0:
            return node_key, self._add_leaf(message, node_key)
        if message.key or message.value:
            raise self._refuse("an inner node carries a key or a value")
        return node_key, self._add_inner(message, node_key)

    def _add_leaf(self, message: pb.SnapshotNode, node_key: iavl.NodeKey) -> iavl.Node:
        key, value = message.key, message.value
        if not value or key <= self._last_key:
            raise self._refuse(f"leaf {key.hex()} is empty or does not follow the one before it")
        self._last_key = key
        digest = iavl.hash_leaf(key, value, message.version)
        self._stack.append(_Subtree(0, 1, message.version, digest, node_key, key))
        return key, value

    def _add_inner(self, message: pb.SnapshotNode, node_key: iavl.NodeKey) -> iavl.Node:
        if len(self._stack) < 2:
            raise self._refuse("an inner node has fewer than two subtrees before it")
        right, left = self._stack.pop(), self._stack.pop()
        height = max(left.height, right.height) + 1
        if message.height != height or abs(left.height - right.height) > BALANCE_MAX:
            raise self._refuse(
                f"an inner node of height {message.height} over heights {left.height} and "
                f"{right.height}"
            )
        if message.version < max(left.version, right.version):
            raise self._refuse(f"an inner node of version {message.version} is older than a child")
        size = left.size + right.size
        digest = iavl.hash_inner(height, size, message.version, left.hash, right.hash)
        self._stack.append(
            _Subtree(height, size, message.version, digest, node_key, left.smallest_key)
        )
        return (
            left.height,
            right.height,
            size,
            left.node_key,
            right.node_key,
            left.hash,
            right.hash,
            right.smallest_key,
        )

    def finish(self) -> iavl.Root | None:
        """The root, None for no nodes; raises MalformedChunk when subtrees are left over."""
        if not self._stack:
            return None
        if len(self._stack) > 1:
            raise self._refuse(f"{len(self._stack)} subtrees have no common root")
        top = self._stack[0]
        return iavl.Root(top.node_key, top.height, top.hash)


class SnapshotRestore:
    """A restore in progress: chunks in, checked nodes out, roots at the end."""

    def __init__(
        self,
        snapshot: Snapshot,
        chunk_hashes: Sequence[bytes],
        app_hash: bytes,
        store_names: tuple[str, ...],
    ) -> None:
        self.height = snapshot.height
        self._hashes = chunk_hashes
        self._app_hash = app_hash
        self._store_names = store_names
        self._next_index = 0
        self._nonce = 0
        self._tree: _TreeRestore | None = None
        self._roots: dict[str, iavl.Root | None] = {}
        self._nodes: list[tuple[str, iavl.NodeKey, iavl.Node]] = []
        self._is_finished = False

    @classmethod
    def begin(
        cls, snapshot: Snapshot, app_hash: bytes, store_names: tuple[str, ...]
    ) -> "tuple[SnapshotVerdict, SnapshotRestore | None]":
        """Judge an offer; a restore comes with ACCEPT alone."""
        if snapshot.format != FORMAT:
            return SnapshotVerdict.REJECT_FORMAT, None
        if not 0 < snapshot.height < 1 << 63 or not 0 < snapshot.chunks <= CHUNKS_MAX:
            return SnapshotVerdict.REJECT, None
        if sha256(snapshot.metadata).digest() != snapshot.hash:
            return SnapshotVerdict.REJECT, None
        try:
            metadata = pb.SnapshotMetadata.FromString(snapshot.metadata)
        except DecodeError:
            return SnapshotVerdict.REJECT, None
        hashes = list(metadata.chunk_hashes)
        if len(hashes) != snapshot.chunks or any(len(digest) != 32 for digest in hashes):
            return SnapshotVerdict.REJECT, None
        return SnapshotVerdict.ACCEPT, cls(snapshot, hashes, app_hash, store_names)

    def apply(self, index: int, chunk: bytes, sender: str) -> ChunkResult:
        """Judge the next chunk. RETRY names the sender of wrong bytes.

        REJECT_SNAPSHOT means that the announced chunks themselves are no state of this app hash.
        """
        if index != self._next_index:
            return ChunkResult(ChunkVerdict.RETRY, refetch_chunks=(self._next_index,))
        if len(chunk) > CHUNK_BYTES_MAX or sha256(chunk).digest() != self._hashes[index]:
            senders = (sender,) if sender else ()
            return ChunkResult(ChunkVerdict.RETRY, (index,), senders)
        try:
            self._read(chunk)
            self._next_index += 1
            if self._next_index == len(self._hashes):
                self._finish()
        except (MalformedChunk, DecodeError) as error:
            _log.warning("snapshot_rejected", height=self.height, chunk=index, reason=str(error))
            return ChunkResult(ChunkVerdict.REJECT_SNAPSHOT)
        return ChunkResult(ChunkVerdict.ACCEPT)

    def _read(self, chunk: bytes) -> None:
        for item in pb.SnapshotChunk.FromString(chunk).items:
            if item.WhichOneof("item") == "store":
                self._close_tree()
                if item.store not in self._store_names:
                    raise MalformedChunk(f"store {item.store!r} is not of this chain")
                self._tree = _TreeRestore(item.store, self.height)
                continue
            if self._tree is None:
                raise MalformedChunk("a node comes before the name of its store")
            self._nonce += 1
            node_key, node = self._tree.add(item.node, self._nonce)
            self._nodes.append((self._tree.store, node_key, node))

    def _close_tree(self) -> None:
        if self._tree is None:
            return
        if self._tree.store in self._roots:
            raise MalformedChunk(f"store {self._tree.store} comes twice")
        self._roots[self._tree.store] = self._tree.finish()
        self._tree = None

    def _finish(self) -> None:
        self._close_tree()
        if tuple(sorted(self._roots)) != self._store_names:
            raise MalformedChunk(f"stores {sorted(self._roots)} are not {self._store_names}")
        app_hash = simple.compute_app_hash(
            {
                name: root.hash if root is not None else iavl.EMPTY_ROOT_HASH
                for name, root in self._roots.items()
            }
        )
        if app_hash != self._app_hash:
            raise MalformedChunk(f"app hash {app_hash.hex()} is not {self._app_hash.hex()}")
        self._is_finished = True

    def take_nodes(self) -> list[tuple[str, iavl.NodeKey, iavl.Node]]:
        """The nodes of the chunks applied since the last call."""
        nodes, self._nodes = self._nodes, []
        return nodes

    def finished_roots(self) -> dict[str, iavl.Root | None] | None:
        """The verified roots after the last chunk, None before."""
        return self._roots if self._is_finished else None
