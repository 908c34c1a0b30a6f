"""The commit store on LevelDB: trees, a flat index of latest values, versions, proofs, pruning.

Keys of the database, each a kind byte and then:
  f  store name, key            latest value
  n  store name, node key       tree node (chain.merkle.iavl)
  o  height, store name         node keys that left the tree with that version, concatenated
  c  height                     CommitRecord
  m  name                       the last committed height, the earliest answered one
A store name is preceded by its length in a byte; heights are 8 bytes big-endian.

A commit is one synced batch, so the process may die anywhere. Genesis entries and the nodes of a
snapshot are written before the first commit; a database without a committed height is emptied when
it is opened. Nodes that left the tree at version V are needed by the versions before it alone, and
are deleted by a background thread once those are no longer retained.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import structlog

from chain._pb.margin.store.v1 import store_pb2 as pb
from chain.errors import ChainError
from chain.merkle import iavl, ics23, ics23_codec, simple
from chain.node.cache import ENTRY_BYTES_MAX, CachePartition, GenerationCache
from chain.node.keyvalue import (
    DATABASE_ERRORS,
    KeyValue,
    KeyValueReader,
    LevelKeyValue,
    MemoryKeyValue,
)
from chain.node.snapshots import SnapshotArchive, SnapshotRestore
from chain.runtime.commit_store import (
    ChunkResult,
    ChunkVerdict,
    EmptyStoreHasNoProof,
    HeightNotAvailable,
    Snapshot,
    SnapshotVerdict,
    StoreCorrupt,
    UnknownStore,
    Writes,
)
from chain.runtime.store import StateReader, prefix_end

KEEP_VERSIONS = 1000
NODE_CACHE_ENTRIES = 400_000
VALUE_CACHE_ENTRIES = 200_000
QUERY_CACHE_ENTRIES = 20_000
PRUNE_BATCH_NODES = 256
PRUNE_PAUSE_S = 0.002

_HEIGHT_KEY = b"mheight"
_EARLIEST_KEY = b"mearliest"
_ABSENT = b""  # No value is empty, so an empty one marks absence in the cache.

_log = structlog.get_logger("store")

Roots = Mapping[str, iavl.Root | None]


def _name_prefix(kind: bytes, store: str) -> bytes:
    name = store.encode()
    assert 0 < len(name) < 256, f"store name {store!r} must have 1 to 255 bytes"
    return kind + bytes([len(name)]) + name


def _height_bytes(height: int) -> bytes:
    return height.to_bytes(8, "big")


def _iterate_flat(
    reader: KeyValueReader, prefix: bytes, start: bytes, end: bytes | None, *, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    """Pairs of one store's flat index with start <= key < end."""
    if end is not None and end <= start:
        return iter(())
    stop = prefix_end(prefix) if end is None else prefix + end
    length = len(prefix)
    pairs = reader.iterate(prefix + start, stop, reverse=reverse)
    return ((key[length:], value) for key, value in pairs)


def compute_root_hashes(roots: Roots) -> dict[str, bytes]:
    """The root hash of each store, also of the empty ones."""
    return {
        name: root.hash if root is not None else iavl.EMPTY_ROOT_HASH
        for name, root in roots.items()
    }


@dataclass(slots=True)
class _StoreFiles:
    """One named store: its key prefixes and its parts of the caches."""

    flat_prefix: bytes
    node_prefix: bytes
    nodes: CachePartition[iavl.Node]
    values: CachePartition[bytes]
    query_nodes: CachePartition[iavl.Node]


@dataclass(slots=True)
class _Staged:
    """A version computed and not yet persisted."""

    height: int
    writes: Writes
    saved: dict[str, iavl.SavedTree]
    roots: dict[str, iavl.Root | None]
    app_hash: bytes


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Bounds of a commit store; entries of caches are nodes and values of at most 1 KiB."""

    keep_versions: int = KEEP_VERSIONS
    node_cache_entries: int = NODE_CACHE_ENTRIES
    value_cache_entries: int = VALUE_CACHE_ENTRIES
    query_cache_entries: int = QUERY_CACHE_ENTRIES
    snapshot_interval: int = 0
    """Blocks between snapshots; 0 takes none."""
    snapshots_kept: int = 2


class LevelCommitStore:
    """The CommitStore of a node. One thread stages and commits; reads come from any thread."""

    def __init__(
        self,
        database: KeyValue,
        store_names: Sequence[str],
        archive: SnapshotArchive,
        options: StoreOptions | None = None,
    ) -> None:
        self.store_names = tuple(sorted(store_names))
        self._db = database
        self.options = options or StoreOptions()
        self._archive = archive
        self._lock = threading.Lock()
        self._generation = 0  # Odd while a commit is being written.
        self._node_cache: GenerationCache[iavl.Node] = GenerationCache(
            self.options.node_cache_entries
        )
        self._value_cache: GenerationCache[bytes] = GenerationCache(
            self.options.value_cache_entries
        )
        self._query_cache: GenerationCache[iavl.Node] = GenerationCache(
            self.options.query_cache_entries
        )
        self._files = {
            name: _StoreFiles(
                _name_prefix(b"f", name),
                _name_prefix(b"n", name),
                self._node_cache.partition(name),
                self._value_cache.partition(name),
                self._query_cache.partition(name),
            )
            for name in self.store_names
        }
        self._flat_prefixes = {name: files.flat_prefix for name, files in self._files.items()}
        self._staged: _Staged | None = None
        self._restore: SnapshotRestore | None = None
        self._pins: dict[int, int] = {}
        self._load()
        self._latest = _LatestReader(self, self._files)
        self._pruner = _Pruner(self)

    def _load(self) -> None:
        """Read the last commit, or empty a database that never had one."""
        self._roots: dict[str, iavl.Root | None] = dict.fromkeys(self.store_names)
        self._nonces: dict[str, int] = {}
        self._app_hash = b""
        self._earliest = 0
        self._genesis_height = 0
        height = self._db.get(_HEIGHT_KEY)
        self._height = int.from_bytes(height, "big") if height is not None else 0
        if self._height == 0:
            if next(self._db.iterate(b"", None), None) is not None:
                self._db.clear()
            return
        self._earliest = int.from_bytes(self._db.get(_EARLIEST_KEY) or _height_bytes(1), "big")
        record = self._read_record(self._height)
        if record is None:
            raise StoreCorrupt(f"height {self._height} has no commit record; restore a snapshot")
        self._app_hash = simple.compute_app_hash(compute_root_hashes(record))
        for name in self.store_names:
            self._roots[name] = record.get(name)

    def _read_record(self, height: int) -> Roots | None:
        data = self._db.get(b"c" + _height_bytes(height))
        if data is None:
            return None
        return {
            store.name: iavl.Root(store.node_key, store.tree_height, store.hash)
            if store.node_key
            else None
            for store in pb.CommitRecord.FromString(data).stores
        }

    @property
    def height(self) -> int:
        """The last committed height; 0 before the first commit."""
        return self._height

    @property
    def earliest_height(self) -> int:
        """The lowest height still answered; 0 before the first commit."""
        return self._earliest

    @property
    def app_hash(self) -> bytes:
        """The app hash of the last committed height."""
        return self._app_hash

    def latest(self) -> StateReader:
        """The last committed state through the flat index and its cache."""
        return self._latest

    def at(self, height: int) -> StateReader:
        """The state after block `height`, fixed; raises HeightNotAvailable."""
        with self._lock:
            if height == self._height > 0 and not self._generation & 1:
                snapshot = self._db.snapshot()
                if snapshot is not None:
                    return _SnapshotReader(snapshot, self._flat_prefixes)
        return _TreeReader(self, height, self.get_roots(height))

    def get_roots(self, height: int) -> Roots:
        """The roots of all stores at a retained height; raises HeightNotAvailable."""
        if not 0 < height <= self._height or height < self._earliest:
            raise HeightNotAvailable(
                f"height {height} is outside the retained {self._earliest} to {self._height}",
                height=height,
            )
        if height == self._height:
            return MappingProxyType(self._roots)
        record = self._read_record(height)
        if record is None:
            raise HeightNotAvailable(f"height {height} was pruned meanwhile", height=height)
        return record

    def files(self, store: str) -> _StoreFiles:
        """The parts of a store; raises UnknownStore."""
        files = self._files.get(store)
        if files is None:
            raise UnknownStore(f"{store!r} is not one of {', '.join(self.store_names)}")
        return files

    # Writing ---------------------------------------------------------------------------------

    def _load_node(self, store: str) -> iavl.NodeSource:
        """The node source of the writing thread."""
        files = self._files[store]
        nodes, get, prefix = files.nodes, self._db.get, files.node_prefix

        def load(node_key: bytes) -> iavl.Node:
            node = nodes.young.get(node_key)
            if node is not None:
                return node
            node = nodes.old.get(node_key)
            if node is None:
                record = get(prefix + node_key)
                if record is None:
                    raise StoreCorrupt(
                        f"node {node_key.hex()} of store {store} is missing; restore a snapshot"
                    )
                node = iavl.decode_node(record)
                if len(record) > ENTRY_BYTES_MAX:
                    return node
            nodes.put(node_key, node)
            return node

        return load

    def _apply(self, height: int, writes: Writes) -> _Staged:
        for name in writes:
            self.files(name)
        roots = dict(self._roots)
        saved: dict[str, iavl.SavedTree] = {}
        for name in self.store_names:
            store_writes = writes.get(name)
            if not store_writes:
                continue
            nonce = self._nonces.get(name, 1)
            tree = iavl.WorkingTree(self._load_node(name), roots[name], height, nonce)
            tree.apply(sorted(store_writes.items()), self._make_presence_test(name))
            saved[name] = result = tree.save()
            roots[name] = result.root
        app_hash = simple.compute_app_hash(compute_root_hashes(roots))
        return _Staged(height, writes, saved, roots, app_hash)

    def _make_presence_test(self, store: str) -> Callable[[bytes], bool]:
        """Whether a key was in the store after the last write; the flat index knows."""
        files, read_value = self._files[store], self.read_value

        def is_present(key: bytes) -> bool:
            value = files.values.young.get(key)
            return bool(value) if value is not None else read_value(files, key) is not None

        return is_present

    def stage(self, height: int, writes: Writes) -> bytes:
        """Compute the version of a block on top of the last commit; replaces what was staged."""
        expected = self._height + 1 if self._height else self._genesis_height or height
        assert height == expected > 0, f"staged height {height} where {expected} comes next"
        self._staged = None
        self._staged = self._apply(height, writes)
        return self._staged.app_hash

    def write_genesis(self, initial_height: int, writes: Writes) -> bytes:
        """Persist genesis entries without committing a height; may be called many times."""
        assert self._height == 0, "genesis is written into an empty store only"
        assert initial_height > 0, "the initial height is above zero"
        assert self._genesis_height in (0, initial_height), "genesis has one initial height"
        self._genesis_height = initial_height
        staged = self._apply(initial_height, writes)
        self._persist(staged, [], sync=False)
        self._nonces = self._nonces | {
            name: saved.next_nonce for name, saved in staged.saved.items()
        }
        return staged.app_hash

    def commit(self) -> None:
        """Persist the staged version in one synced batch; pruning and snapshots follow it."""
        staged = self._staged
        assert staged is not None, "nothing is staged"
        height = _height_bytes(staged.height)
        record = pb.CommitRecord(
            height=staged.height,
            stores=[
                pb.StoreRoot(
                    name=name,
                    hash=root.hash if root is not None else iavl.EMPTY_ROOT_HASH,
                    node_key=root.node_key if root is not None else b"",
                    tree_height=root.height if root is not None else 0,
                )
                for name, root in staged.roots.items()
            ],
        )
        extra = [(b"c" + height, record.SerializeToString()), (_HEIGHT_KEY, height)]
        if self._height == 0:
            extra.append((_EARLIEST_KEY, height))
        self._persist(staged, extra, sync=True)
        self._staged = None
        self._nonces = {}
        interval = self.options.snapshot_interval
        if interval and staged.height % interval == 0:
            self.take_snapshot()
        self._pruner.wake()

    def _persist(self, staged: _Staged, extra: list[tuple[bytes, bytes]], *, sync: bool) -> None:
        """Write a version, then show it to readers: caches and height change together."""
        puts = extra
        deletes: list[bytes] = []
        height = _height_bytes(staged.height)
        for name, saved in staged.saved.items():
            files = self._files[name]
            flat, node_prefix = files.flat_prefix, files.node_prefix
            for key, value in staged.writes[name].items():
                if value is None:
                    deletes.append(flat + key)
                else:
                    puts.append((flat + key, value))
            puts.extend([(node_prefix + node[0], node[2]) for node in saved.nodes])
            if saved.orphans and self._height == 0:
                deletes.extend(node_prefix + orphan for orphan in saved.orphans)
            elif saved.orphans:
                orphans_key = b"o" + height + name.encode()
                puts.append((orphans_key, b"".join(saved.orphans)))
        with self._lock:
            self._generation += 1
        self._db.write(puts, deletes, sync=sync)
        with self._lock:
            self._remember(staged)
            self._roots = staged.roots
            if sync:
                self._app_hash = staged.app_hash
                self._earliest = self._earliest or staged.height
                self._height = staged.height
            self._generation += 1

    def _remember(self, staged: _Staged) -> None:
        """Bring the caches up to a version that was written."""
        for name, saved in staged.saved.items():
            files = self._files[name]
            young, old = files.nodes.young, files.nodes.old
            for orphan in saved.orphans:
                if young.pop(orphan, None) is None:
                    old.pop(orphan, None)
            self._node_cache.put_many(
                files.nodes,
                [(node[0], node[1]) for node in saved.nodes if len(node[2]) <= ENTRY_BYTES_MAX],
            )
            writes = staged.writes[name]
            self._value_cache.put_many(
                files.values, [(key, value or _ABSENT) for key, value in writes.items()]
            )
            for key, value in writes.items():
                if value is not None and len(value) > ENTRY_BYTES_MAX:
                    files.values.discard(key)

    # Reading ---------------------------------------------------------------------------------

    def read_value(self, files: _StoreFiles, key: bytes) -> bytes | None:
        """A latest value past the young cache generation."""
        generation = self._generation
        # Young again: a commit before the generation was read left its value there, over a stale
        # one in the old generation.
        value = files.values.young.get(key)
        if value is None:
            value = files.values.old.get(key)
        if value is None:
            value = self._db.get(files.flat_prefix + key) or _ABSENT
        if len(value) <= ENTRY_BYTES_MAX:
            with self._lock:
                # A commit since the read may have changed the value.
                if self._generation == generation and not generation & 1:
                    files.values.put(key, value)
        return value or None

    def iterate_latest(
        self, store: str, start: bytes, end: bytes | None, *, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs of the latest values with start <= key < end, as of the call."""
        prefix = self.files(store).flat_prefix
        return _iterate_flat(self._db, prefix, start, end, reverse=reverse)

    def make_query_source(self, store: str, height: int) -> iavl.NodeSource:
        """The node source of readers at a height: their own cache beside the writer's."""
        files = self._files.get(store)
        get = self._db.get
        prefix = files.node_prefix if files is not None else _name_prefix(b"n", store)
        cached = files.nodes if files is not None else None
        queried = files.query_nodes if files is not None else None

        def load(node_key: bytes) -> iavl.Node:
            if cached is not None and queried is not None:
                node = (
                    cached.young.get(node_key)
                    or cached.old.get(node_key)
                    or queried.young.get(node_key)
                    or queried.old.get(node_key)
                )
                if node is not None:
                    return node
            record = get(prefix + node_key)
            if record is None:
                if height < self._earliest:
                    raise HeightNotAvailable(f"height {height} was pruned meanwhile")
                raise StoreCorrupt(
                    f"node {node_key.hex()} of store {store} is missing; restore a snapshot"
                )
            node = iavl.decode_node(record)
            if queried is not None and len(record) <= ENTRY_BYTES_MAX:
                queried.put(node_key, node)
            return node

        return load

    def prove(
        self, store: str, key: bytes, height: int
    ) -> tuple[bytes | None, tuple[bytes, bytes]]:
        """The value at a height and the two ICS-23 proofs that lead from it to the app hash."""
        roots = self.get_roots(height)
        if store not in roots:
            raise UnknownStore(f"{store!r} is not one of {', '.join(roots)}")
        root = roots[store]
        if root is None:
            raise EmptyStoreHasNoProof(f"store {store} has no key at height {height}")
        proof = iavl.prove(self.make_query_source(store, height), root, key)
        outer = simple.prove_store(compute_root_hashes(roots), store)
        value = proof.value if isinstance(proof, ics23.ExistenceProof) else None
        return value, (ics23_codec.encode_proof(proof), ics23_codec.encode_proof(outer))

    def export(self, store: str) -> Iterator[tuple[bytes, bytes]]:
        """Every pair of a store at the last committed height, in key order."""
        self.files(store)
        return self.at(self._height).iterate(store, b"", None)

    def iterate_nodes(
        self, store: str, height: int
    ) -> Iterator[tuple[iavl.NodeKey, int, iavl.Node]]:
        """Every node of a store's tree at a height in post-order, past the caches."""
        prefix = _name_prefix(b"n", store)
        get = self._db.get

        def load(node_key: bytes) -> iavl.Node:
            record = get(prefix + node_key)
            if record is None:
                raise HeightNotAvailable(f"height {height} was pruned meanwhile")
            return iavl.decode_node(record)

        return iavl.iterate_post_order(load, self.get_roots(height)[store])

    # Retention -------------------------------------------------------------------------------

    def pin(self, height: int) -> None:
        """Keep a height from being pruned until unpin(); raises HeightNotAvailable."""
        with self._lock:
            if not self._earliest <= height <= self._height:
                raise HeightNotAvailable(f"height {height} is not retained", height=height)
            self._pins[height] = self._pins.get(height, 0) + 1

    def unpin(self, height: int) -> None:
        """Undo one pin()."""
        with self._lock:
            self._pins[height] -= 1
            if self._pins[height] == 0:
                del self._pins[height]

    def _raise_earliest(self) -> int:
        """Move the earliest answered height up to what retention and pins allow, and return it."""
        with self._lock:
            target = self._height - self.options.keep_versions + 1
            self._earliest = max(self._earliest, min([target, *self._pins]))
            return self._earliest

    def prune(self, stopping: threading.Event | None = None) -> int:
        """Delete the nodes and records that only versions before the retained ones need.

        Returns the number of nodes deleted. Stops early when the event is set: the rest is found
        again the next time.
        """
        earliest = self._raise_earliest()
        if earliest == 0:
            return 0
        if (self._db.get(_EARLIEST_KEY) or b"") < _height_bytes(earliest):
            self._db.write([(_EARLIEST_KEY, _height_bytes(earliest))], sync=False)
        deleted = 0
        for key, orphans in self._db.iterate(b"o", b"o" + _height_bytes(earliest + 1)):
            prefix = _name_prefix(b"n", key[9:].decode())
            node_keys = [
                prefix + orphans[at : at + iavl.NODE_KEY_LENGTH]
                for at in range(0, len(orphans), iavl.NODE_KEY_LENGTH)
            ]
            for at in range(0, len(node_keys), PRUNE_BATCH_NODES):
                if stopping is not None and stopping.wait(PRUNE_PAUSE_S):
                    return deleted
                self._db.write([], node_keys[at : at + PRUNE_BATCH_NODES], sync=False)
            self._db.write([], [key], sync=False)
            deleted += len(node_keys)
        records = self._db.iterate(b"c", b"c" + _height_bytes(earliest))
        while keys := [key for key, _ in islice(records, PRUNE_BATCH_NODES)]:
            self._db.write([], keys, sync=False)
        return deleted

    # Snapshots -------------------------------------------------------------------------------

    def take_snapshot(self) -> threading.Thread | None:
        """Begin a snapshot of the last committed height in the background.

        Returns its thread, or None when the previous snapshot is still being taken.
        """
        return self._archive.begin(self, self._height, self.options.snapshots_kept)

    def list_snapshots(self) -> tuple[Snapshot, ...]:
        """The snapshots held, newest first."""
        return self._archive.list()

    def load_snapshot_chunk(self, height: int, snapshot_format: int, index: int) -> bytes:
        """A chunk of a held snapshot; raises SnapshotNotFound."""
        return self._archive.load_chunk(height, snapshot_format, index)

    def offer_snapshot(self, snapshot: Snapshot, app_hash: bytes) -> SnapshotVerdict:
        """Begin restoring into this store, which must have no committed height."""
        if self._height != 0:
            return SnapshotVerdict.ABORT
        self._forget_all()
        verdict, self._restore = SnapshotRestore.begin(snapshot, app_hash, self.store_names)
        return verdict

    def apply_snapshot_chunk(self, index: int, chunk: bytes, sender: str) -> ChunkResult:
        """Take the next chunk; the last one commits the snapshot's height."""
        restore = self._restore
        if restore is None:
            return ChunkResult(ChunkVerdict.ABORT)
        result = restore.apply(index, chunk, sender)
        if result.verdict is ChunkVerdict.REJECT_SNAPSHOT:
            self._forget_all()
            return result
        if result.verdict is not ChunkVerdict.ACCEPT:
            return result
        puts: list[tuple[bytes, bytes]] = []
        for store, node_key, node in restore.take_nodes():
            puts.append((_name_prefix(b"n", store) + node_key, iavl.encode_node(node)))
            if len(node) == 2:
                puts.append((_name_prefix(b"f", store) + node[0], node[1]))
        self._db.write(puts, sync=False)
        roots = restore.finished_roots()
        if roots is not None:
            self._finish_restore(restore.height, roots)
        return result

    def _finish_restore(self, height: int, roots: Roots) -> None:
        app_hash = simple.compute_app_hash(compute_root_hashes(roots))
        self._restore = None
        self._staged = _Staged(height, {}, {}, dict(roots), app_hash)
        self.commit()
        _log.info("snapshot_restored", height=height, app_hash=app_hash.hex())

    def _forget_all(self) -> None:
        """Drop an unfinished genesis or restore."""
        self._restore = None
        self._staged = None
        self._db.clear()
        self._node_cache.clear()
        self._value_cache.clear()
        self._query_cache.clear()
        self._load()

    def close(self) -> None:
        """Stop background work and release the database."""
        self._pruner.close()
        self._archive.close()
        self._db.close()


class _LatestReader:
    """The last committed state: the value cache, then the flat index."""

    __slots__ = ("__weakref__", "_files", "_owner")

    def __init__(self, owner: LevelCommitStore, files: Mapping[str, _StoreFiles]) -> None:
        self._owner = owner
        self._files = files

    def get(self, store: str, key: bytes) -> bytes | None:
        files = self._files.get(store) or self._owner.files(store)
        value = files.values.young.get(key)
        if value is None:
            return self._owner.read_value(files, key)
        return value or None

    def iterate(
        self, store: str, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._owner.iterate_latest(store, start, end, reverse=reverse)


class _SnapshotReader:
    """The flat index as of one height, held by a database snapshot."""

    __slots__ = ("_prefixes", "_reader")

    def __init__(self, reader: KeyValueReader, prefixes: Mapping[str, bytes]) -> None:
        self._reader = reader
        self._prefixes = prefixes

    def _prefix(self, store: str) -> bytes:
        prefix = self._prefixes.get(store)
        if prefix is None:
            raise UnknownStore(f"{store!r} is not one of {', '.join(self._prefixes)}")
        return prefix

    def get(self, store: str, key: bytes) -> bytes | None:
        return self._reader.get(self._prefix(store) + key)

    def iterate(
        self, store: str, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return _iterate_flat(self._reader, self._prefix(store), start, end, reverse=reverse)


class _TreeReader:
    """A retained height, read down its trees."""

    __slots__ = ("_height", "_owner", "_roots")

    def __init__(self, owner: LevelCommitStore, height: int, roots: Roots) -> None:
        self._owner = owner
        self._height = height
        self._roots = roots

    def _root(self, store: str) -> iavl.Root | None:
        if store not in self._roots:
            raise UnknownStore(f"{store!r} is not one of {', '.join(self._roots)}")
        return self._roots[store]

    def get(self, store: str, key: bytes) -> bytes | None:
        root = self._root(store)
        return iavl.get(self._owner.make_query_source(store, self._height), root, key)

    def iterate(
        self, store: str, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        root = self._root(store)
        source = self._owner.make_query_source(store, self._height)
        return iavl.iterate(source, root, start, end, reverse=reverse)


class _Pruner:
    """The thread that prunes after commits; plyvel releases the interpreter while it writes."""

    def __init__(self, owner: LevelCommitStore) -> None:
        self._owner = owner
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-pruner", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Ask for a run; many wishes during a run make one."""
        self._wanted.set()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._stopping.is_set():
                return
            try:
                self._owner.prune(self._stopping)
            except (ChainError, *DATABASE_ERRORS):
                # Pruning saves disk and steers nothing: a node without it stays correct.
                _log.exception("pruning_failed")

    def close(self) -> None:
        """Stop after the batch at hand."""
        self._stopping.set()
        self._wanted.set()
        self._thread.join()


def open_commit_store(
    path: Path | None, store_names: Sequence[str], options: StoreOptions | None = None
) -> LevelCommitStore:
    """The commit store in a node's data folder, or in memory when path is None.

    LevelDB lies in `path`/application.db, snapshots in `path`/snapshots. Raises StoreNotOpen,
    StoreCorrupt.
    """
    if path is None:
        return LevelCommitStore(MemoryKeyValue(), store_names, SnapshotArchive(None), options)
    database = LevelKeyValue(path / "application.db")
    try:
        archive = SnapshotArchive(path / "snapshots")
        return LevelCommitStore(database, store_names, archive, options)
    except BaseException:
        database.close()
        raise
