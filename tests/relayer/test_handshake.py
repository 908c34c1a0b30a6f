"""The next step of a handshake, for every pair of states."""

import pytest

from relayer.handshake import Ends, HandshakeStuck, Step, compute_next_step


@pytest.mark.parametrize(
    ("ends", "step"),
    [
        (Ends(0, 0), Step.INIT_A),
        (Ends(1, 0), Step.TRY_B),
        (Ends(1, 2), Step.ACK_A),
        (Ends(3, 2), Step.CONFIRM_B),
        (Ends(3, 3), Step.DONE),
    ],
)
def test_step(ends: Ends, step: Step) -> None:
    assert compute_next_step(ends) is step


@pytest.mark.parametrize("ends", [Ends(0, 2), Ends(2, 2), Ends(4, 3), Ends(3, 0), Ends(1, 3)])
def test_ends_that_lead_nowhere_are_said_so(ends: Ends) -> None:
    with pytest.raises(HandshakeStuck, match="link again"):
        compute_next_step(ends)
