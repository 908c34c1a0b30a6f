"""Branches of the state: nested overlays of writes over a committed, read-only base.

A branch is the only way to change state. It commits into its parent or is dropped whole; the
outermost branch of a block is handed to the commit store as net writes, which reach each tree in
ascending key order.
"""

from collections.abc import Iterator, Mapping
from heapq import merge
from typing import Final, Protocol

from sortedcontainers import SortedSet

from chain.runtime.gas import (
    DELETE_FLAT,
    ITERATE_FLAT,
    READ_BYTE,
    READ_FLAT,
    WRITE_BYTE,
    WRITE_FLAT,
    GasMeter,
)


class StateReader(Protocol):
    """Committed state at one height: what a branch reads through to."""

    def get(self, store: str, key: bytes) -> bytes | None:
        """The value under the key, or None."""
        ...

    def iterate(
        self, store: str, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end (None: no bound) in key order, or reversed."""
        ...


Reads = tuple[tuple[str, tuple[tuple[bytes, bytes | None], ...]], ...]
"""By store, keys and what was read under them."""

INDEXED_WRITES: Final = 64
"""A branch with more writes to a store keeps their keys in order once it is iterated."""


class EmptyState:
    """The state before genesis."""

    def get(self, store: str, key: bytes) -> bytes | None:
        """Always None."""
        del store, key
        return None

    def iterate(
        self, store: str, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Always empty."""
        del store, start, end, reverse
        return iter(())


class Branch:
    """Writes over a parent reader; a None value marks a deletion."""

    __slots__ = ("_order", "_parent", "_writes")

    def __init__(self, parent: StateReader) -> None:
        self._parent = parent
        self._writes: dict[str, dict[bytes, bytes | None]] = {}
        # The keys written to a store in order, kept from the first iteration over many of them.
        self._order: dict[str, SortedSet] = {}

    def get(self, store: str, key: bytes) -> bytes | None:
        """The value under the key as this branch sees it."""
        # Every read of a block passes here: one loop, not a call for each branch on the way.
        reader: StateReader = self
        while type(reader) is Branch:
            writes = reader._writes.get(store)  # noqa: SLF001 - a branch of the same class
            if writes is not None and key in writes:
                return writes[key]
            reader = reader._parent  # noqa: SLF001
        return reader.get(store, key)

    def reads_the_same(self, reads: Reads) -> bool:
        """Whether every key still has the value that was read."""
        layers: list[dict[str, dict[bytes, bytes | None]]] = []
        reader: StateReader = self
        while type(reader) is Branch:
            layers.append(reader._writes)  # noqa: SLF001 - a branch of the same class
            reader = reader._parent  # noqa: SLF001
        get = reader.get
        for store, pairs in reads:
            written = [layer[store] for layer in layers if store in layer]
            for key, value in pairs:
                for writes in written:
                    if key in writes:
                        found = writes[key]
                        break
                else:
                    found = get(store, key)
                if found != value:
                    return False
        return True

    def set(self, store: str, key: bytes, value: bytes) -> None:
        """Write a value; an empty value or key is a programming error (neither can be proven)."""
        assert key, f"empty key in store {store}"
        assert value, f"empty value in store {store}"
        self._writes.setdefault(store, {})[key] = value
        if store in self._order:
            self._order[store].add(key)

    def delete(self, store: str, key: bytes) -> None:
        """Remove a key; removing an absent key is allowed."""
        self._writes.setdefault(store, {})[key] = None
        if store in self._order:
            self._order[store].add(key)

    def iterate(
        self, store: str, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs in [start, end) in key order; the caller may write, it walks a copy of the
        writes.
        """
        below = self._parent.iterate(store, start, end, reverse=reverse)
        writes = self._writes.get(store)
        if not writes:
            return below
        own = [(key, writes[key]) for key in self._find_keys(store, start, end, reverse=reverse)]
        if not own:
            return below
        return _overlay(own, below, reverse=reverse)

    def _find_keys(
        self, store: str, start: bytes, end: bytes | None, *, reverse: bool
    ) -> list[bytes]:
        """The keys written within [start, end), in order: a block's many are not sorted anew."""
        writes = self._writes[store]
        if len(writes) > INDEXED_WRITES and store not in self._order:
            self._order[store] = SortedSet(writes)
        order = self._order.get(store)
        if order is not None:
            return list(order.irange(start, end, inclusive=(True, False), reverse=reverse))
        found = (key for key in writes if key >= start and (end is None or key < end))
        return sorted(found, reverse=reverse)

    def branch(self) -> "Branch":
        """A child branch; call its commit() to keep its writes, drop it to forget them."""
        return Branch(self)

    def commit(self) -> None:
        """Move the writes of this branch into its parent branch."""
        parent = self._parent
        assert isinstance(parent, Branch), "the outermost branch is taken by the commit store"
        for store, writes in self._writes.items():
            parent.adopt(store, writes)
        self._writes = {}
        self._order = {}

    def adopt(self, store: str, writes: dict[bytes, bytes | None]) -> None:
        """Take over the writes of a child that is done."""
        own = self._writes.get(store)
        if own is None:
            self._writes[store] = writes  # The child is done with it.
        else:
            own.update(writes)
            if store in self._order:
                self._order[store].update(writes)

    def find_written(self, store: str) -> tuple["Branch", list[bytes]]:
        """The outermost branch, and the keys of a store that it or a branch on the way wrote."""
        keys = list(self._writes.get(store, ()))
        branch = self
        while isinstance(branch._parent, Branch):
            branch = branch._parent
            keys += branch._writes.get(store, ())  # noqa: SLF001
        return branch, keys

    @property
    def base(self) -> StateReader:
        """The committed state below all branches."""
        outermost, _ = self.find_written("")
        return outermost._parent  # noqa: SLF001 - a branch of the same class

    def net_writes(self) -> Mapping[str, Mapping[bytes, bytes | None]]:
        """Per store the last value under each key (None: deleted); order carries no meaning."""
        return self._writes


def _overlay(
    own: list[tuple[bytes, bytes | None]],
    below: Iterator[tuple[bytes, bytes]],
    *,
    reverse: bool,
) -> Iterator[tuple[bytes, bytes]]:
    """Merge two ordered runs; the first run wins on equal keys and its None values hide."""
    previous: bytes | None = None
    tagged_own = ((key, 0, value) for key, value in own)
    tagged_below = ((key, 1, value) for key, value in below)
    ordered = merge(tagged_own, tagged_below, key=lambda item: item[0], reverse=reverse)
    # heapq.merge is stable: of two equal keys the one from the first run comes first.
    for key, _, value in ordered:
        if key == previous:
            continue
        previous = key
        if value is not None:
            yield key, value


class StoreView:
    """One named store as a module sees it: reads and writes cost gas of the context's meter."""

    __slots__ = ("_branch", "_gas", "name")

    def __init__(self, name: str, branch: Branch, gas: GasMeter) -> None:
        self.name = name
        self._branch = branch
        self._gas = gas

    def get(self, key: bytes) -> bytes | None:
        """The value under the key, or None."""
        value = self._branch.get(self.name, key)
        gas = self._gas
        gas.consume(READ_FLAT + READ_BYTE * (len(key) + (len(value) if value else 0)))
        return value

    def has(self, key: bytes) -> bool:
        """Whether the key is present."""
        return self.get(key) is not None

    def set(self, key: bytes, value: bytes) -> None:
        """Write a non-empty value."""
        self._gas.consume(WRITE_FLAT + WRITE_BYTE * (len(key) + len(value)))
        self._branch.set(self.name, key, value)

    def delete(self, key: bytes) -> None:
        """Remove a key."""
        self._gas.consume(DELETE_FLAT)
        self._branch.delete(self.name, key)

    def iterate(
        self, prefix: bytes = b"", *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key starts with the prefix, in key order; bound the work at the call site."""
        return self.iterate_range(prefix, prefix_end(prefix), reverse=reverse)

    def iterate_range(
        self, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end, in key order."""
        gas = self._gas
        for key, value in self._branch.iterate(self.name, start, end, reverse=reverse):
            gas.consume(ITERATE_FLAT + READ_BYTE * (len(key) + len(value)))
            yield key, value


def prefix_end(prefix: bytes) -> bytes | None:
    """The smallest key above every key with the prefix; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return None
    return stripped[:-1] + bytes([stripped[-1] + 1])
