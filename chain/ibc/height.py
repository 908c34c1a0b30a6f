"""Heights of IBC: a revision of a chain and a block height within it (ICS-02)."""

import re
from dataclasses import dataclass
from typing import Final

from chain._pb.ibc.core.client.v1 import client_pb2
from chain.ibc.errors import InvalidChainId

_REVISION_FORMAT: Final = re.compile(r".*[^\n-]-[1-9][0-9]*")
UINT64_LIMIT: Final = 1 << 64


@dataclass(frozen=True, slots=True, order=True)
class Height:
    """A height of a chain, ordered by revision first; 0-0 means "none"."""

    revision_number: int = 0
    revision_height: int = 0

    @property
    def is_zero(self) -> bool:
        """Whether this is 0-0."""
        return self.revision_number == 0 and self.revision_height == 0

    def __str__(self) -> str:
        return f"{self.revision_number}-{self.revision_height}"

    @staticmethod
    def from_proto(message: client_pb2.Height) -> "Height":
        """The height a message carries."""
        return Height(message.revision_number, message.revision_height)

    def to_proto(self) -> client_pb2.Height:
        """The height as a message."""
        return client_pb2.Height(
            revision_number=self.revision_number, revision_height=self.revision_height
        )

    @staticmethod
    def parse(text: str) -> "Height":
        """The height that `revision-height` names; raises ValueError on any other text."""
        parts = text.split("-")
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
            raise ValueError(f"{text!r} is not of the form revision-height")
        return Height(int(parts[0]), int(parts[1]))


def parse_revision(chain_id: str) -> int:
    """The revision number in a chain id: the digits after its last dash, 0 without such a suffix.

    Raises InvalidChainId when the number does not fit 64 bits.
    """
    if _REVISION_FORMAT.fullmatch(chain_id) is None:
        return 0
    digits = chain_id.rsplit("-", 1)[1]
    if len(digits) > 20 or int(digits) >= UINT64_LIMIT:
        raise InvalidChainId(f"revision {digits[:30]} of chain id {chain_id!r} is above 2^64-1")
    return int(digits)


def replace_revision(chain_id: str, revision: int) -> str:
    """The chain id with another revision number, or itself when it carries none."""
    if _REVISION_FORMAT.fullmatch(chain_id) is None:
        return chain_id
    return f"{chain_id.rsplit('-', 1)[0]}-{revision}"
