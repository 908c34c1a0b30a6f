"""The RPC client against a node's recorded answers and against what a broken node says."""

import asyncio
import base64
import hashlib

import httpx2
import pytest

from chain.client import comet_json
from chain.client.comet import CometClient, normalize_rpc_url
from chain.client.errors import (
    InvalidEndpoint,
    MalformedAnswer,
    NodeUnavailable,
    NotFound,
    RpcError,
)

KEY = base64.b64encode(b"\x01" * 32).decode()
HASH = "AB" * 32
TIME = "2023-05-17T14:12:53.088875124Z"
BLOCK_ID = {"hash": HASH, "parts": {"total": 1, "hash": HASH}}
HEADER = {
    "version": {"block": "11", "app": "1"},
    "chain_id": "test-1",
    "height": "10",
    "time": TIME,
    "last_block_id": BLOCK_ID,
    "proposer_address": "CD" * 20,
} | {
    f"{name}_hash": HASH
    for name in (
        "last_commit", "data", "validators", "next_validators", "consensus", "app",
        "last_results", "evidence",
    )
}  # fmt: skip
COMMIT = {
    "height": "10",
    "round": 2,
    "block_id": BLOCK_ID,
    "signatures": [
        {"block_id_flag": 2, "validator_address": "CD" * 20, "timestamp": TIME, "signature": KEY},
        {
            "block_id_flag": 1,
            "validator_address": "",
            "timestamp": "0001-01-01T00:00:00Z",
            "signature": None,
        },
    ],
}


def ask(answers, call):
    """Run one call against a node that gives these answers, in order; the requests it saw."""
    seen = []

    def answer(request):
        seen.append(request)
        given = answers[min(len(seen), len(answers)) - 1]
        return given if isinstance(given, httpx2.Response) else httpx2.Response(200, json=given)

    async def run():
        transport = httpx2.MockTransport(answer)
        async with CometClient("tcp://127.0.0.1:26657", transport=transport) as client:
            return await call(client)

    return asyncio.run(run()), seen


def result(value):
    return {"jsonrpc": "2.0", "id": 1, "result": value}


def test_signed_header_keeps_every_field():
    answer = result({"signed_header": {"header": HEADER, "commit": COMMIT}, "canonical": True})
    signed, _ = ask([answer], lambda client: client.commit(10))
    assert signed.header.height == 10
    assert signed.header.time.nanos == 88875124
    assert signed.header.version.block == 11
    assert signed.header.last_block_id.part_set_header.total == 1
    assert signed.header.app_hash == bytes.fromhex(HASH)
    assert signed.commit.round == 2
    voted, absent = signed.commit.signatures
    assert voted.signature == b"\x01" * 32
    # CometBFT signs over and encodes the zero time of an absent vote.
    assert absent.timestamp.seconds == -62135596800
    assert absent.block_id_flag == 1


def test_validators_of_all_pages_are_of_one_height():
    def page(start, stop):
        rows = [
            {
                "address": f"{n:040X}",
                "pub_key": {"type": "tendermint/PubKeyEd25519", "value": KEY},
                "voting_power": "10",
                "proposer_priority": str(-n),
            }
            for n in range(start, stop)
        ]
        return result({"block_height": "7", "validators": rows, "count": "1", "total": "150"})

    found, seen = ask([page(0, 100), page(100, 150)], lambda client: client.validators())
    assert len(found.validators) == 150
    assert found.total_voting_power == 1500
    assert found.proposer.address == bytes(20)
    assert b'"height"' not in seen[0].content
    assert b'"height":"7"' in seen[1].content.replace(b" ", b"")


def test_broadcast_sends_base64_and_returns_the_code():
    answer = result({"code": 32, "data": "", "log": "wrong", "codespace": "sdk", "hash": HASH})
    found, seen = ask([answer], lambda client: client.broadcast_tx_sync(b"\x00\xff"))
    assert (found.code, found.codespace, found.log, found.hash) == (32, "sdk", "wrong", HASH)
    assert base64.b64encode(b"\x00\xff") in seen[0].content


def test_null_lists_are_empty():
    answer = result(
        {
            "height": "5",
            "txs_results": None,
            "finalize_block_events": None,
            "validator_updates": None,
            "app_hash": None,
        }
    )
    found, _ = ask([answer], lambda client: client.block_results(5))
    assert (found.tx_results, found.events, found.validator_updates) == ((), (), ())


def test_validator_updates_are_read_in_the_shape_go_writes():
    update = {"pub_key": {"Sum": {"type": "x", "value": {"ed25519": KEY}}}, "power": "3"}
    answer = result(
        {
            "height": "5",
            "txs_results": [{"code": 0, "gas_used": "7"}],
            "finalize_block_events": [
                {"type": "t", "attributes": [{"key": "k", "value": "v", "index": True}]}
            ],
            "validator_updates": [update],
            "app_hash": KEY,
        }
    )
    found, _ = ask([answer], lambda client: client.block_results(5))
    assert found.validator_updates[0].pub_key.ed25519 == b"\x01" * 32
    assert found.validator_updates[0].power == 3
    assert found.tx_results[0].gas_used == 7
    assert found.events[0].attributes[0].value == "v"


def test_error_answers_become_typed_errors():
    missing = {"error": {"code": -32603, "message": "Internal error", "data": "tx (AB) not found"}}
    with pytest.raises(NotFound):
        ask([missing], lambda client: client.tx("AB" * 32))
    other = {"error": {"code": -32603, "message": "Internal error", "data": "height too high"}}
    with pytest.raises(RpcError, match="height too high") as caught:
        ask([other], lambda client: client.block(9))
    assert caught.value.fields["rpc_code"] == -32603


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"result": 5},
        result({}),
        result({"header": {"height": "x"}}),
        result({"header": {**HEADER, "app_hash": "zz"}}),
        httpx2.Response(502, text="<html>bad gateway</html>"),
    ],
)
def test_answers_of_another_shape_are_named_malformed(answer):
    with pytest.raises(MalformedAnswer):
        ask([answer], lambda client: client.header(1))


def test_silent_node_is_unavailable():
    async def run():
        async with CometClient("http://127.0.0.1:1") as client:
            await client.status()

    with pytest.raises(NodeUnavailable, match="check that the node runs"):
        asyncio.run(run())


@pytest.mark.parametrize("url", ["", "http://", "ftp://host:1", "unix:///x"])
def test_bad_rpc_address_is_refused(url):
    with pytest.raises(InvalidEndpoint):
        normalize_rpc_url(url)


def test_rpc_addresses_in_their_usual_forms():
    for url in ("tcp://h:1", "http://h:1/", "h:1"):
        assert normalize_rpc_url(url) == "http://h:1"


def test_duplicate_vote_evidence_is_read():
    vote = {
        "type": 2,
        "height": "3",
        "round": 0,
        "block_id": BLOCK_ID,
        "timestamp": TIME,
        "validator_address": "CD" * 20,
        "validator_index": 4,
        "signature": KEY,
    }
    value = {
        "vote_a": vote,
        "vote_b": vote,
        "TotalVotingPower": "40",
        "ValidatorPower": "10",
        "Timestamp": TIME,
    }
    found = comet_json.parse_evidence(
        {"type": "tendermint/DuplicateVoteEvidence", "value": value}
    ).duplicate_vote_evidence
    assert (found.vote_a.validator_index, found.validator_power) == (4, 10)


def test_transaction_hash_is_asked_in_base64():
    digest = hashlib.sha256(b"tx").digest()
    answer = result(
        {"hash": digest.hex().upper(), "height": "2", "index": 0, "tx": "dHg=", "tx_result": {}}
    )
    found, seen = ask([answer], lambda client: client.tx(digest.hex()))
    assert found.tx == b"tx"
    assert base64.b64encode(digest) in seen[0].content
