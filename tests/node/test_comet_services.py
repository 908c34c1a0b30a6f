"""Transactions found by their events: the votes in front of a hub's blocks are none of them."""

import grpc
import pytest

from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.cosmos.tx.v1beta1 import service_pb2
from chain.client.transaction import compute_tx_hash
from chain.node import comet_services
from chain.runtime.pagination import OFFSET_MAX
from chain.runtime.vote_extensions import is_injected_commit
from tests.node.test_grpc import running

SEARCH = "/cosmos.tx.v1beta1.Service/GetTxsEvent"
BLOCKS, TXS = 4, 3


@pytest.fixture(scope="module")
def node():
    """A hub of blocks with votes in front and transactions behind them."""
    with running(vote_extensions=True) as started:
        chain = started.chain
        for _ in range(BLOCKS):
            first = chain.query_sequence()
            chain.next_block([build_send(started, first + index) for index in range(TXS)])
        assert all(is_injected_commit(block.items[0]) for block in chain.blocks[1:])
        yield started


def build_send(node, sequence):
    message = bank_tx.MsgSend(
        from_address=node.wallet().address,
        to_address=node.wallet("bob").address,
        amount=[coin_pb2.Coin(denom="umargin", amount="5")],
    )
    return node.chain.draft([message], sequences=[sequence]).build()


def search(node, query, **fields):
    request = service_pb2.GetTxsEventRequest(query=query, **fields)
    answer, _ = node.call(SEARCH, request, service_pb2.GetTxsEventResponse)
    assert answer.pagination.total == answer.total
    assert len(answer.txs) == len(answer.tx_responses)
    return answer


def list_hashes(answer):
    return [response.txhash for response in answer.tx_responses]


def list_sent(node, *, above=0):
    return [compute_tx_hash(t) for b in node.chain.blocks if b.height > above for t in b.txs]


@pytest.mark.parametrize(
    ("query", "above"),
    [
        ("tx.height=5", 4),
        ("tx.height>3", 3),
        ("tx.height > 2 AND tx.height <= 5", 2),
        ("message.action='/cosmos.bank.v1beta1.MsgSend'", 0),
        ("tx.height>3 AND message.action='/cosmos.bank.v1beta1.MsgSend'", 3),
    ],
)
def test_transactions_alone_are_found_and_counted(node, query, above):
    expected = list_sent(node, above=above)
    answer = search(node, query)
    assert (answer.total, list_hashes(answer)) == (len(expected), expected)
    reverse = search(node, query, order_by=service_pb2.ORDER_BY_DESC)
    assert list_hashes(reverse) == expected[::-1]


@pytest.mark.parametrize("query", ["tx.height>0", "message.module='bank'"])
@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_pages_partition_what_is_found(node, query, limit):
    expected = list_sent(node)
    pages = range(1, -(-len(expected) // limit) + 1)
    found = [search(node, query, page=page, limit=limit) for page in pages]
    assert [row for answer in found for row in list_hashes(answer)] == expected
    assert {answer.total for answer in found} == {len(expected)}
    paged = pagination_pb2.PageRequest(offset=limit, limit=limit)
    if len(expected) > limit:
        assert list_hashes(search(node, query, pagination=paged)) == list_hashes(found[1])


def test_a_block_of_votes_alone_has_no_transaction(node):
    node.chain.next_block()
    answer = search(node, f"tx.height={node.chain.height}")
    assert (answer.total, len(answer.txs)) == (0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"page": 2**63 - 1, "limit": 100},
        {"page": 2**64 - 1, "limit": 1},
        {"pagination": pagination_pb2.PageRequest(offset=2**64 - 1)},
        {"pagination": pagination_pb2.PageRequest(offset=OFFSET_MAX + 100)},
    ],
)
def test_a_page_far_away_costs_nothing(node, fields):
    node.comet.searches.clear()
    with pytest.raises(grpc.RpcError) as caught:
        search(node, "message.module='bank'", **fields)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert not node.comet.searches


@pytest.mark.parametrize("query", ["message.module='bank'", "tx.height>0"])
def test_a_page_behind_the_last_is_refused(node, query):
    with pytest.raises(grpc.RpcError) as caught:
        search(node, query, page=2)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_heights_that_match_too_much_are_refused(node, monkeypatch):
    monkeypatch.setattr(comet_services, "SCANNED_ROWS_MAX", 10)
    with pytest.raises(grpc.RpcError) as caught:
        search(node, "tx.height>0")
    assert "narrow tx.height" in caught.value.details()
    assert search(node, "tx.height=5").total == TXS
