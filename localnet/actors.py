"""The named accounts of a local network: keys that anybody can compute, UNSAFE elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from mnemonic import Mnemonic

from chain.client.wallet import Wallet
from chain.units import Address

UNSAFE_ACTOR_TEXT: Final = "margin-chain UNSAFE demo account"
_ENTROPY_BYTES: Final = 16


@dataclass(frozen=True)
class Actor:
    """One named account, with the same key on every chain of the network."""

    name: str
    role: str

    @cached_property
    def mnemonic(self) -> str:
        """Twelve BIP-39 words made from the name alone: anybody can sign as the account."""
        entropy = sha256(f"{UNSAFE_ACTOR_TEXT} {self.name}".encode()).digest()[:_ENTROPY_BYTES]
        words: str = Mnemonic("english").to_mnemonic(entropy)
        return words

    @cached_property
    def wallet(self) -> Wallet:
        """The account's key."""
        return Wallet.from_mnemonic(self.mnemonic)

    @property
    def address(self) -> Address:
        """The account's address, the same on every chain."""
        return self.wallet.address


_ROLES: Final = {
    "alice": "trader: collateral on alpha-1 and beta-1, a position on hub-1",
    "bob": "market maker on hub-1",
    "carol": "healthy account with collateral on beta-1",
    "keeper": "bids in auctions on hub-1",
    "relayer": "pays for packets on all chains",
    "hermes": "pays for what Hermes relays in the interop scenarios",
    "council-1": "council member (2 of 3 decide)",
    "council-2": "council member (2 of 3 decide)",
    "council-3": "council member (2 of 3 decide)",
    "guardian": "may pause a route or reject a proposal",
    "faucet": "gives coins of every kind",
    "dave": "option market maker on hub-1",
}
ACTORS: Final[Mapping[str, Actor]] = MappingProxyType(
    {name: Actor(name, role) for name, role in _ROLES.items()}
)
"""All named accounts by name."""

COUNCIL: Final = tuple(ACTORS[f"council-{number}"] for number in (1, 2, 3))
"""The members of every chain's council."""
