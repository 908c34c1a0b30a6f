"""Transfers as the scenarios build them, and waiting for what they cause."""

import time

import pytest

from chain.client.errors import NotFound
from localnet.actors import ACTORS
from localnet.interop.scenario import ScenarioFailed
from localnet.interop.sides import ChannelEnd, Link, Side, wait_until_seen

HUB = Side("hub-1", "http://127.0.0.1:1", "127.0.0.1:2", "", "margin", "umargin", "uusd")
SIMD = Side("ibc-0", "http://127.0.0.1:3", "127.0.0.1:4", "", "cosmos", "stake", "samoleans")
LINK = Link(
    ChannelEnd(HUB, "07-tendermint-0", "connection-0", "channel-3"),
    ChannelEnd(SIMD, "07-tendermint-1", "connection-1", "channel-5"),
)


def test_a_transfer_goes_to_the_senders_own_address_there() -> None:
    message = LINK.build_transfer(7)
    assert (message.source_port, message.source_channel) == ("transfer", "channel-3")
    assert (message.token.denom, message.token.amount) == ("uusd", "7")
    assert message.sender == ACTORS["alice"].address
    assert message.receiver.startswith("cosmos1")
    assert not message.timeout_height.revision_height
    assert message.timeout_timestamp > time.time_ns()


@pytest.mark.parametrize(("link", "revision"), [(LINK, 0), (LINK.directions[1], 1)])
def test_a_timeout_height_is_of_the_receivers_revision(link: Link, revision: int) -> None:
    message = link.build_transfer(7, timeout_s=0, timeout_height=90)
    height = message.timeout_height
    assert (height.revision_number, height.revision_height) == (revision, 90)
    assert message.timeout_timestamp == 0


def test_a_voucher_is_named_by_the_receivers_channel() -> None:
    there, back = LINK.directions
    assert there.get_voucher("uusd") != back.get_voucher("uusd")
    other = Link(LINK.a, ChannelEnd(SIMD, "07-tendermint-1", "connection-1", "channel-6"))
    assert there.get_voucher("uusd") != other.get_voucher("uusd")


def test_what_does_not_exist_yet_is_waited_for() -> None:
    answers = iter([NotFound("nothing"), False, True])

    def ask() -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait_until_seen(ask, "the third answer", timeout_s=5) < 5


def test_what_does_not_come_is_named() -> None:
    with pytest.raises(ScenarioFailed, match="the moon: not seen within 0 s"):
        wait_until_seen(lambda: False, "the moon", timeout_s=0)
