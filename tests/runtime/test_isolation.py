import pytest

from chain.runtime.context import Context
from chain.runtime.isolation import isolate_item
from chain.runtime.store import Branch, EmptyState
from chain.units import InvalidAmount


@pytest.fixture
def ctx():
    return Context("test-1", 1, 0, Branch(EmptyState()))


def fail(ctx, error):
    with isolate_item(ctx, "item_failed", {"item": 7}) as child:
        child.kv("s").set(b"k", b"v")
        child.emit("done", {})
        raise error


@pytest.mark.parametrize(
    ("error", "codespace", "code"),
    [(InvalidAmount("zero"), "units", "2"), (ZeroDivisionError(), "sdk", "1")],
)
def test_failed_item_leaves_an_event_and_nothing_else(ctx, error, codespace, code):
    fail(ctx, error)
    assert ctx.store.get("s", b"k") is None
    assert [event.type for event in ctx.events] == ["item_failed"]
    assert dict(ctx.events[0].attributes) == {"item": "7", "codespace": codespace, "code": code}


def test_item_that_succeeds_is_kept(ctx):
    with isolate_item(ctx, "item_failed", {}) as child:
        child.kv("s").set(b"k", b"v")
        child.emit("done", {})
    assert ctx.store.get("s", b"k") == b"v"
    assert [event.type for event in ctx.events] == ["done"]


@pytest.mark.parametrize("error", [MemoryError(), RecursionError()])
def test_what_is_not_deterministic_halts_the_node(ctx, error):
    with pytest.raises(type(error)):
        fail(ctx, error)
    assert not ctx.events
