"""A real hub validator under hostile clients: it answers each by a code and makes blocks."""

import base64
import json
import os
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


def build_garbage(address):
    """(path, bytes, metadata) of requests that must be refused by a status, never by a crash."""
    balance = bank_query.QueryBalanceRequest(address=address, denom="umargin").SerializeToString()
    nested = b""
    for _ in range(3_000):
        size = len(nested)
        length = b""
        while size >= 0x80:
            length += bytes(((size & 0x7F) | 0x80,))
            size >>= 7
        nested = b"\x0a" + length + bytes((size,)) + nested
    page = pagination_pb2.PageRequest(key=b"\xff" * 500, offset=2**63, limit=2**64 - 1)
    paged = bank_query.QueryAllBalancesRequest(address=address, pagination=page)
    return [
        (BALANCE, b"\xff\xff\xff", ()),
        (BALANCE, b"", ()),
        (BALANCE, balance, (("x-cosmos-block-height", "999999999"),)),
        (BALANCE, balance, (("x-cosmos-block-height", "-1"),)),
        (BALANCE, balance, (("x-cosmos-block-height", "many"),)),
        (BALANCE, balance, (("x-cosmos-block-height", "9" * 40),)),
        (BALANCE, bytes(9 << 20), ()),
        (ALL_BALANCES, paged.SerializeToString(), ()),
        ("/cosmos.bank.v1beta1.Query/Nothing", b"", ()),
        ("/no.such.Service/Method", b"x", ()),
        (SIMULATE, service_pb2.SimulateRequest(tx_bytes=b"\xff" * 50).SerializeToString(), ()),
        (SIMULATE, service_pb2.SimulateRequest(tx_bytes=nested).SerializeToString(), ()),
        (SIMULATE, nested, ()),
        ("/margin.accounts.v1.Query/Margin", b"\x0a\x02no", ()),
        ("/ibc.core.channel.v1.Query/Channel", b"\x0a\x01/\x12\x01/", ()),
    ]


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


def test_hostile_clients_stop_nothing(tmp_path):
    home = Path("/tmp") / f"margin-hostile-{os.getpid()}" if len(str(tmp_path)) > 80 else tmp_path
    node = OneNode(home)
    node.prepare("hub-1", "hub")
    node.start(ensure_cometbft())
    try:
        alice = Keyring(home).open("alice")
        with grpc.insecure_channel(f"127.0.0.1:{node.grpc}") as channel:
            for path, data, metadata in build_garbage(alice.address):
                status, answer = call(channel, path, data, metadata)
                # The SDK gives a refused simulation this status, and relayers look for it.
                allowed = {grpc.StatusCode.UNKNOWN} if path == SIMULATE else set()
                assert status in EXPECTED | allowed, (path, data[:40], metadata, status, answer)
                assert answer, (path, metadata)
                assert b"Traceback" not in answer
            garbage = [
                b"\x00",
                os.urandom(500),
                b"\x00margin.runtime.v1.InjectedCommit\x00" + os.urandom(99),
                b"\x0a\xff\xff\xff\xff\x0f",
                bytes(1_100_000),
            ]
            for raw in garbage:
                request = service_pb2.BroadcastTxRequest(
                    tx_bytes=raw, mode=service_pb2.BROADCAST_MODE_SYNC
                ).SerializeToString()
                status, answer = call(channel, BROADCAST, request)
                if status is grpc.StatusCode.OK:
                    response = service_pb2.BroadcastTxResponse.FromString(answer).tx_response
                    assert response.code > 1, response
                    assert response.codespace
                else:
                    assert status in EXPECTED, (raw[:40], status, answer)
                answered = broadcast_rpc(node, raw)
                assert "error" in answered or answered["result"]["code"] > 1, answered
        height = node.height()
        node.wait_for_height(height + 3)
        with SyncMarginClient.connect(node.url) as client:
            outcome = client.send(alice, BOB.address, Amount.parse("7umargin")).wait()
            assert outcome.height > height
            assert client.balance(BOB.address, "umargin") == 7
        assert all(process.poll() is None for process in node.processes)
    finally:
        codes = node.stop()
    assert codes[0] == 0
    assert "unexpected exception" not in (home / "app.log").read_text()
