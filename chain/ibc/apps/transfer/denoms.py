"""Denoms that crossed chains: the path of a voucher, its hash, and where its original is held.

A token keeps the channels it came over in front of its base denom, the last one first; a chain
that issues a voucher calls it "ibc/" and the hash of that path (ICS-20).
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from chain._pb.ibc.applications.transfer.v1 import token_pb2
from chain.ibc import host
from chain.ibc.apps.transfer.errors import InvalidDenom
from chain.ibc.errors import InvalidIdentifier
from chain.runtime.address import encode_address
from chain.units import Address

PORT: Final = "transfer"
VERSION: Final = "ics20-1"
VOUCHER_PREFIX: Final = "ibc/"
BLANKS: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""White space as Go has it, spelled out: Unicode tables differ between versions of Python."""
_HASH: Final = re.compile(r"[0-9A-Fa-f]{64}")


@dataclass(frozen=True, slots=True)
class Hop:
    """One crossing: port and channel of the chain that received the token."""

    port_id: str
    channel_id: str

    def __str__(self) -> str:
        return f"{self.port_id}/{self.channel_id}"


@dataclass(frozen=True, slots=True)
class Denom:
    """A base denom and the hops it took to get here, the last hop first; native without hops."""

    base: str
    trace: tuple[Hop, ...] = ()

    @property
    def path(self) -> str:
        """The full name: every hop, then the base."""
        return "/".join((*map(str, self.trace), self.base))

    @property
    def hash(self) -> bytes:
        """The SHA-256 of the path."""
        return hashlib.sha256(self.path.encode()).digest()

    @property
    def local_denom(self) -> str:
        """What this chain's bank calls it: the base when native, else ibc/HASH."""
        return f"{VOUCHER_PREFIX}{self.hash.hex().upper()}" if self.trace else self.base

    def has_first_hop(self, port_id: str, channel_id: str) -> bool:
        """Whether it came here over this channel last."""
        return self.trace[:1] == (Hop(port_id, channel_id),)

    def with_hop(self, port_id: str, channel_id: str) -> "Denom":
        """The same token one hop further from home."""
        return Denom(self.base, (Hop(port_id, channel_id), *self.trace))

    def without_hop(self) -> "Denom":
        """The same token one hop nearer home."""
        return Denom(self.base, self.trace[1:])

    def to_proto(self) -> token_pb2.Denom:
        """The denom as a message."""
        return token_pb2.Denom(
            base=self.base,
            trace=[token_pb2.Hop(port_id=h.port_id, channel_id=h.channel_id) for h in self.trace],
        )

    @staticmethod
    def from_proto(message: token_pb2.Denom) -> "Denom":
        """The denom a message carries."""
        return Denom(message.base, tuple(Hop(hop.port_id, hop.channel_id) for hop in message.trace))


def _is_hop_id(identifier: str) -> bool:
    if host.parse_sequence(identifier, "channel-") is not None:
        return True
    return len(identifier) <= 64 and host.is_client_id_format(identifier)


def parse_path(path: str) -> Denom:
    """The denom a path names: pairs in front whose second part names a channel are its hops.

    A base may hold slashes itself, so the first pair of another form begins it.
    """
    parts = path.split("/")
    trace: list[Hop] = []
    index = 0
    if len(parts) > 2:
        while index + 1 < len(parts) and _is_hop_id(parts[index + 1]):
            trace.append(Hop(parts[index], parts[index + 1]))
            index += 2
    return Denom("/".join(parts[index:]), tuple(trace))


def validate_denom(denom: Denom) -> None:
    """Raises InvalidDenom for a blank base or a hop whose names break ICS-24."""
    if not denom.base.strip(BLANKS):
        raise InvalidDenom("the base denomination is blank")
    for hop in denom.trace:
        try:
            host.validate_port_id(hop.port_id)
            host.validate_channel_id(hop.channel_id)
        except InvalidIdentifier as error:
            raise InvalidDenom(f"hop {str(hop)[:200]!r}: {error.detail}") from None


def parse_hash(text: str) -> bytes | None:
    """The hash in "ibc/HASH" or "HASH", in either case of letters; None for any other text."""
    digits = text.removeprefix(VOUCHER_PREFIX)
    return bytes.fromhex(digits) if _HASH.fullmatch(digits) else None


def compute_escrow_address(port_id: str, channel_id: str) -> Address:
    """Where the originals of vouchers issued over a channel are held; nobody has its key."""
    preimage = f"{VERSION}\x00{port_id}/{channel_id}".encode()
    return encode_address(hashlib.sha256(preimage).digest()[:20])
