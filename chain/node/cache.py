"""A bounded cache of the commit store, partitioned by store.

Two generations instead of a linked list: entries are found in the young dict or carried over from
the old one, and when the young ones of all partitions reach half the capacity they become the old
ones. That keeps what was used recently at the cost of plain dict reads.
"""

from collections.abc import Iterable
from threading import Lock
from typing import Generic, TypeVar

ENTRY_BYTES_MAX = 1024
"""Longer entries are not kept, so that the capacity in entries bounds memory."""

V = TypeVar("V")


class CachePartition(Generic[V]):
    """The entries of one store. `young` and `old` may be read directly; put() carries over."""

    __slots__ = ("_cache", "old", "young")

    def __init__(self, cache: "GenerationCache[V]") -> None:
        self._cache = cache
        self.young: dict[bytes, V] = {}
        self.old: dict[bytes, V] = {}

    def put(self, key: bytes, value: V) -> None:
        """Keep an entry as the most recent one."""
        self.young[key] = value
        self._cache.count(1)

    def discard(self, key: bytes) -> None:
        """Forget an entry."""
        self.young.pop(key, None)
        self.old.pop(key, None)


class GenerationCache(Generic[V]):
    """The partitions of all stores under one capacity in entries."""

    def __init__(self, capacity: int) -> None:
        self._half = max(1, capacity >> 1)
        self._added = 0
        self._lock = Lock()
        self._partitions: dict[str, CachePartition[V]] = {}

    def partition(self, store: str) -> CachePartition[V]:
        """The partition of a store, made on first use."""
        with self._lock:
            return self._partitions.setdefault(store, CachePartition(self))

    def count(self, added: int) -> None:
        """Note additions; at half the capacity the young generation becomes the old one."""
        self._added += added
        if self._added < self._half:
            return
        with self._lock:
            self._added = 0
            for partition in self._partitions.values():
                partition.old = partition.young
                partition.young = {}

    def put_many(self, partition: CachePartition[V], entries: Iterable[tuple[bytes, V]]) -> None:
        """Keep many entries of one partition."""
        young = partition.young
        before = len(young)
        young.update(entries)
        self.count(len(young) - before)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._added = 0
            for partition in self._partitions.values():
                partition.young = {}
                partition.old = {}
