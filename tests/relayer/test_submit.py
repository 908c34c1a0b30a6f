"""What the submitter reads from a chain's answers, and how it spends."""

import pytest

from chain._pb.cosmos.base.abci.v1beta1 import abci_pb2
from chain._pb.ibc.core.channel.v1 import tx_pb2 as channel_tx
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx
from chain.client.transaction import pack_any
from relayer.submit import (
    BudgetSpent,
    _Budget,
    count_redundant,
    find_expected_sequence,
    split_update,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("account sequence mismatch, expected 7, got 5: incorrect account sequence", 7),
        ("account sequence mismatch, expected 5, got 7: incorrect account sequence", 5),
        ("incorrect account sequence", None),
        ("", None),
    ],
)
def test_the_expected_sequence_is_read_from_the_refusal(text, expected):
    assert find_expected_sequence(text) == expected


def test_messages_that_did_nothing_are_counted():
    noop, success = channel_tx.RESPONSE_RESULT_TYPE_NOOP, channel_tx.RESPONSE_RESULT_TYPE_SUCCESS
    responses = [
        client_tx.MsgUpdateClientResponse(),
        channel_tx.MsgRecvPacketResponse(result=noop),
        channel_tx.MsgRecvPacketResponse(result=success),
        channel_tx.MsgAcknowledgementResponse(result=noop),
        channel_tx.MsgTimeoutResponse(result=noop),
    ]
    data = abci_pb2.TxMsgData(msg_responses=[pack_any(r) for r in responses])
    assert count_redundant(data.SerializeToString()) == 3
    assert count_redundant(b"") == 0
    assert count_redundant(b"\xff") == 0


def test_the_budget_of_an_hour_slides():
    budget = _Budget(100)
    budget.validate(100, 0.0)
    budget.charge(60, 0.0)
    budget.validate(40, 1.0)
    with pytest.raises(BudgetSpent, match="101 would be spent"):
        budget.validate(41, 1.0)
    budget.validate(100, 3_601.0)


def test_without_a_limit_nothing_is_refused():
    budget = _Budget(0)
    budget.charge(10**30, 0.0)
    budget.validate(10**30, 0.0)


def test_every_part_of_a_batch_keeps_the_leading_updates():
    update, receive = client_tx.MsgUpdateClient(client_id="a"), channel_tx.MsgRecvPacket()
    assert split_update([update, update, receive]) == ([update, update], [receive])
    assert split_update([receive, update]) == ([], [receive, update])
