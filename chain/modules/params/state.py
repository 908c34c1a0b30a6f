"""Governed parameters: each module declares one message, kept in its own store under "params".

The declarations are the register that the council's MsgUpdateParams and the queries go through.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import Message

from chain.runtime.context import Context

KEY: Final = b"params"
_EMPTY: Final = b"\x00"
"""Stands for the empty message, since a value cannot be empty; no protobuf encoding equals it."""

P = TypeVar("P", bound=Message)


@dataclass(frozen=True)
class Declaration(Generic[P]):
    """The parameters of a module: store, type, default and rule (raises ChainError to refuse)."""

    store: str
    message_type: type[P]
    build_default: Callable[[], P]
    validate: Callable[[P], None]

    def change(self, ctx: Context, params: P) -> None:
        """Store what governance changed; raises what the module's rules raise."""
        self.validate(params)
        watch = _WATCHES.get(self.store)
        if watch is not None:
            watch(ctx, self.get(ctx), params)
        self.set(ctx, params)

    def get(self, ctx: Context) -> P:
        """The parameters in force, shared: nobody may change the message. Defaults before
        genesis.
        """
        data = ctx.kv(self.store).get(KEY)
        if data is None:
            return self.build_default()
        parse: Any = _parse  # A message class is hashable; its stub does not say so.
        message: P = parse(self.message_type, data)
        return message

    def set(self, ctx: Context, params: P) -> None:
        """Store valid parameters; raises what the module's rule raises."""
        self.validate(params)
        ctx.kv(self.store).set(KEY, params.SerializeToString(deterministic=True) or _EMPTY)


@lru_cache(256)
def _parse(message_type: Any, data: bytes) -> Any:
    return message_type.FromString(b"" if data == _EMPTY else data)


_DECLARED: dict[str, Declaration[Any]] = {}
_WATCHES: dict[str, Callable[[Context, Any, Any], None]] = {}


def declare_params(
    store: str,
    message_type: type[P],
    build_default: Callable[[], P],
    validate: Callable[[P], None],
) -> Declaration[P]:
    """Declare, once at import, the parameters of the module that owns the store."""
    declaration = Declaration(store, message_type, build_default, validate)
    other = _DECLARED.get(store)
    assert other is None or other.message_type is message_type, f"{store} declares twice"
    _DECLARED[store] = declaration
    return declaration


def watch_changes(declared: Declaration[P], watch: Callable[[Context, P, P], None]) -> None:
    """Let a function see what governance changes, old and new, before it is stored; it may refuse.

    Once at import, by the module that owns the store. Genesis does not pass there.
    """
    other = _WATCHES.get(declared.store)
    assert other is None or other.__qualname__ == watch.__qualname__, f"{declared.store} has one"
    _WATCHES[declared.store] = watch


def get_declarations() -> Mapping[str, Declaration[Any]]:
    """All declarations of this program by store; a chain offers those whose store it has."""
    return _DECLARED


def get_params(ctx: Context, module: str) -> Any:
    """The parameters in force of a module."""
    return _DECLARED[module].get(ctx)


def set_params(ctx: Context, module: str, params: Message) -> None:
    """Store a module's parameters after its own rule; raises what that raises."""
    _DECLARED[module].set(ctx, params)
