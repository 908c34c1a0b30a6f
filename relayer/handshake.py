"""Handshakes: from two unconnected chains to an open channel, by the state of both ends.

`compute_next_step` is pure; the loop around it asks both chains, does the step, and asks again, so
a relayer killed in the middle goes on where the chains stand. Source: ICS-03, ICS-04.
"""

from dataclasses import dataclass
from enum import Enum

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.connection.v1 import connection_pb2


class Step(Enum):
    """The next message of a handshake and the side it goes to."""

    INIT_A = "init on a"
    TRY_B = "try on b"
    ACK_A = "ack on a"
    CONFIRM_B = "confirm on b"
    DONE = "done"


class HandshakeStuck(Exception):
    """Ends that no step of this handshake leads on from."""


@dataclass(frozen=True, slots=True)
class Ends:
    """States of both ends: 0 absent, 1 INIT, 2 TRYOPEN, 3 OPEN (connections and channels agree)."""

    a: int = 0
    b: int = 0


ABSENT, INIT, TRYOPEN, OPEN = 0, 1, 2, 3


def compute_next_step(ends: Ends) -> Step:
    """The step two ends need next; raises HandshakeStuck when there is none."""
    match (ends.a, ends.b):
        case (0, 0):
            return Step.INIT_A
        case (1, 0):
            return Step.TRY_B
        case (1, 2):
            return Step.ACK_A
        case (3, 2):
            return Step.CONFIRM_B
        case (3, 3):
            return Step.DONE
        case _:
            raise HandshakeStuck(
                f"end a is in state {ends.a}, end b in state {ends.b}; clear the ids of this path "
                f"in the configuration and link again"
            )


assert (connection_pb2.STATE_INIT, connection_pb2.STATE_OPEN) == (INIT, OPEN)
assert (channel_pb2.STATE_INIT, channel_pb2.STATE_OPEN) == (INIT, OPEN)
