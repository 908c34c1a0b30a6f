"""Ordered byte stores under the commit store: LevelDB on disk, a sorted dict in memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import Protocol

import plyvel
from sortedcontainers import SortedDict

from chain.runtime.commit_store import StoreNotOpen

WRITE_BUFFER_BYTES = 64 << 20
BLOCK_CACHE_BYTES = 64 << 20
OPEN_FILES_MAX = 512
BLOOM_FILTER_BITS = 10

DATABASE_ERRORS = (OSError, plyvel.Error)
"""What reads and writes raise when the disk or the database fails."""


class KeyValueReader(Protocol):
    """Keys and values in byte order."""

    def get(self, key: bytes) -> bytes | None:
        """The value under the key, or None."""
        ...

    def iterate(
        self, start: bytes, stop: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop in key order or reversed, as of the call."""
        ...


class KeyValue(KeyValueReader, Protocol):
    """A byte store with atomic batches; used by several threads at once."""

    def write(
        self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = (), *, sync: bool
    ) -> None:
        """Apply all puts and then all deletes as one batch; `sync` waits for the disk."""
        ...

    def snapshot(self) -> KeyValueReader | None:
        """The store as of now, unaffected by later batches; None where that costs a copy."""
        ...

    def clear(self) -> None:
        """Remove everything."""
        ...

    def close(self) -> None:
        """Release files and memory."""
        ...


class _LevelReader:
    """Reads of a LevelDB handle or snapshot."""

    def __init__(self, handle: plyvel.DB) -> None:
        self.get = handle.get
        self._iterator = handle.iterator

    def iterate(
        self, start: bytes, stop: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop."""
        pairs: Iterator[tuple[bytes, bytes]] = self._iterator(
            start=start, stop=stop, reverse=reverse
        )
        return pairs


class LevelKeyValue:
    """A LevelDB folder; raises StoreNotOpen when another process holds it or it is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir(parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        try:
            # Records are mostly hashes: compression would cost time and save nothing.
            self._db = plyvel.DB(
                str(self._path),
                create_if_missing=True,
                write_buffer_size=WRITE_BUFFER_BYTES,
                lru_cache_size=BLOCK_CACHE_BYTES,
                max_open_files=OPEN_FILES_MAX,
                bloom_filter_bits=BLOOM_FILTER_BITS,
                compression=None,
            )
        except (plyvel.Error, OSError) as error:
            raise StoreNotOpen(
                f"{self._path}: {error}; stop the other process using this folder, or restore it"
            ) from error
        self.get = self._db.get

    def iterate(
        self, start: bytes, stop: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop."""
        pairs: Iterator[tuple[bytes, bytes]] = self._db.iterator(
            start=start, stop=stop, reverse=reverse
        )
        return pairs

    def write(
        self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = (), *, sync: bool
    ) -> None:
        """Apply one batch."""
        batch = self._db.write_batch(sync=sync)
        put, delete = batch.put, batch.delete
        for key, value in puts:
            put(key, value)
        for key in deletes:
            delete(key)
        batch.write()

    def snapshot(self) -> KeyValueReader:
        """A LevelDB snapshot; released when the reader is dropped."""
        return _LevelReader(self._db.snapshot())

    def clear(self) -> None:
        """Destroy the database and begin an empty one."""
        self._db.close()
        plyvel.destroy_db(str(self._path))
        self._open()

    def close(self) -> None:
        """Close the database."""
        self._db.close()


class MemoryKeyValue:
    """A sorted dict with the same interface, for tests."""

    def __init__(self) -> None:
        self._pairs: SortedDict[bytes, bytes] = SortedDict()
        self._lock = Lock()  # A sorted dict is not safe to read by range while it is written.
        self.get = self._pairs.get

    def iterate(
        self, start: bytes, stop: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop, taken at the call."""
        pairs = self._pairs
        with self._lock:
            keys = pairs.irange(start, stop, inclusive=(True, False), reverse=reverse)
            return iter([(key, pairs[key]) for key in keys])

    def write(
        self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = (), *, sync: bool
    ) -> None:
        """Apply one batch; there is no disk to wait for."""
        del sync
        with self._lock:
            self._pairs.update(puts)
            for key in deletes:
                self._pairs.pop(key, None)

    def snapshot(self) -> None:
        """None: a snapshot would copy the whole dict."""

    def clear(self) -> None:
        """Remove everything."""
        with self._lock:
            self._pairs.clear()

    def close(self) -> None:
        """Nothing to release."""
