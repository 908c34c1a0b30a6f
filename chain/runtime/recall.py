"""Answers recalled: what a pure function of the state said, while all it read reads the same.

An answer is checked, not trusted: every value behind it is read again and compared, so that a warm
process and a cold one answer alike and charge the same gas.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

from chain.runtime.context import Context
from chain.runtime.store import Branch, Reads, StateReader

V = TypeVar("V")


class _Watch:
    """A reader that remembers what was read through it."""

    __slots__ = ("_parent", "has_iterated", "values")

    def __init__(self, parent: StateReader) -> None:
        self._parent = parent
        self.values: dict[str, dict[bytes, bytes | None]] = {}
        self.has_iterated = False

    def get(self, store: str, key: bytes) -> bytes | None:
        value = self._parent.get(store, key)
        self.values.setdefault(store, {})[key] = value
        return value

    def iterate(
        self, store: str, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        self.has_iterated = True
        return self._parent.iterate(store, start, end, reverse=reverse)


class _Kept(NamedTuple, Generic[V]):
    reads: Reads
    gas: int
    answer: V


class Recall(Generic[V]):
    """A bounded memory of immutable answers: the last one of a key at a height and time."""

    def __init__(self, answers_max: int) -> None:
        self._answers_max: Final = answers_max
        self._kept: dict[Hashable, _Kept[V]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, ctx: Context, key: Hashable, compute: Callable[[Context], V]) -> V:
        """What `compute` says of the state, height and time; raises what it raises.

        It may read single keys, consume gas and depend on the key, on nothing else: it neither
        writes nor emits. One that iterates, or fails, is asked anew each time.
        """
        # CheckTx, blocks and queries stand at different heights and would displace each other.
        place = (key, ctx.height, ctx.time_ns)
        kept = self._kept.get(place)
        # Where the gas does not suffice the answer is computed, to end where it would.
        if kept is not None and ctx.gas.can_pay(kept.gas) and ctx.store.reads_the_same(kept.reads):
            ctx.gas.consume(kept.gas)
            return kept.answer
        watch, used = _Watch(ctx.store), ctx.gas.used
        store = Branch(watch)
        child = Context(ctx.chain_id, ctx.height, ctx.time_ns, store, ctx.mode, ctx.gas)
        answer = compute(child)
        assert not store.net_writes(), "what is recalled writes nothing"
        assert not child.events, "what is recalled emits nothing"
        if watch.has_iterated:
            return answer
        if len(self._kept) >= self._answers_max:
            self._kept.clear()
        reads = tuple((name, tuple(values.items())) for name, values in watch.values.items())
        self._kept[place] = _Kept(reads, ctx.gas.used - used, answer)
        return answer
