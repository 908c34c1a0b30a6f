"""The ABCI 2.0 socket server: CometBFT v0.38 on one side, the application on the other.

CometBFT opens four connections (query, snapshot, mempool, consensus); each gets a thread of its own
and its responses in the order of its requests. A frame is a plain uvarint length and a
tendermint.abci.Request.

What may run at once (`CallLocks`): the consensus calls one after the other; CheckTx beside them, on
the mempool lock, so that it never waits for a block; Commit, InitChain and a restored snapshot
chunk replace the check state and take both; Query, ListSnapshots and LoadSnapshotChunk take none
and read committed versions only; Info takes the mempool lock, so that it never sees half a Commit.
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import structlog
from google.protobuf.message import DecodeError, Message

from chain._pb.tendermint.abci import types_pb2 as abci
from chain.errors import INTERNAL_CODE, INTERNAL_CODESPACE, INTERNAL_TEXT
from chain.node.abci_log import CallLog
from chain.node.abci_wire import (
    GENESIS_BYTES_MAX,
    REQUEST_BYTES_MAX,
    AbciAddress,
    FrameBuffer,
    FrameError,
    encode_response,
)

REQUIRED_COMETBFT: Final = "0.38"
"""The release line of CometBFT this server speaks with."""
REQUIRED_ABCI_MAJOR: Final = "2"

_READ_BYTES = 1 << 18
_WRITE_BYTES = 1 << 16
_ACCEPT_POLL_S = 0.2
_DRAIN_S = 5.0


class AbciApplication(Protocol):
    """The state machine as CometBFT sees it: one method a call, from request to response message.

    An exception from Info, a consensus call or a restored snapshot halts the node; one from
    CheckTx, Query, ListSnapshots or LoadSnapshotChunk is answered with the internal error.
    MemoryError and RecursionError halt the node from any call.
    """

    def info(self, request: abci.RequestInfo) -> abci.ResponseInfo:
        """The last committed height and app hash."""
        ...

    def init_chain(self, request: abci.RequestInitChain) -> abci.ResponseInitChain:
        """The genesis; the answer's app hash is that of the genesis state."""
        ...

    def query(self, request: abci.RequestQuery) -> abci.ResponseQuery:
        """A read of committed state, by gRPC method path or store path with proof."""
        ...

    def check_tx(self, request: abci.RequestCheckTx) -> abci.ResponseCheckTx:
        """Whether a transaction may enter or stay in the mempool."""
        ...

    def prepare_proposal(
        self, request: abci.RequestPrepareProposal
    ) -> abci.ResponsePrepareProposal:
        """The proposer's choice of transactions."""
        ...

    def process_proposal(
        self, request: abci.RequestProcessProposal
    ) -> abci.ResponseProcessProposal:
        """Whether a proposed block may be voted for."""
        ...

    def extend_vote(self, request: abci.RequestExtendVote) -> abci.ResponseExtendVote:
        """The vote extension of this validator."""
        ...

    def verify_vote_extension(
        self, request: abci.RequestVerifyVoteExtension
    ) -> abci.ResponseVerifyVoteExtension:
        """Whether another validator's extension is well formed."""
        ...

    def finalize_block(self, request: abci.RequestFinalizeBlock) -> abci.ResponseFinalizeBlock:
        """Execute a decided block; nothing is durable before commit."""
        ...

    def commit(self, request: abci.RequestCommit) -> abci.ResponseCommit:
        """Make the executed block durable."""
        ...

    def list_snapshots(self, request: abci.RequestListSnapshots) -> abci.ResponseListSnapshots:
        """Snapshots this node can serve."""
        ...

    def offer_snapshot(self, request: abci.RequestOfferSnapshot) -> abci.ResponseOfferSnapshot:
        """Whether to restore from a snapshot."""
        ...

    def load_snapshot_chunk(
        self, request: abci.RequestLoadSnapshotChunk
    ) -> abci.ResponseLoadSnapshotChunk:
        """One chunk of a served snapshot."""
        ...

    def apply_snapshot_chunk(
        self, request: abci.RequestApplySnapshotChunk
    ) -> abci.ResponseApplySnapshotChunk:
        """Restore one chunk."""
        ...


class AbciHalted(RuntimeError):
    """Why the server stopped by itself; its cause is the application's exception, if any."""


class IncompatibleCometBFT(AbciHalted):
    """The CometBFT that connected is of another release line or speaks another ABCI."""


@dataclass(frozen=True, slots=True)
class CallLocks:
    """The two locks of a node; whoever else touches the application's state takes the same ones.

    consensus guards block execution, mempool the check state. Order: consensus before mempool.
    """

    consensus: threading.RLock = field(default_factory=threading.RLock)
    mempool: threading.RLock = field(default_factory=threading.RLock)

    @contextmanager
    def both(self) -> Iterator[None]:
        """Exclude block execution and transaction checks."""
        with self.consensus, self.mempool:
            yield


_CONSENSUS_CALLS = frozenset(
    {
        "prepare_proposal",
        "process_proposal",
        "extend_vote",
        "verify_vote_extension",
        "finalize_block",
        "offer_snapshot",
    }
)
_EXCLUSIVE_CALLS = frozenset({"init_chain", "commit", "apply_snapshot_chunk"})
_MEMPOOL_CALLS = frozenset({"check_tx", "info"})

# Calls whose failure says nothing about consensus: an exception answer would stop CometBFT.
_INTERNAL_ERRORS: Mapping[str, Callable[[], Message]] = {
    "check_tx": lambda: abci.ResponseCheckTx(
        code=INTERNAL_CODE, codespace=INTERNAL_CODESPACE, log=INTERNAL_TEXT
    ),
    "query": lambda: abci.ResponseQuery(
        code=INTERNAL_CODE, codespace=INTERNAL_CODESPACE, log=INTERNAL_TEXT
    ),
    "list_snapshots": abci.ResponseListSnapshots,
    "load_snapshot_chunk": abci.ResponseLoadSnapshotChunk,
}


def validate_versions(request: abci.RequestInfo) -> None:
    """Raises IncompatibleCometBFT unless the Info request is CometBFT 0.38.x with ABCI 2.x."""
    remedy = f"run CometBFT v{REQUIRED_COMETBFT}.x (mlocalnet finds or builds v0.38.26)"
    if request.abci_version.split(".")[0] != REQUIRED_ABCI_MAJOR:
        raise IncompatibleCometBFT(
            f"CometBFT {request.version or '?'} speaks ABCI {request.abci_version or '<1.0'}, "
            f"this node speaks ABCI {REQUIRED_ABCI_MAJOR}.x: {remedy}"
        )
    if not re.match(rf"v?{re.escape(REQUIRED_COMETBFT)}\.\d", request.version):
        raise IncompatibleCometBFT(
            f"CometBFT {request.version or '?'} is not of the {REQUIRED_COMETBFT} line: {remedy}"
        )


class AbciServer:
    """Serves one application to one CometBFT; survives CometBFT's restarts, stops on `stop` or a
    halt.

    >>> server = AbciServer(application, "unix:///tmp/abci.sock")
    >>> server.start()
    >>> server.wait()   # until stop(); raises AbciHalted when the node had to halt
    """

    def __init__(
        self,
        application: AbciApplication,
        address: str,
        *,
        locks: CallLocks | None = None,
        call_log: Path | None = None,
        request_bytes_max: int = REQUEST_BYTES_MAX,
        genesis_bytes_max: int = GENESIS_BYTES_MAX,
        absent_warning_s: float = 15.0,
    ) -> None:
        self.locks = locks or CallLocks()
        self._application = application
        self._address = AbciAddress.parse(address)
        self._call_log_path = call_log
        self._call_log: CallLog | None = None
        self._request_bytes_max = request_bytes_max
        self._genesis_bytes_max = genesis_bytes_max
        self._absent_warning_s = absent_warning_s
        self._log = structlog.get_logger("abci")
        self._listener: socket.socket | None = None
        self._connections: dict[int, tuple[socket.socket, threading.Thread]] = {}
        self._connections_lock = threading.Lock()
        self._connection_count = 0
        self._stopping = threading.Event()
        self._closed = threading.Event()
        self._halt: AbciHalted | None = None

    @property
    def address(self) -> str:
        """The address in use; a TCP port 0 is replaced by the port the system chose."""
        return str(self._address)

    @property
    def connection_count(self) -> int:
        """Connections open now; CometBFT holds four."""
        with self._connections_lock:
            return len(self._connections)

    def start(self) -> None:
        """Listen and serve in background threads; raises OSError when the address cannot be had."""
        self._listener = self._address.listen()
        if self._address.path is None:
            port = self._listener.getsockname()[1]
            self._address = AbciAddress(None, self._address.host, port)
        if self._call_log_path is not None:
            self._call_log = CallLog(self._call_log_path)
        threading.Thread(target=self._accept, name="abci-accept", daemon=True).start()
        self._log.info("listening for CometBFT", address=self.address)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until stopped (True) or the timeout (False); raises AbciHalted after a halt."""
        is_closed = self._closed.wait(timeout_s)
        if is_closed and self._halt is not None:
            raise self._halt
        return is_closed

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stop accepting, let the calls under way finish and answer, close everything."""
        self._end_accepting()
        deadline = time.monotonic() + timeout_s
        with self._connections_lock:
            connections = list(self._connections.values())
        for connection, _ in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)  # Ends the thread's next read, not its answer.
        for _, thread in connections:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._closed.wait(max(_ACCEPT_POLL_S * 2, deadline - time.monotonic()))

    # The accept thread owns the listener and the end of the server's life.

    def _accept(self) -> None:
        assert self._listener is not None
        self._listener.settimeout(_ACCEPT_POLL_S)
        absent_since: float | None = time.monotonic()
        try:
            while not self._stopping.is_set():
                try:
                    connection, _ = self._listener.accept()
                except TimeoutError:
                    absent_since = self._warn_when_absent(absent_since)
                    continue
                except OSError as error:
                    if self._stopping.is_set():
                        break
                    self._log.warning("accept failed", error=str(error))
                    self._stopping.wait(_ACCEPT_POLL_S)
                    continue
                absent_since = None
                self._adopt(connection)
        finally:
            self._listener.close()
            if self._address.path is not None:
                Path(self._address.path).unlink(missing_ok=True)
            self._await_connections()
            if self._call_log is not None:
                self._call_log.close()
            self._closed.set()

    def _warn_when_absent(self, absent_since: float | None) -> float | None:
        """Tell the operator once that no CometBFT is there; answers since when it is absent."""
        if self.connection_count:
            return None
        if absent_since is None:
            self._log.warning("CometBFT closed its connections; waiting for it to come back")
            return time.monotonic()
        if time.monotonic() - absent_since < self._absent_warning_s:
            return absent_since
        self._log.warning(
            "no CometBFT has connected: start `cometbft node` with proxy_app at this address",
            address=self.address,
            required=f"v{REQUIRED_COMETBFT}.x",
        )
        return float("inf")

    def _end_accepting(self) -> None:
        self._stopping.set()
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # Wakes accept at once where it can.

    def _adopt(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._connections_lock:
            self._connection_count += 1
            number = self._connection_count
            thread = threading.Thread(
                target=self._serve, args=(connection, number), name=f"abci-{number}", daemon=True
            )
            self._connections[number] = (connection, thread)
        thread.start()

    def _await_connections(self) -> None:
        with self._connections_lock:
            connections = list(self._connections.values())
        for connection, _ in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        deadline = time.monotonic() + _DRAIN_S
        for _, thread in connections:
            thread.join(max(0.0, deadline - time.monotonic()))

    # One thread a connection.

    def _serve(self, connection: socket.socket, number: int) -> None:
        frames = FrameBuffer(self._request_bytes_max, self._genesis_bytes_max)
        try:
            self._serve_frames(connection, number, frames)
        except (FrameError, DecodeError) as error:
            self._log.error("connection closed: not ABCI 2.0", connection=number, error=str(error))
        except OSError as error:
            self._log.info("connection lost", connection=number, error=str(error))
        except (MemoryError, RecursionError) as error:
            self._fail("decode", error)
        else:
            if not frames.is_empty and not self._stopping.is_set():
                self._log.warning("connection ended inside a request", connection=number)
        finally:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            with self._connections_lock:
                del self._connections[number]

    def _serve_frames(self, connection: socket.socket, number: int, frames: FrameBuffer) -> None:
        """Read, answer in order, write once nothing more is at hand: one write for many answers."""
        space = bytearray(_READ_BYTES)
        view = memoryview(space)
        while count := connection.recv_into(space):
            frames.feed(view[:count])
            answers: list[bytes] = []
            pending_bytes = 0
            while (frame := frames.take()) is not None:
                answer = self._answer(frame, number)
                answers.append(answer)
                pending_bytes += len(answer)
                if self._halt is not None:
                    break
                if pending_bytes > _WRITE_BYTES:
                    connection.sendall(b"".join(answers))
                    answers.clear()
                    pending_bytes = 0
            if answers:
                connection.sendall(b"".join(answers))
            if self._stopping.is_set():
                return

    def _answer(self, frame: bytes, number: int) -> bytes:
        """The response frame of one request frame; sets the halt when there must be one."""
        request = abci.Request.FromString(frame)
        call = request.WhichOneof("value")
        if call is None:
            raise FrameError("a request of no known kind")
        if call == "flush":
            return _FLUSH_FRAME
        if call == "echo":
            return encode_response("echo", abci.ResponseEcho(message=request.echo.message))
        body = getattr(request, call)
        try:
            response, start_ns = self._call(call, body)
            answer = encode_response(call, response)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is judged by the call
            return self._fail(call, error)
        if self._call_log is not None:
            self._call_log.record(call, number, start_ns, body, response)
        return answer

    def _call(self, call: str, request: Message) -> tuple[Message, int]:
        """Run one application call under its locks; (response, monotonic ns when it got them)."""
        handle: Callable[[Message], Message] = getattr(self._application, call)
        if isinstance(request, abci.RequestInfo):
            validate_versions(request)
        with self._get_lock(call):
            start_ns = time.monotonic_ns()
            return handle(request), start_ns

    def _get_lock(self, call: str) -> AbstractContextManager[object]:
        if call in _MEMPOOL_CALLS:
            return self.locks.mempool
        if call in _CONSENSUS_CALLS:
            return self.locks.consensus
        if call in _EXCLUSIVE_CALLS:
            return self.locks.both()
        return nullcontext()

    def _fail(self, call: str, error: Exception) -> bytes:
        """The answer to a call that raised: the internal error, or the exception that halts the
        node.
        """
        is_fatal = isinstance(error, MemoryError | RecursionError)
        if call in _INTERNAL_ERRORS and not is_fatal:
            self._log.error("call failed", call=call, exc_info=error)
            return encode_response(call, _INTERNAL_ERRORS[call]())
        if isinstance(error, IncompatibleCometBFT):
            halt: AbciHalted = error
            self._log.error("refused CometBFT", error=str(error))
        else:
            halt = AbciHalted(f"{call} raised {type(error).__name__}: {error}")
            halt.__cause__ = error
            self._log.error("node halts", call=call, exc_info=error)
        self._halt = self._halt or halt
        self._end_accepting()
        return encode_response("exception", abci.ResponseException(error=str(halt)))


_FLUSH_FRAME = encode_response("flush", abci.ResponseFlush())
