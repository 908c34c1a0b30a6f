"""What a module offers the application: messages, queries, genesis and block hooks.

A module is data, not a class hierarchy: the application routes by these tables and knows no module.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from google.protobuf.message import Message

from chain.runtime.context import Context

Handler = Callable[[Context, Any], Message]
"""A message handler: (context, decoded message) -> response; raises ChainError to refuse."""

TransactionCheck = Callable[[Context, Sequence[Message]], None]
"""A rule of the mempool over a transaction's messages; raises ChainError to refuse it."""

QueryHandler = Callable[[Context, Any], Message]
"""A query handler: (read-only context at a height, decoded request) -> response."""


@dataclass(frozen=True, slots=True)
class MessageRoute:
    """One Msg: its protobuf type, its handler, and the field that names its signer (an address).

    The field may be a path through messages ("packet.signer"), also through a repeated one
    ("inputs.address": every input's address signs).
    """

    request: type[Message]
    handler: Handler
    signer_field: str


@dataclass(frozen=True, slots=True)
class QueryRoute:
    """One query: full gRPC method path `/package.Service/Method`, protobuf types, handler."""

    path: str
    request: type[Message]
    response: type[Message]
    handler: QueryHandler


@dataclass(frozen=True, slots=True)
class Vote:
    """One validator's part in the extended commit of the previous height, already verified.

    extension is empty when the validator did not sign or had nothing to say.
    """

    address: bytes
    power: int
    extension: bytes


class VoteExtensionRules(Protocol):
    """How a chain fills, judges and uses vote extensions; a chain has at most one set of rules."""

    def extend_vote(self, ctx: Context) -> bytes:
        """The node's own extension (may read a local feed; never raises; empty is fine)."""
        ...

    def is_acceptable(self, ctx: Context, extension: bytes) -> bool:
        """Whether size and decoding are right; an empty extension is. Never judges prices."""
        ...

    def process_votes(self, ctx: Context, votes: Sequence[Vote]) -> None:
        """Use the votes of the previous height in the block being executed; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Module:
    """A named set of routes and hooks.

    `stores` are the named stores it owns. `genesis` is the protobuf type of its part of app_state
    (parsed strictly: unknown keys are refused); init_genesis gets it decoded, export_genesis
    returns it. `default_genesis` is what `init` writes and what a genesis without this module's
    part means (None: the empty message). `module_accounts` are the names of accounts it holds
    (auth.types.module_address): nobody can sign for them and users cannot send to them.
    `any_types` are the types, beside messages, that a google.protobuf.Any in a message may hold: an
    Any of another type is refused before its message is routed. `check_transaction` runs in CheckTx
    alone, on the check state: in Mode.CHECK, and in Mode.RECHECK for what passed before. Hooks run
    in the order in which the chain lists its modules; an exception from a hook is isolated by the
    application (its branch dropped, counted, logged) but a hook isolates its own items.
    """

    name: str
    stores: tuple[str, ...] = ()
    messages: tuple[MessageRoute, ...] = ()
    queries: tuple[QueryRoute, ...] = ()
    module_accounts: tuple[str, ...] = ()
    any_types: tuple[type[Message], ...] = ()
    genesis: type[Message] | None = None
    default_genesis: Callable[[], Message] | None = None
    init_genesis: Callable[[Context, Any], None] | None = None
    export_genesis: Callable[[Context], Message] | None = None
    begin_block: Callable[[Context], None] | None = None
    end_block: Callable[[Context], None] | None = None
    vote_extensions: VoteExtensionRules | None = None
    check_transaction: TransactionCheck | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
