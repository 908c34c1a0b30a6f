"""Recall: an answer stands while what it read reads the same, and costs what it cost."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.runtime.context import Context
from chain.runtime.gas import GasMeter, OutOfGas
from chain.runtime.recall import Recall
from chain.runtime.store import Branch, EmptyState

KEYS = (b"a", b"b", b"c")


class Question:
    """Asks for the values of two keys, the second only when the first is absent or short."""

    def __init__(self, answers_max: int = 8) -> None:
        self.recall = Recall[tuple[bytes | None, bytes | None]](answers_max)
        self.computed = 0

    def compute(self, ctx: Context) -> tuple[bytes | None, bytes | None]:
        self.computed += 1
        first = ctx.kv("one").get(b"a")
        if first and len(first) > 1:
            return first, None
        ctx.gas.consume(7)
        return first, ctx.kv("two").get(b"b")

    def ask(self, ctx: Context) -> tuple[bytes | None, bytes | None]:
        return self.recall.get(ctx, "question", self.compute)


def build_context(limit: int | None = None) -> Context:
    return Context("hub-1", 5, 10**9, Branch(EmptyState()), gas=GasMeter(limit))


def test_an_answer_is_kept_while_its_reads_stand() -> None:
    question, ctx = Question(), build_context()
    ctx.kv("one").set(b"a", b"1")
    assert question.ask(ctx) == question.ask(ctx) == (b"1", None)
    with ctx.branch() as child:
        child.kv("two").set(b"a", b"beside it")
        child.kv("one").set(b"b", b"beside it")
        assert question.ask(child) == (b"1", None)
    assert question.ask(ctx) == (b"1", None)
    assert question.computed == 1


def _write(ctx: Context) -> None:
    ctx.kv("two").set(b"b", b"2")


def _overwrite(ctx: Context) -> None:
    ctx.kv("one").set(b"a", b"long")


def _delete(ctx: Context) -> None:
    ctx.kv("one").delete(b"a")


def _pass_time(ctx: Context) -> None:
    ctx.time_ns += 1


def _grow(ctx: Context) -> None:
    ctx.height += 1


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (_write, (b"1", b"2")),
        (_overwrite, (b"long", None)),
        (_delete, (None, None)),
        (_pass_time, (b"1", None)),
        (_grow, (b"1", None)),
    ],
)
def test_whatever_it_depends_on_ends_it(
    change: Callable[[Context], None], answer: tuple[bytes | None, bytes | None]
) -> None:
    question, ctx = Question(), build_context()
    ctx.kv("one").set(b"a", b"1")
    question.ask(ctx)
    child = ctx.branch()
    change(child)
    assert question.ask(child) == answer
    assert question.computed == 2
    # The branch is dropped: the state is what it was.
    assert question.ask(ctx) == (b"1", None)


def test_a_warm_answer_costs_what_a_cold_one_does() -> None:
    question, ctx = Question(), build_context()
    used = []
    for _ in range(2):
        before = ctx.gas.used
        question.ask(ctx)
        used.append(ctx.gas.used - before)
    assert used[0] == used[1] > 0
    assert question.computed == 1


def test_gas_runs_out_at_the_same_place() -> None:
    question, store = Question(), Branch(EmptyState())
    free = Context("hub-1", 5, 10**9, store)
    question.ask(free)
    cost = free.gas.used
    for limit in range(cost):
        spent = []
        for asked in (question, Question()):
            ctx = Context("hub-1", 5, 10**9, store, gas=GasMeter(limit))
            with pytest.raises(OutOfGas):
                asked.ask(ctx)
            spent.append(ctx.gas.used)
        assert spent[0] == spent[1]
    exact = Context("hub-1", 5, 10**9, store, gas=GasMeter(cost))
    computed = question.computed
    assert question.ask(exact) == (None, None)
    assert question.computed == computed


def test_an_iteration_is_asked_anew() -> None:
    recall, ctx = Recall[int](8), build_context()
    for count in range(3):
        found = recall.get(ctx, "count", lambda child: sum(1 for _ in child.kv("one").iterate()))
        assert found == count
        ctx.kv("one").set(b"%d" % count, b"1")


def test_a_refusal_is_asked_anew() -> None:
    recall, ctx = Recall[bytes](8), build_context()

    def require(child: Context) -> bytes:
        value = child.kv("one").get(b"a")
        if value is None:
            raise KeyError("a")
        return value

    with pytest.raises(KeyError):
        recall.get(ctx, "required", require)
    ctx.kv("one").set(b"a", b"1")
    assert recall.get(ctx, "required", require) == b"1"


def test_one_recalled_within_another_is_watched_too() -> None:
    inner, outer, ctx = Question(), Recall[tuple[bytes | None, bytes | None]](8), build_context()
    inner.ask(ctx)
    assert outer.get(ctx, "outer", inner.ask) == (None, None)
    assert inner.computed == 1, "the outer one recalled it"
    ctx.kv("two").set(b"b", b"2")
    assert outer.get(ctx, "outer", inner.ask) == (None, b"2")


@pytest.mark.parametrize(
    "act",
    [
        lambda child: child.kv("one").set(b"a", b"1"),
        lambda child: child.emit("done", {}),
    ],
)
def test_what_writes_or_emits_is_a_defect(act: Callable[[Context], None]) -> None:
    ctx = build_context()
    with pytest.raises(AssertionError, match="what is recalled"):
        Recall[None](8).get(ctx, "act", act)
    assert not ctx.store.net_writes()
    assert not ctx.events


def test_it_holds_no_more_than_it_may() -> None:
    question, ctx = Question(answers_max=2), build_context()
    for key in range(5):
        question.recall.get(ctx, key, question.compute)
        assert len(question.recall) <= 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("write", "delete", "branch", "commit", "drop", "ask")),
            st.sampled_from(("one", "two")),
            st.sampled_from(KEYS),
            st.sampled_from((b"1", b"2", b"long")),
        ),
        max_size=40,
    )
)
def test_no_history_makes_it_differ(steps: list[tuple[str, str, bytes, bytes]]) -> None:
    question, stack = Question(), [build_context()]
    for step, store, key, value in [*steps, ("ask", "one", b"a", b"1")]:
        ctx = stack[-1]
        if step == "write":
            ctx.kv(store).set(key, value)
        elif step == "delete":
            ctx.kv(store).delete(key)
        elif step == "branch":
            stack.append(ctx.branch())
        elif step in ("commit", "drop") and len(stack) > 1:
            if step == "commit":
                ctx.store.commit()
            stack.pop()
        elif step == "ask":
            before = ctx.gas.used
            answer = question.ask(ctx)
            spent = ctx.gas.used - before
            assert answer == Question().ask(ctx)
            assert ctx.gas.used - before == 2 * spent
