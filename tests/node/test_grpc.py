"""A real gRPC server over a real application in process; CometBFT's RPC is a local HTTP server."""

import base64
import json
import operator
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import pytest
from google.protobuf import descriptor_database, descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from chain._pb.cosmos.bank.v1beta1 import query_pb2 as bank_query
from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.node.v1beta1 import query_pb2 as node_query
from chain._pb.cosmos.base.tendermint.v1beta1 import query_pb2 as comet_query
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.cosmos.staking.v1beta1 import query_pb2 as staking_query
from chain._pb.cosmos.tx.v1beta1 import service_pb2, tx_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.client.amount import Amount
from chain.client.errors import NodeUnavailable, NotFound, QueryRefused, TxRefused, WaitTimeout
from chain.client.sync import SyncMarginClient
from chain.client.transaction import compute_tx_hash
from chain.client.wallet import Wallet
from chain.hub import HUB
from chain.node.comet_services import COMET_ROUTES
from chain.node.grpc import GrpcLimits, GrpcServer
from chain.node.metrics import NodeMetrics
from chain.node.services import NodeFacts, node_module
from chain.node.storage import open_commit_store
from chain.spoke import SPOKE
from tests.support.testchain import TestChain

BALANCE = "/cosmos.bank.v1beta1.Query/Balance"
FACTS = NodeFacts("hub", "0.001umargin", 1000)


def _show_tx(height, index, tx, result):
    return {
        "hash": compute_tx_hash(tx),
        "height": str(height),
        "index": index,
        "tx": base64.b64encode(tx).decode(),
        "tx_result": {
            "code": result.code,
            "codespace": result.codespace,
            "log": result.log,
            "data": base64.b64encode(result.data).decode(),
            "gas_used": str(result.gas_used),
            "gas_wanted": str(result.gas_wanted),
            "events": [],
        },
    }


class CometOverTestChain:
    """The RPC of a CometBFT over a TestChain: each broadcast that passes CheckTx gets a block."""

    def __init__(self, chain):
        self.chain = chain
        self.committed = {}
        self.searches = []
        self.is_committing = True
        self.server = HTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def _handler(self):
        comet = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["content-length"])
                request = json.loads(self.rfile.read(length))
                body = json.dumps(
                    getattr(comet, "rpc_" + request["method"])(request["params"])
                ).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        return Handler

    def rpc_broadcast_tx_sync(self, params):
        tx = base64.b64decode(params["tx"])
        checked = self.chain.check(tx)
        if checked.code == 0 and self.is_committing:
            block = self.chain.next_block([tx])
            self.committed[compute_tx_hash(tx)] = (tx, block.height, block.results[0])
        return {
            "result": {
                "hash": compute_tx_hash(tx),
                "code": checked.code,
                "codespace": checked.codespace,
                "log": checked.log,
                "data": "",
            }
        }

    def rpc_tx(self, params):
        tx_hash = base64.b64decode(params["hash"]).hex().upper()
        if tx_hash not in self.committed:
            return {"error": {"code": -32603, "message": "x", "data": f"tx ({tx_hash}) not found"}}
        tx, height, result = self.committed[tx_hash]
        return {"result": _show_tx(height, 0, tx, result)}

    def rpc_tx_search(self, params):
        """As CometBFT's index: every item of a block by height, those with events by these too."""
        ways = {
            "=": operator.eq, ">=": operator.ge, "<=": operator.le,
            ">": operator.gt, "<": operator.lt,
        }  # fmt: skip
        found = []
        for block in self.chain.blocks:
            for index, (item, result) in enumerate(
                zip(block.items, block.response.tx_results, strict=True)
            ):
                for condition in params["query"].split(" AND "):
                    key, way, value = re.fullmatch(
                        r"([\w.]+)\s*(<=|>=|=|<|>)\s*'?(.*?)'?", condition
                    ).groups()
                    if key == "tx.height":
                        if not ways[way](block.height, int(value)):
                            break
                    elif not any(
                        (f"{event.type}.{attribute.key}", attribute.value) == (key, value)
                        for event in result.events
                        for attribute in event.attributes
                    ):
                        break
                else:
                    found.append((block.height, index, item, result))
        if params["order_by"] == "desc":
            found.reverse()
        page, size = int(params["page"]), int(params["per_page"])
        last = max(1, -(-len(found) // size))
        if not 1 <= page <= last:
            data = f"page should be within [1, {last}] range, given {page}"
            return {"error": {"code": -32603, "message": "Internal error", "data": data}}
        self.searches.append(page)
        return {
            "result": {
                "txs": [_show_tx(*row) for row in found[(page - 1) * size : page * size]],
                "total_count": str(len(found)),
            }
        }

    def rpc_header(self, params):
        hashes = (
            "last_commit", "data", "validators", "next_validators", "consensus", "app",
            "last_results", "evidence",
        )  # fmt: skip
        header = {f"{name}_hash": "" for name in hashes} | {
            "version": {"block": "11"},
            "chain_id": "test-1",
            "height": params["height"],
            "time": "2026-01-01T00:00:00Z",
            "last_block_id": {"hash": "", "parts": {"total": 0, "hash": ""}},
            "proposer_address": "",
        }
        return {"result": {"header": header}}


class Running:
    """A chain, its gRPC server, and ways to ask it."""

    def __init__(self, limits=None, definition=HUB, **fields):
        store = open_commit_store(None, definition.store_names)
        module = node_module(FACTS, store, self.simulate)
        self.chain = TestChain(definition, store=store, modules=[module], **fields)
        self.chain.next_block()
        self.comet = CometOverTestChain(self.chain)
        self.metrics = NodeMetrics("hub")
        self.server = GrpcServer(
            self.chain.app,
            "127.0.0.1:0",
            rpc_url=self.comet.url,
            metrics=self.metrics,
            limits=limits,
        )
        self.server.start()
        self.url = f"grpc+http://127.0.0.1:{self.server.port}"
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{self.server.port}", options=[("grpc.enable_http_proxy", 0)]
        )

    def simulate(self, tx):
        return self.chain.app.simulate(tx)

    def close(self):
        self.channel.close()
        self.server.stop()
        self.comet.close()

    def call(self, path, request, response, height=None, timeout=5):
        method = self.channel.unary_unary(
            path,
            request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
            response_deserializer=response.FromString,
        )
        metadata = [("x-cosmos-block-height", str(height))] if height is not None else []
        return method.with_call(request, metadata=metadata, timeout=timeout)

    def wallet(self, name="alice"):
        return Wallet.from_private_key(self.chain.account(name).key.secret)


@contextmanager
def running(limits=None, **fields):
    node = Running(limits, **fields)
    try:
        yield node
    finally:
        node.close()


@pytest.fixture
def node():
    with running() as started:
        yield started


@pytest.fixture
def client(node):
    with SyncMarginClient.connect(node.url) as connected:
        yield connected


def balance_request(node, denom="umargin"):
    return bank_query.QueryBalanceRequest(address=node.wallet().address, denom=denom)


def test_query_answers_and_says_its_height(node):
    answer, call = node.call(BALANCE, balance_request(node), bank_query.QueryBalanceResponse)
    assert int(answer.balance.amount) == node.chain.balance("alice")
    assert dict(call.initial_metadata())["x-cosmos-block-height"] == "1"


def test_height_header_asks_the_past(node):
    before = node.chain.balance("bob")
    node.chain.must_send(
        bank_tx.MsgSend(
            from_address=node.wallet().address,
            to_address=node.wallet("bob").address,
            amount=[coin_pb2.Coin(denom="umargin", amount="5")],
        )
    )
    request = bank_query.QueryBalanceRequest(address=node.wallet("bob").address, denom="umargin")
    for height, expected in ((1, before), (2, before + 5), (0, before + 5)):
        answer, _ = node.call(BALANCE, request, bank_query.QueryBalanceResponse, height)
        assert int(answer.balance.amount) == expected


@pytest.mark.parametrize(
    ("path", "request_bytes", "height", "status"),
    [
        (BALANCE, b"\xff\xff", None, grpc.StatusCode.INVALID_ARGUMENT),
        (BALANCE, b"", 10**6, grpc.StatusCode.OUT_OF_RANGE),
        (BALANCE, b"", "-1", grpc.StatusCode.INVALID_ARGUMENT),
        (BALANCE, b"", "latest", grpc.StatusCode.INVALID_ARGUMENT),
        ("/cosmos.bank.v1beta1.Query/Nothing", b"", None, grpc.StatusCode.UNIMPLEMENTED),
        ("/cosmos.bank.v1beta1.Msg/Send", b"", None, grpc.StatusCode.UNIMPLEMENTED),
        ("/no.Service/Method", b"", None, grpc.StatusCode.UNIMPLEMENTED),
        ("/cosmos.tx.v1beta1.Service/Simulate", b"\x12\x01x", None, grpc.StatusCode.UNKNOWN),
    ],
)
def test_bad_calls_get_their_status(node, path, request_bytes, height, status):
    with pytest.raises(grpc.RpcError) as caught:
        node.call(path, request_bytes, bank_query.QueryBalanceResponse, height)
    assert caught.value.code() == status


def test_unknown_account_is_not_found(client):
    with pytest.raises(NotFound):
        client.account(Wallet.from_private_key(b"\x07" * 32).address)


def test_message_above_the_limit_is_refused():
    with running(GrpcLimits(request_bytes_max=1000)) as node:
        with pytest.raises(grpc.RpcError) as caught:
            node.call(BALANCE, b"\x0a" * 5000, bank_query.QueryBalanceResponse)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_calls_above_the_concurrency_limit_are_refused():
    with running(GrpcLimits(workers=1, concurrent_calls_max=1)) as node:
        entered, leave = threading.Event(), threading.Event()
        run_query = node.chain.app.run_query

        def slow(path, data, height=0):
            entered.set()
            leave.wait(5)
            return run_query(path, data, height)

        node.chain.app.run_query = slow
        ask = (BALANCE, balance_request(node), bank_query.QueryBalanceResponse)
        first = threading.Thread(target=lambda: node.call(*ask))
        first.start()
        assert entered.wait(5)
        with pytest.raises(grpc.RpcError) as caught:
            node.call(*ask)
        leave.set()
        first.join()
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_bug_in_a_query_is_internal_and_counted(node):
    def broken(*_):
        raise ZeroDivisionError

    node.chain.app.run_query = broken
    with pytest.raises(grpc.RpcError) as caught:
        node.call(BALANCE, b"", bank_query.QueryBalanceResponse)
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert "ZeroDivisionError" not in caught.value.details()
    assert node.metrics.registry.get_sample_value("margin_shell_bugs_total", {"place": "grpc"}) == 1


def test_every_call_is_timed(node):
    node.call(BALANCE, balance_request(node), bank_query.QueryBalanceResponse)
    labels = {"method": BALANCE, "status": "OK"}
    assert node.metrics.registry.get_sample_value("margin_query_seconds_count", labels) == 1


class Reflection:
    """What a client learns from a server alone: its services, and types built from their files."""

    def __init__(self, channel):
        self.stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        self.files = {}

    def ask(self, *requests):
        asked = (reflection_pb2.ServerReflectionRequest(**fields) for fields in requests)
        return list(self.stub.ServerReflectionInfo(asked, timeout=20))

    def list_services(self):
        (listed,) = self.ask({"list_services": ""})
        return [service.name for service in listed.list_services_response.service]

    def describe(self, *symbols):
        """The file of each symbol, remembered with all it imports."""
        described = self.ask(*({"file_containing_symbol": symbol} for symbol in symbols))
        found = [answer.file_descriptor_response.file_descriptor_proto[0] for answer in described]
        missing = self._keep(found)
        while missing:
            answers = self.ask(*({"file_by_filename": name} for name in sorted(missing)))
            missing = self._keep(
                raw for a in answers for raw in a.file_descriptor_response.file_descriptor_proto
            )
        return [descriptor_pb2.FileDescriptorProto.FromString(raw) for raw in found]

    def _keep(self, raws):
        kept = [descriptor_pb2.FileDescriptorProto.FromString(raw) for raw in raws]
        self.files.update((file.name, file) for file in kept)
        return {name for file in kept for name in file.dependency} - set(self.files)

    def build_pool(self):
        database = descriptor_database.DescriptorDatabase()
        for file in self.files.values():
            database.Add(file)
        return descriptor_pool.DescriptorPool(database)


def list_served(definition):
    """(service, the type that one of its methods takes) by the modules of a chain."""
    for module in definition.modules:
        for query in module.queries:
            yield query.path[1:].partition("/")[0], query.request.DESCRIPTOR.full_name
        for route in module.messages:
            name = route.request.DESCRIPTOR.full_name
            yield name.rpartition(".")[0] + ".Msg", name
    for path, route in COMET_ROUTES.items():
        yield path[1:].partition("/")[0], route.request.DESCRIPTOR.full_name


@pytest.mark.parametrize("definition", [HUB, SPOKE], ids=lambda chain: chain.name)
def test_reflection_describes_every_service_and_method_served(definition):
    served = sorted(list_served(definition))
    with running(definition=definition) as node:
        reflection = Reflection(node.channel)
        names = reflection.list_services()
        assert {service for service, _ in served} <= set(names)
        for name, file in zip(names, reflection.describe(*names), strict=True):
            assert name in [f"{file.package}.{service.name}" for service in file.service]
        pool = reflection.build_pool()
        methods = [m for name in names for m in pool.FindServiceByName(name).methods]
        takes = {(m.containing_service.full_name, m.input_type.full_name) for m in methods}
        assert [pair for pair in served if pair not in takes] == []
        assert len(methods) >= len(served)
        described = reflection.describe(*(method.full_name for method in methods))
        for method, file in zip(methods, described, strict=True):
            assert file.name == method.containing_service.file.name


@pytest.mark.parametrize(
    ("definition", "absent"),
    [
        (HUB, {"margin.vault.v1.Query", "margin.venue.v1.Msg"}),
        (SPOKE, {"margin.accounts.v1.Msg", "margin.markets.v1.Query", "margin.oracle.v1.Query"}),
    ],
    ids=["hub", "spoke"],
)
def test_a_chain_lists_no_service_of_the_other_kind(definition, absent):
    with running(definition=definition) as node:
        assert not absent & set(Reflection(node.channel).list_services())


@pytest.mark.parametrize("symbol", ["no.Service", "cosmos.bank.v1beta1.Query.Nothing", "", "."])
def test_reflection_refuses_a_symbol_that_does_not_exist(node, symbol):
    (answer,) = Reflection(node.channel).ask({"file_containing_symbol": symbol})
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_a_client_that_knows_nothing_asks_by_what_reflection_tells(node):
    reflection = Reflection(node.channel)
    reflection.describe("cosmos.bank.v1beta1.Query")
    pool = reflection.build_pool()
    method = pool.FindMethodByName("cosmos.bank.v1beta1.Query.Balance")
    request = message_factory.GetMessageClass(method.input_type)
    response = message_factory.GetMessageClass(method.output_type)
    asked = request(address=node.wallet().address, denom="umargin")
    answer, _ = node.call(BALANCE, asked, response)
    assert int(answer.balance.amount) == node.chain.balance("alice")


def test_node_level_queries(node):
    info, _ = node.call(
        "/cosmos.base.tendermint.v1beta1.Service/GetNodeInfo", b"", comet_query.GetNodeInfoResponse
    )
    assert info.default_node_info.network == "test-1"
    names = [module.path for module in info.application_version.build_deps]
    assert "github.com/cometbft/cometbft" in names
    config, _ = node.call(
        "/cosmos.base.node.v1beta1.Service/Config", b"", node_query.ConfigResponse
    )
    assert config.minimum_gas_price == "0.001umargin"
    status, _ = node.call(
        "/cosmos.base.node.v1beta1.Service/Status", b"", node_query.StatusResponse
    )
    assert (status.height, status.app_hash) == (1, node.chain.store.app_hash)
    params, _ = node.call(
        "/cosmos.staking.v1beta1.Query/Params", b"", staking_query.QueryParamsResponse
    )
    assert params.params.historical_entries > 0
    assert params.params.unbonding_time.seconds > 0


def test_node_level_queries_answer_abci_queries_too(node):
    for path in (
        "/cosmos.base.tendermint.v1beta1.Service/GetNodeInfo",
        "/cosmos.base.node.v1beta1.Service/Config",
        "/cosmos.staking.v1beta1.Query/Params",
        "/cosmos.consensus.v1.Query/Params",
    ):
        answer = node.chain.app.query(abci.RequestQuery(path=path))
        assert (answer.code, answer.height) == (0, 1), path


def test_abci_query_over_grpc_carries_proofs(node):
    request = comet_query.ABCIQueryRequest(path="store/bank/key", data=b"nothing", prove=True)
    answer, _ = node.call(
        "/cosmos.base.tendermint.v1beta1.Service/ABCIQuery", request, comet_query.ABCIQueryResponse
    )
    assert answer.code == 0
    assert [op.type for op in answer.proof_ops.ops] == ["ics23:iavl", "ics23:simple"]


def test_send_commits_and_moves_the_coins(node, client):
    alice, bob = node.wallet(), node.wallet("bob")
    before = client.balance(bob.address, "umargin")
    outcome = client.send(alice, bob.address, Amount.parse("7umargin")).wait()
    assert client.balance(bob.address, "umargin") == before + 7
    assert outcome.height == node.chain.height
    assert [type(r).__name__ for r in outcome.responses] == ["MsgSendResponse"]
    assert 0 < outcome.gas_used <= outcome.gas_wanted


def test_several_transactions_keep_their_sequences(node, client):
    alice, bob = node.wallet(), node.wallet("bob")
    heights = [
        client.send(alice, bob.address, Amount.parse("1umargin")).wait().height for _ in range(3)
    ]
    assert heights == sorted(set(heights))


def test_sequence_taken_elsewhere_is_learnt(node, client):
    alice, bob = node.wallet(), node.wallet("bob")
    client.send(alice, bob.address, Amount.parse("1umargin")).wait()
    with SyncMarginClient.connect(node.url) as other:
        other.send(alice, bob.address, Amount.parse("1umargin")).wait()
    outcome = client.send(alice, bob.address, Amount.parse("1umargin")).wait()
    assert outcome.height == node.chain.height


def test_refusals_carry_rule_and_code(node, client):
    alice, bob = node.wallet(), node.wallet("bob")
    too_much = Amount.parse(f"{10**13}umargin")
    with pytest.raises(QueryRefused, match="insufficient funds"):
        client.send(alice, bob.address, too_much)
    message = bank_tx.MsgSend(
        from_address=alice.address, to_address=bob.address, amount=[too_much.to_coin()]
    )
    pending = client.submit(alice, [message], gas_limit=100_000)
    with pytest.raises(TxRefused) as caught:
        pending.wait()
    assert (caught.value.fields["tx_codespace"], caught.value.fields["tx_code"]) == ("sdk", 5)
    assert caught.value.fields["height"] == node.chain.height


def test_check_refusal_is_raised_at_once(node, client):
    alice = node.wallet()
    message = bank_tx.MsgSend(
        from_address=alice.address,
        to_address=alice.address,
        amount=[coin_pb2.Coin(denom="umargin", amount="1")],
    )
    with pytest.raises(TxRefused) as caught:
        client.submit(alice, [message], gas_limit=100)
    assert caught.value.fields["tx_code"] == 11


def test_transaction_no_block_takes_times_out(node, client):
    node.comet.is_committing = False
    alice = node.wallet()
    pending = client.send(alice, alice.address, Amount.parse("1umargin"))
    with pytest.raises(WaitTimeout):
        pending.wait(timeout_s=0.3)


def test_simulation_changes_nothing(node, client):
    alice, bob = node.wallet(), node.wallet("bob")
    message = bank_tx.MsgSend(
        from_address=alice.address,
        to_address=bob.address,
        amount=[coin_pb2.Coin(denom="umargin", amount="5")],
    )
    before = node.chain.store.app_hash
    assert client.simulate(alice, [message]).gas_used > 0
    assert node.chain.store.app_hash == before


@pytest.mark.parametrize("mode", [service_pb2.BROADCAST_MODE_BLOCK, 0])
def test_other_broadcast_modes_are_refused(node, mode):
    request = service_pb2.BroadcastTxRequest(tx_bytes=b"x", mode=mode)
    with pytest.raises(grpc.RpcError) as caught:
        node.call(
            "/cosmos.tx.v1beta1.Service/BroadcastTx", request, service_pb2.BroadcastTxResponse
        )
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_tx_decodes_and_encodes_to_the_same_bytes(node):
    raw = node.chain.draft([bank_tx.MsgSend(from_address="a", to_address="b")]).build()
    decoded, _ = node.call(
        "/cosmos.tx.v1beta1.Service/TxDecode",
        service_pb2.TxDecodeRequest(tx_bytes=raw),
        service_pb2.TxDecodeResponse,
    )
    encoded, _ = node.call(
        "/cosmos.tx.v1beta1.Service/TxEncode",
        service_pb2.TxEncodeRequest(tx=decoded.tx),
        service_pb2.TxEncodeResponse,
    )
    assert encoded.tx_bytes == raw
    assert tx_pb2.TxRaw.FromString(raw).signatures == decoded.tx.signatures


def test_absent_cometbft_is_unavailable(node, client):
    node.comet.close()
    with pytest.raises(NodeUnavailable):
        client.get_tx("AB" * 32)
