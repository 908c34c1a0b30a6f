"""The context: all a handler may know of the world, passed as an argument."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from chain.runtime.gas import GasMeter
from chain.runtime.store import Branch, StoreView
from chain.units import NANOSECONDS

if TYPE_CHECKING:
    from chain.runtime.router import Router


class Mode(Enum):
    """Why a context executes."""

    GENESIS = "genesis"
    CHECK = "check"
    RECHECK = "recheck"
    """CheckTx again, after a block, of what passed CHECK and is still in the mempool."""
    SIMULATE = "simulate"
    DELIVER = "deliver"
    QUERY = "query"


class Event(NamedTuple):
    """Something a user may want to index; attributes are (key, value) texts in emission order."""

    type: str
    attributes: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Context:
    """One execution: chain id, block height and time (ns), the branch it writes to, gas, events.

    `proposer_address` is that of the block being executed (empty where no block is). `router` runs
    messages that stand inside messages (the council's proposals). `parent` is what a branch returns
    to.
    """

    chain_id: str
    height: int
    time_ns: int
    store: Branch
    mode: Mode = Mode.DELIVER
    gas: GasMeter = field(default_factory=GasMeter)
    events: list[Event] = field(default_factory=list)
    proposer_address: bytes = b""
    router: "Router | None" = None
    parent: "Context | None" = None

    @property
    def time_s(self) -> int:
        """Block time in whole seconds since 1970."""
        return self.time_ns // NANOSECONDS

    def kv(self, name: str) -> StoreView:
        """The named store, metered."""
        return StoreView(name, self.store, self.gas)

    def emit(self, event_type: str, attributes: Mapping[str, str | int]) -> None:
        """Record an event; it dies with its branch."""
        self.events.append(
            Event(event_type, tuple([(key, str(value)) for key, value in attributes.items()]))
        )

    def branch(self) -> "Context":
        """A child context for a `with` block: its writes and events are kept when the block ends
        normally and dropped when it raises.
        """
        return Context(
            self.chain_id,
            self.height,
            self.time_ns,
            self.store.branch(),
            self.mode,
            self.gas,
            [],
            self.proposer_address,
            self.router,
            self,
        )

    def __enter__(self) -> Self:
        assert self.parent is not None, "only a branch opens a block"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self.parent is not None:
            self.store.commit()
            self.parent.events.extend(self.events)
