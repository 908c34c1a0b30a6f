"""What makes a chain of ours: its modules in order, and who keeps accounts, fees and validators.

The application knows these only by the protocols here; hub.py and spoke.py fill them in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from chain.runtime.consensus import STORE as CONSENSUS_STORE
from chain.runtime.context import Context
from chain.runtime.module import Module, VoteExtensionRules
from chain.units import Address


class Accounts(Protocol):
    """Who may sign: accounts with keys and sequences (cosmos.auth.v1beta1.BaseAccount)."""

    def get_account(self, ctx: Context, address: Address) -> Any | None:
        """The account, or None."""
        ...

    def set_account(self, ctx: Context, account: Any) -> None:
        """Store an account that get_account returned, changed."""
        ...

    def get_params(self, ctx: Context) -> Any:
        """The cosmos.auth.v1beta1.Params in force."""
        ...


class Fees(Protocol):
    """Where fees go."""

    def deduct_fee(self, ctx: Context, payer: Address, coins: Sequence[tuple[str, int]]) -> None:
        """Take the coins from the payer; raises InsufficientFunds."""
        ...


@dataclass(frozen=True, slots=True)
class SetMember:
    """A member of the validator set that signs a height."""

    address: bytes
    public_key: bytes
    power: int


@dataclass(frozen=True, slots=True)
class Misbehavior:
    """What CometBFT proved against a validator: kind 1 duplicate vote, 2 light-client attack."""

    kind: int
    address: bytes
    power: int
    height: int
    time_ns: int


class Validators(Protocol):
    """Who signs blocks."""

    def take_updates(self, ctx: Context) -> Sequence[tuple[bytes, int]]:
        """(ed25519 key, power) changed since the last call, for CometBFT; power 0 removes."""
        ...

    def get_set(self, ctx: Context, height: int) -> Sequence[SetMember]:
        """The members that sign block `height` (the last few heights are kept)."""
        ...

    def handle_misbehavior(self, ctx: Context, misbehavior: Misbehavior) -> None:
        """Record evidence and take the offender's power."""
        ...


@dataclass(frozen=True)
class ChainDefinition:
    """A chain: name, modules in hook order, keepers of accounts, fees and validators."""

    name: str
    modules: tuple[Module, ...]
    accounts: Accounts
    fees: Fees
    validators: Validators

    @cached_property
    def store_names(self) -> tuple[str, ...]:
        """All stores, sorted; "consensus" is the runtime's own."""
        names = [CONSENSUS_STORE, *(name for module in self.modules for name in module.stores)]
        assert len(dict.fromkeys(names)) == len(names), f"a store has two owners: {names}"
        return tuple(sorted(names))

    @cached_property
    def vote_extensions(self) -> VoteExtensionRules | None:
        """The rules of the one module that uses vote extensions."""
        rules = [m.vote_extensions for m in self.modules if m.vote_extensions is not None]
        assert len(rules) <= 1, "two modules want vote extensions"
        return rules[0] if rules else None
