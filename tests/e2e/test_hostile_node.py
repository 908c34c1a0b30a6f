"""A real hub validator under hostile clients: it answers each by a code and makes blocks."""

import base64
import json
import os
import random
import urllib.request
from pathlib import Path

import grpc
import pytest

from chain._pb.cosmos.bank.v1beta1 import query_pb2 as bank_query
from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.cosmos.tx.v1beta1 import service_pb2
from chain.client.amount import Amount
from chain.client.sync import SyncMarginClient
from chain.client.wallet import Keyring
from localnet.cometbft import ensure_cometbft
from tests.e2e.test_node_commands import BOB, OneNode

pytestmark = pytest.mark.e2e

BALANCE = "/cosmos.bank.v1beta1.Query/Balance"
ALL_BALANCES = "/cosmos.bank.v1beta1.Query/AllBalances"
BROADCAST = "/cosmos.tx.v1beta1.Service/BroadcastTx"
SEARCH = "/cosmos.tx.v1beta1.Service/GetTxsEvent"
HEIGHT = "x-cosmos-block-height"
SIMULATE = "/cosmos.tx.v1beta1.Service/Simulate"
EXPECTED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.FAILED_PRECONDITION,
}


def call(channel, path, data, metadata=()):
    """The status of a raw unary call and its answer's bytes."""
    method = channel.unary_unary(path)
    try:
        return grpc.StatusCode.OK, method(data, metadata=metadata, timeout=20)
    except grpc.RpcError as error:
        return error.code(), error.details().encode()


def nest(levels):
    """A message inside a message, so many times."""
    nested = b""
    for _ in range(levels):
        size = len(nested)
        length = b""
        while size >= 0x80:
            length += bytes(((size & 0x7F) | 0x80,))
            size >>= 7
        nested = b"\x0a" + length + bytes((size,)) + nested
    return nested


def ask_balance():
    return bank_query.QueryBalanceRequest(address=BOB.address, denom="umargin").SerializeToString()


def ask_page(**fields):
    page = pagination_pb2.PageRequest(**fields)
    request = bank_query.QueryAllBalancesRequest(address=BOB.address, pagination=page)
    return request.SerializeToString()


def ask_search(query, **fields):
    return service_pb2.GetTxsEventRequest(query=query, **fields).SerializeToString()


def ask_simulation(raw):
    return service_pb2.SimulateRequest(tx_bytes=raw).SerializeToString()


REQUESTS = {
    "bytes that do not decode": (BALANCE, b"\xff\xff\xff", ()),
    "no field": (BALANCE, b"", ()),
    "a height to come": (BALANCE, ask_balance(), ((HEIGHT, "999999999"),)),
    "a height below zero": (BALANCE, ask_balance(), ((HEIGHT, "-1"),)),
    "a height in words": (BALANCE, ask_balance(), ((HEIGHT, "many"),)),
    "a height of 40 digits": (BALANCE, ask_balance(), ((HEIGHT, "9" * 40),)),
    "9 MiB": (BALANCE, bytes(9 << 20), ()),
    "key and offset": (ALL_BALANCES, ask_page(key=b"\xff" * 500, offset=2**63), ()),
    "a page far away": (ALL_BALANCES, ask_page(offset=2**64 - 1, limit=2**64 - 1), ()),
    "a search far away": (SEARCH, ask_search("tx.height>0", page=2**64 - 1, limit=9), ()),
    "a search that does not parse": (SEARCH, ask_search("tx.height='=<"), ()),
    "no such method": ("/cosmos.bank.v1beta1.Query/Nothing", b"", ()),
    "no such service": ("/no.such.Service/Method", b"x", ()),
    "a service of the other kind": ("/margin.vault.v1.Query/Vault", b"", ()),
    "a message as a query": ("/cosmos.bank.v1beta1.Msg/Send", b"", ()),
    "a simulation of garbage": (SIMULATE, ask_simulation(b"\xff" * 50), ()),
    "a simulation of 3,000 levels": (SIMULATE, ask_simulation(nest(3_000)), ()),
    "3,000 levels": (SIMULATE, nest(3_000), ()),
    "an account that is no address": ("/margin.accounts.v1.Query/Margin", b"\x0a\x02no", ()),
    "slashes in names": ("/ibc.core.channel.v1.Query/Channel", b"\x0a\x01/\x12\x01/", ()),
}
"""(path, bytes, metadata) of requests that must be refused by a status, never by a crash."""
TRANSACTIONS = {
    "one byte": b"\x00",
    "500 bytes of noise": random.Random(1).randbytes(500),
    "votes that are none": b"\x00margin.runtime.v1.InjectedCommit\x00" + bytes(range(99)),
    "a length beyond the end": b"\x0a\xff\xff\xff\xff\x0f",
    "above 1 MiB": bytes(1_100_000),
}


def broadcast_rpc(node, raw):
    """CometBFT's own broadcast_tx_sync of any bytes: the result or the error it gives."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "broadcast_tx_sync",
        "params": {"tx": base64.b64encode(raw).decode()},
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{node.rpc}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return {"error": error.read().decode(errors="replace")}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A validator that must end as it began, without an exception nobody expected."""
    home = tmp_path_factory.mktemp("hostile")
    if len(str(home)) > 80:  # A socket's path is short.
        home = Path("/tmp") / f"margin-hostile-{os.getpid()}"
    started = OneNode(home)
    started.prepare("hub-1", "hub")
    started.start(ensure_cometbft())
    yield started
    codes = started.stop()
    assert codes[0] == 0
    assert "unexpected exception" not in (home / "app.log").read_text()


@pytest.fixture(scope="module")
def channel(node):
    with grpc.insecure_channel(f"127.0.0.1:{node.grpc}") as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "data", "metadata"),
    REQUESTS.values(),
    ids=[name.replace(" ", "-") for name in REQUESTS],
)
def test_a_hostile_request_gets_a_status(channel, path, data, metadata):
    status, answer = call(channel, path, data, metadata)
    # The SDK gives a refused simulation this status, and relayers look for it.
    allowed = {grpc.StatusCode.UNKNOWN} if path == SIMULATE else set()
    assert status in EXPECTED | allowed, (status, answer)
    assert answer
    assert b"Traceback" not in answer


@pytest.mark.parametrize("raw", TRANSACTIONS.values(), ids=TRANSACTIONS)
def test_a_hostile_transaction_gets_a_code(node, channel, raw):
    request = service_pb2.BroadcastTxRequest(tx_bytes=raw, mode=service_pb2.BROADCAST_MODE_SYNC)
    status, answer = call(channel, BROADCAST, request.SerializeToString())
    if status is grpc.StatusCode.OK:
        response = service_pb2.BroadcastTxResponse.FromString(answer).tx_response
        assert response.code > 1, response
        assert response.codespace
    else:
        assert status in EXPECTED, (status, answer)
    answered = broadcast_rpc(node, raw)
    assert "error" in answered or answered["result"]["code"] > 1, answered


def test_hostile_clients_stop_nothing(node):
    height = node.height()
    node.wait_for_height(height + 3)
    alice = Keyring(node.home).open("alice")
    with SyncMarginClient.connect(node.url) as client:
        outcome = client.send(alice, BOB.address, Amount.parse("7umargin")).wait()
        assert outcome.height > height
        assert client.balance(BOB.address, "umargin") == 7
    assert all(process.poll() is None for process in node.processes)
