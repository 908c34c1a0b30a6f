"""One item of a block hook in a branch of its own: done whole, or skipped with an event."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from chain.errors import INTERNAL_CODE, INTERNAL_CODESPACE, ChainError
from chain.runtime.context import Context


@contextmanager
def isolate_item(
    ctx: Context, event_type: str, attributes: Mapping[str, str | int]
) -> Iterator[Context]:
    """A child context for one item; when it raises, its writes are dropped and the event tells why.

    Any expected refusal or unexpected exception is swallowed, so the hook goes on with its next
    item. MemoryError and RecursionError are not deterministic and pass through to halt the node.
    """
    try:
        with ctx.branch() as child:
            yield child
    except ChainError as error:
        ctx.emit(event_type, {**attributes, "codespace": error.codespace, "code": error.code})
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001 - one broken item must not stop the others, whatever broke it
        ctx.emit(event_type, {**attributes, "codespace": INTERNAL_CODESPACE, "code": INTERNAL_CODE})
