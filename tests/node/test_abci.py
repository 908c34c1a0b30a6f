"""The ABCI server over real sockets of both kinds."""

import socket
import threading
import time
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from chain._pb.tendermint.abci import types_pb2 as abci
from chain.node.abci import AbciHalted, AbciServer, CallLocks, IncompatibleCometBFT
from chain.node.abci_wire import (
    AbciAddress,
    FrameBuffer,
    FrameError,
    encode_response,
    encode_uvarint,
)
from tests.support.abci_grammar import check_call_log, read_call_log
from tests.support.kvstore_app import KvStore

INFO = abci.Request(info=abci.RequestInfo(version="0.38.26", abci_version="2.0.0"))
FLUSH = abci.Request(flush=abci.RequestFlush())


def echo(text):
    return abci.Request(echo=abci.RequestEcho(message=text))


def check_tx(tx):
    return abci.Request(check_tx=abci.RequestCheckTx(tx=tx))


def frame(request):
    data = request.SerializeToString()
    return encode_uvarint(len(data)) + data


class Client:
    """One connection as CometBFT makes it."""

    def __init__(self, address):
        parsed = AbciAddress.parse(address)
        if parsed.path is not None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(parsed.path)
        else:
            self.socket = socket.create_connection((parsed.host, parsed.port))
        self.socket.settimeout(5)
        self.buffer = FrameBuffer()

    def send(self, *requests):
        self.socket.sendall(b"".join(frame(r) for r in requests))

    def receive(self):
        while (data := self.buffer.take()) is None:
            received = self.socket.recv(65536)
            if not received:
                raise EOFError
            self.buffer.feed(received)
        return abci.Response.FromString(data)

    def ask(self, request):
        self.send(request)
        return self.receive()


@pytest.fixture(params=["unix", "tcp"])
def address(request, tmp_path):
    return f"unix://{tmp_path}/abci.sock" if request.param == "unix" else "tcp://127.0.0.1:0"


@pytest.fixture
def serve(address):
    """Starts servers of an application and stops them; gives (server, connect)."""
    servers = []
    clients = []

    def start(application=None, **options):
        server = AbciServer(application or KvStore(), address, **options)
        server.start()
        servers.append(server)

        def connect():
            clients.append(Client(server.address))
            return clients[-1]

        return server, connect

    yield start
    for client in clients:
        client.socket.close()
    for server in servers:
        server.stop(2)


def test_calls_reach_the_application_and_answers_keep_their_kind(serve):
    _, connect = serve()
    client = connect()
    assert client.ask(INFO).info.data == "kvstore"
    genesis = abci.Request(init_chain=abci.RequestInitChain(app_state_bytes=b'{"a":"1"}'))
    app_hash = client.ask(genesis).init_chain.app_hash
    assert len(app_hash) == 32
    block = abci.Request(finalize_block=abci.RequestFinalizeBlock(height=1, txs=[b"b=2"]))
    finalized = client.ask(block).finalize_block
    assert len(finalized.tx_results) == 1
    assert finalized.app_hash != app_hash
    assert client.ask(abci.Request(commit=abci.RequestCommit())).WhichOneof("value") == "commit"
    found = client.ask(abci.Request(query=abci.RequestQuery(data=b"b"))).query
    assert (found.value, found.height) == (b"2", 1)
    assert client.ask(INFO).info.last_block_app_hash == finalized.app_hash


def test_every_call_of_abci_2_is_answered_by_its_response(serve):
    _, connect = serve()
    client = connect()
    calls = [f.name for f in abci.Request.DESCRIPTOR.oneofs_by_name["value"].fields]
    assert len(calls) == 16
    for call in calls:
        request = abci.Request()
        getattr(request, call).SetInParent()
        if call == "info":
            request = INFO
        if call == "commit":
            client.ask(abci.Request(finalize_block=abci.RequestFinalizeBlock(height=1)))
        assert client.ask(request).WhichOneof("value") == call


def test_pipelined_requests_are_answered_in_order(serve):
    _, connect = serve()
    client = connect()
    texts = [f"{number}" * (number % 50) for number in range(3000)]
    sender = threading.Thread(target=client.send, args=[*(echo(t) for t in texts), FLUSH])
    sender.start()
    assert [client.receive().echo.message for _ in texts] == texts
    assert client.receive().WhichOneof("value") == "flush"
    sender.join()


def test_frames_split_at_every_byte(serve):
    _, connect = serve()
    client = connect()
    data = frame(echo("x" * 200)) + frame(check_tx(b"a=1"))
    for index in range(len(data)):
        client.socket.sendall(data[index : index + 1])
        time.sleep(0.0002)
    assert client.receive().echo.message == "x" * 200
    assert client.receive().check_tx.code == 0


def test_a_large_request_passes(serve):
    _, connect = serve()
    client = connect()
    tx = b"k=" + b"v" * (5 << 20)
    sender = threading.Thread(
        target=client.send,
        args=[abci.Request(finalize_block=abci.RequestFinalizeBlock(height=1, txs=[tx]))],
    )
    sender.start()
    assert len(client.receive().finalize_block.app_hash) == 32
    sender.join()


def test_an_oversized_frame_closes_its_connection_alone(serve):
    _, connect = serve(request_bytes_max=1000)
    other, client = connect(), connect()
    client.socket.sendall(encode_uvarint(1001) + b"\x12")
    with pytest.raises((EOFError, ConnectionResetError)):
        client.receive()
    assert other.ask(echo("alive")).echo.message == "alive"


def test_genesis_has_a_limit_of_its_own(serve):
    _, connect = serve(request_bytes_max=1000, genesis_bytes_max=3000)
    state = b'{"k":"' + b"v" * 1500 + b'"}'
    genesis = abci.Request(init_chain=abci.RequestInitChain(app_state_bytes=state))
    genesis.init_chain.ClearField("chain_id")
    assert len(connect().ask(genesis).init_chain.app_hash) == 32


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff\xff\xff\x01",  # a length of seven bytes
        encode_uvarint(4) + b"\xff\xff\xff\xff",  # not protobuf
        encode_uvarint(2) + b"\x22\x00",  # SetOption of ABCI 0.17
        encode_uvarint(0),  # no call at all
    ],
)
def test_bytes_that_are_not_abci_close_their_connection_alone(serve, data):
    _, connect = serve()
    other, client = connect(), connect()
    client.socket.sendall(data)
    with pytest.raises((EOFError, ConnectionResetError)):
        client.receive()
    assert other.ask(echo("alive")).echo.message == "alive"


def test_a_connection_cut_inside_a_frame_leaves_the_server_alive(serve):
    server, connect = serve()
    client = connect()
    client.socket.sendall(frame(echo("x" * 100))[:50])
    client.socket.close()
    assert connect().ask(echo("alive")).echo.message == "alive"
    deadline = time.monotonic() + 5
    while server.connection_count != 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_failing_check_and_query_answer_the_internal_error(serve):
    _, connect = serve()
    client = connect()
    checked = client.ask(check_tx(b"boom=check_tx")).check_tx
    assert (checked.code, checked.codespace, checked.log) == (1, "sdk", "internal error")
    asked = client.ask(abci.Request(query=abci.RequestQuery(path="/boom"))).query
    assert (asked.code, asked.codespace) == (1, "sdk")
    assert client.ask(check_tx(b"a=1")).check_tx.code == 0


def test_a_failing_block_answers_an_exception_and_halts(serve):
    server, connect = serve()
    bystander, client = connect(), connect()
    assert bystander.ask(echo("there")).echo.message == "there"
    block = abci.RequestFinalizeBlock(height=1, txs=[b"boom=finalize_block"])
    answer = client.ask(abci.Request(finalize_block=block))
    assert answer.exception.error == "finalize_block raised RuntimeError: a block that fails"
    with pytest.raises(AbciHalted) as halted:
        server.wait(5)
    assert isinstance(halted.value.__cause__, RuntimeError)
    with pytest.raises((EOFError, ConnectionResetError)):
        bystander.receive()


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
@pytest.mark.parametrize("call", ["check_tx", "query"])
def test_exhaustion_halts_from_any_call(serve, error, call):
    class Exhausted(KvStore):
        def fail(self, _request):
            raise error("exhausted")

        check_tx = query = fail

    server, connect = serve(Exhausted())
    request = abci.Request()
    getattr(request, call).SetInParent()
    assert "exhausted" in connect().ask(request).exception.error
    with pytest.raises(AbciHalted):
        server.wait(5)


@pytest.mark.parametrize(
    ("version", "abci_version", "named"),
    [
        ("0.37.15", "1.0.0", "ABCI 1.0.0"),
        ("0.34.24", "", "ABCI <1.0"),
        ("1.0.1", "2.2.0", "1.0.1 is not of the 0.38 line"),
        ("0.380.1", "2.0.0", "0.380.1"),
    ],
)
def test_another_cometbft_is_refused_with_a_remedy(serve, version, abci_version, named):
    server, connect = serve()
    info = abci.RequestInfo(version=version, abci_version=abci_version)
    answer = connect().ask(abci.Request(info=info))
    assert named in answer.exception.error
    assert "run CometBFT v0.38.x" in answer.exception.error
    with pytest.raises(IncompatibleCometBFT):
        server.wait(5)


@pytest.mark.parametrize("version", ["0.38.26", "v0.38.26", "0.38.21-abcdef"])
def test_the_release_line_is_accepted(serve, version):
    _, connect = serve()
    info = abci.RequestInfo(version=version, abci_version="2.0.0")
    assert connect().ask(abci.Request(info=info)).info.data == "kvstore"


class SlowBlock(KvStore):
    """Executes a block until told to go on."""

    def __init__(self):
        super().__init__()
        self.executing = threading.Event()
        self.go_on = threading.Event()

    def finalize_block(self, request):
        self.executing.set()
        assert self.go_on.wait(10)
        return super().finalize_block(request)


def test_checks_queries_and_info_do_not_wait_for_a_block(serve):
    application = SlowBlock()
    _, connect = serve(application)
    consensus, mempool, query = connect(), connect(), connect()
    consensus.send(abci.Request(finalize_block=abci.RequestFinalizeBlock(height=1)))
    assert application.executing.wait(5)
    assert mempool.ask(check_tx(b"a=1")).check_tx.code == 0
    assert query.ask(abci.Request(query=abci.RequestQuery(data=b"a"))).query.height == 0
    assert query.ask(INFO).info.last_block_height == 0
    application.go_on.set()
    assert consensus.receive().WhichOneof("value") == "finalize_block"


def test_commit_and_checks_exclude_each_other(serve):
    locks = CallLocks()
    _, connect = serve(locks=locks)
    consensus, mempool = connect(), connect()
    consensus.ask(abci.Request(finalize_block=abci.RequestFinalizeBlock(height=1)))
    with locks.mempool:
        consensus.send(abci.Request(commit=abci.RequestCommit()))
        consensus.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            consensus.receive()
    consensus.socket.settimeout(5)
    assert consensus.receive().WhichOneof("value") == "commit"
    assert mempool.ask(check_tx(b"a=1")).check_tx.code == 0


def test_stop_lets_the_call_under_way_answer(serve):
    application = SlowBlock()
    server, connect = serve(application)
    client = connect()
    client.send(abci.Request(finalize_block=abci.RequestFinalizeBlock(height=1)))
    assert application.executing.wait(5)
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    time.sleep(0.05)
    application.go_on.set()
    assert client.receive().WhichOneof("value") == "finalize_block"
    stopper.join(5)
    assert server.wait(5)
    with pytest.raises(OSError, match=r".*"):
        connect()


def test_a_second_server_refuses_the_address_and_a_dead_socket_file_does_not(tmp_path):
    address = f"unix://{tmp_path}/abci.sock"
    first = AbciServer(KvStore(), address)
    first.start()
    try:
        with pytest.raises(OSError, match=r"set (another )?\[abci\] address"):
            AbciServer(KvStore(), address).start()
    finally:
        first.stop(2)
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "abci.sock"))
    dead.close()
    second = AbciServer(KvStore(), address)
    second.start()
    second.stop(2)
    assert not Path(tmp_path / "abci.sock").exists()


@pytest.mark.parametrize(
    "text", ["", "unix://relative", "tcp://host", "tcp://h:99999", "grpc://a:1"]
)
def test_addresses_are_refused_with_the_accepted_forms(text):
    with pytest.raises(ValueError, match="neither unix:///absolute/path nor tcp://host:port"):
        AbciAddress.parse(text)


def test_the_operator_is_told_that_no_cometbft_is_there(serve):
    with capture_logs() as logs:
        _, connect = serve(absent_warning_s=0.1)
        wait_for_log(logs, "no CometBFT has connected")
        client = connect()
        assert client.ask(INFO).info.data == "kvstore"
        client.socket.close()
        wait_for_log(logs, "CometBFT closed its connections")
    assert [e["required"] for e in logs if "required" in e] == ["v0.38.x"]


def wait_for_log(logs, text):
    deadline = time.monotonic() + 5
    while not any(text in entry["event"] for entry in logs):
        assert time.monotonic() < deadline, logs
        time.sleep(0.02)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=40), max_size=5), st.booleans())
def test_no_bytes_take_the_server_down(anvil, contents, is_framed):
    data = b"".join((encode_uvarint(len(c)) if is_framed else b"") + c for c in contents)
    assume(not has_handshake(data))  # One of another CometBFT halts the node on purpose.
    client = Client(anvil.address)
    client.socket.sendall(data)
    client.socket.close()
    survivor = Client(anvil.address)
    assert survivor.ask(echo("alive")).echo.message == "alive"
    survivor.socket.close()


def has_handshake(data):
    buffer = FrameBuffer()
    buffer.feed(data)
    try:
        while (content := buffer.take()) is not None:
            if abci.Request.FromString(content).WhichOneof("value") == "info":
                return True
    except (FrameError, DecodeError):
        pass
    return False


@pytest.fixture(scope="module")
def anvil(tmp_path_factory):
    """A server whose application answers nothing but refuses nothing either."""

    class Tolerant(KvStore):
        def answer(self, _request):
            raise NotImplementedError

        check_tx = query = list_snapshots = load_snapshot_chunk = answer

        def __getattribute__(self, name):
            kinds = {
                "info": abci.ResponseInfo,
                "init_chain": abci.ResponseInitChain,
                "prepare_proposal": abci.ResponsePrepareProposal,
                "process_proposal": abci.ResponseProcessProposal,
                "extend_vote": abci.ResponseExtendVote,
                "verify_vote_extension": abci.ResponseVerifyVoteExtension,
                "finalize_block": abci.ResponseFinalizeBlock,
                "commit": abci.ResponseCommit,
            }
            if name in kinds:
                return lambda _request: kinds[name]()
            return super().__getattribute__(name)

    server = AbciServer(Tolerant(), f"unix://{tmp_path_factory.mktemp('anvil')}/abci.sock")
    server.start()
    yield server
    server.stop(2)


def test_the_call_log_satisfies_the_grammar(serve, tmp_path):
    log = tmp_path / "calls.jsonl"
    server, connect = serve(call_log=log)
    client = connect()
    client.ask(INFO)
    client.ask(abci.Request(init_chain=abci.RequestInitChain()))
    for height in (1, 2):
        block = abci.RequestFinalizeBlock(height=height, hash=bytes([height]), txs=[b"a=1"])
        client.ask(abci.Request(finalize_block=block))
        client.ask(abci.Request(commit=abci.RequestCommit()))
    client.ask(INFO)
    server.stop(2)
    entries = read_call_log(log)
    assert [e["call"] for e in entries] == [
        "start", "info", "init_chain", *["finalize_block", "commit"] * 2, "info",
    ]  # fmt: skip
    assert check_call_log(entries) == []
    assert entries[-1]["height"] == 2


# Framing alone.


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 50))
def test_any_cut_of_the_stream_gives_the_same_frames(contents, size):
    stream = b"".join(encode_uvarint(len(c)) + c for c in contents)
    buffer = FrameBuffer()
    found = []
    for index in range(0, len(stream), size):
        buffer.feed(stream[index : index + size])
        while (content := buffer.take()) is not None:
            found.append(content)
    assert found == contents
    assert buffer.is_empty


def test_the_limit_is_exact_and_judged_on_the_length_alone():
    buffer = FrameBuffer(request_bytes_max=10)
    buffer.feed(encode_uvarint(10) + b"x" * 10)
    assert buffer.take() == b"x" * 10
    buffer.feed(encode_uvarint(11) + b"x")
    with pytest.raises(FrameError, match="11 bytes exceeds the limit of 10"):
        buffer.take()


@pytest.mark.parametrize("call", [f.name for f in abci.Response.DESCRIPTOR.fields])
def test_a_response_frame_is_the_protobuf_encoding(call):
    response = abci.Response()
    body = getattr(response, call)
    body.SetInParent()
    if call == "query":
        body.value = b"x" * 1000
    data = response.SerializeToString()
    assert encode_response(call, body) == encode_uvarint(len(data)) + data
