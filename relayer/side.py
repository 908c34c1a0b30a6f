"""A side of a path: a chain with the key that pays there and the ids of this path on it."""

from dataclasses import dataclass

from relayer.endpoint import Endpoint
from relayer.submit import Submitter


@dataclass(slots=True)
class Side:
    """One end of a path: its chain, the key that pays there, and the ids on that chain."""

    endpoint: Endpoint
    submitter: Submitter
    port: str
    client: str = ""
    connection: str = ""
    channel: str = ""

    @property
    def chain_id(self) -> str:
        """The chain of this end."""
        return self.endpoint.chain_id
