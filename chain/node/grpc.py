"""The gRPC server of a node: every query of the application, generically, and the tx service.

Methods are found by path and move bytes, so a new module needs no line here. Queries share the
interpreter with consensus, hence the limits: few threads, a bound on calls under way and on message
sizes, and calls whose deadline has passed are dropped unstarted.
"""

import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc
import structlog
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection

from chain._pb.cosmos.base.tendermint.v1beta1 import query_pb2 as comet_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.client.blocking import LoopThread
from chain.client.comet import CometClient
from chain.client.errors import NodeUnavailable
from chain.client.errors import NotFound as NotCommitted
from chain.client.grpc_channel import HEIGHT_HEADER
from chain.client.registry import load_files
from chain.errors import INTERNAL_TEXT, ChainError
from chain.node.comet_services import COMET_ROUTES
from chain.node.metrics import NodeMetrics
from chain.node.services import SIMULATE_PATH
from chain.runtime.commit_store import HeightNotAvailable
from chain.runtime.errors import InvalidHeight, NotFound, UnknownRequest
from chain.runtime.router import Router

_HEIGHT = re.compile(r"[0-9]{1,18}")
_PATH = re.compile(r"/[A-Za-z0-9_.]{1,200}/[A-Za-z0-9_]{1,100}")
ABCI_QUERY_PATH: Final = "/cosmos.base.tendermint.v1beta1.Service/ABCIQuery"


class QueryApplication(Protocol):
    """What the server asks of the application."""

    @property
    def router(self) -> Router:
        """The queries and messages that the chain serves."""
        ...

    def run_query(self, path: str, data: bytes, height: int) -> tuple[bytes, int]:
        """The encoded response of a query method, and the height of the state it read."""
        ...

    def query(self, request: abci.RequestQuery) -> abci.ResponseQuery:
        """An ABCI query."""
        ...


@dataclass(frozen=True, slots=True)
class GrpcLimits:
    """Bounds that keep queries from starving consensus."""

    workers: int = 4
    concurrent_calls_max: int = 64
    request_bytes_max: int = 2 << 20
    response_bytes_max: int = 32 << 20
    call_s_max: float = 10.0


class _Failure(Exception):
    """How a call ends without a response."""

    def __init__(self, status: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class GrpcServer:
    """Serves one application on one address; start() binds, stop() drains and ends.

    >>> server = GrpcServer(application, "127.0.0.1:9090", rpc_url="http://127.0.0.1:26657")
    >>> server.start()
    >>> server.stop()
    """

    def __init__(
        self,
        application: QueryApplication,
        address: str,
        *,
        rpc_url: str,
        metrics: NodeMetrics | None = None,
        limits: GrpcLimits | None = None,
    ) -> None:
        self.limits = limits or GrpcLimits()
        self._application = application
        self._address = address
        self._metrics = metrics
        self._log = structlog.get_logger("grpc")
        self._loop = LoopThread("grpc-rpc")
        self._rpc = CometClient(rpc_url, timeout_s=self.limits.call_s_max)
        self._server = grpc.server(
            ThreadPoolExecutor(self.limits.workers, thread_name_prefix="grpc"),
            handlers=[_MethodRouter(self, frozenset(list_paths(application.router)))],
            maximum_concurrent_rpcs=self.limits.concurrent_calls_max,
            options=[
                ("grpc.max_receive_message_length", self.limits.request_bytes_max),
                ("grpc.max_send_message_length", self.limits.response_bytes_max),
                ("grpc.so_reuseport", 0),
            ],
        )
        self._port = 0
        self._stopped = threading.Event()

    @property
    def port(self) -> int:
        """The port in use; a port 0 in the address is replaced by one the system chose."""
        return self._port

    def start(self) -> None:
        """Bind and serve in background threads; raises RuntimeError when the port is taken."""
        reflection.enable_server_reflection(
            [*list_services(self._application.router), reflection.SERVICE_NAME],
            self._server,
            _DescribedPool(),
        )
        self._port = self._server.add_insecure_port(self._address)
        self._server.start()
        self._log.info("gRPC listening", address=self._address, port=self._port)

    def stop(self, grace_s: float = 2.0) -> None:
        """Refuse new calls, let those under way end within the grace, then close."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._server.stop(grace_s).wait(grace_s + 1)
        self._loop.run(self._rpc.aclose())
        self._loop.close()

    def answer(self, path: str, data: bytes, context: grpc.ServicerContext) -> bytes:
        """The response bytes of one call; ends the call with a status when there is none."""
        start = time.perf_counter()
        if self._metrics:
            self._metrics.queries_in_progress.inc()
        status = grpc.StatusCode.OK
        try:
            return self._answer(path, data, context)
        except _Failure as failure:
            status, text = failure.status, failure.text
        except Exception:  # noqa: BLE001 - a bug in one query must not end the server
            self._log.exception("bug in a query", path=path)
            if self._metrics:
                self._metrics.bugs.labels("grpc").inc()
            status, text = grpc.StatusCode.INTERNAL, INTERNAL_TEXT
        finally:
            if self._metrics:
                self._metrics.queries_in_progress.dec()
                self._metrics.query_seconds.labels(path, status.name).observe(
                    time.perf_counter() - start
                )
        context.abort(status, text)
        raise AssertionError("abort raises")

    def _answer(self, path: str, data: bytes, context: grpc.ServicerContext) -> bytes:
        remaining_s = context.time_remaining()
        if remaining_s is not None and remaining_s <= 0:
            raise _Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed in the queue")
        height = _read_height(context)
        try:
            if path in COMET_ROUTES:
                return self._ask_comet(path, data)
            if path == ABCI_QUERY_PATH:
                return self._abci_query(data)
            response, answered = self._application.run_query(path, data, height)
        except (ChainError, DecodeError) as error:
            status, text = translate_error(error)
            if path == SIMULATE_PATH:
                # Relayers match the text of a refusal and expect the status the SDK gives it.
                status = grpc.StatusCode.UNKNOWN
            raise _Failure(status, text) from error
        context.send_initial_metadata(((HEIGHT_HEADER, str(answered)),))
        return response

    def _ask_comet(self, path: str, data: bytes) -> bytes:
        route = COMET_ROUTES[path]
        request = route.request.FromString(data)
        handler: Callable[[CometClient, Any], Any] = route.handler
        try:
            response = self._loop.run(handler(self._rpc, request), self.limits.call_s_max)
        except TimeoutError as error:
            raise _Failure(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"CometBFT did not answer within {self.limits.call_s_max:g} s",
            ) from error
        encoded: bytes = response.SerializeToString()
        return encoded

    def _abci_query(self, data: bytes) -> bytes:
        request = comet_pb2.ABCIQueryRequest.FromString(data)
        answer = self._application.query(
            abci.RequestQuery(
                data=request.data, path=request.path, height=request.height, prove=request.prove
            )
        )
        response = comet_pb2.ABCIQueryResponse.FromString(answer.SerializeToString())
        return response.SerializeToString()


class _MethodRouter(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Finds the handler of any unary method by its path; bytes go in and out undecoded."""

    def __init__(self, server: GrpcServer, paths: frozenset[str]) -> None:
        self._server = server
        self._paths = paths

    def service(self, handler_call_details: Any) -> Any:
        """The handler, or None (UNIMPLEMENTED) for a path that the chain does not serve."""
        path = handler_call_details.method
        if not _PATH.fullmatch(path) or path not in self._paths:
            return None
        return grpc.unary_unary_rpc_method_handler(
            lambda data, context: self._server.answer(path, data, context)
        )


class _DescribedPool:
    """The descriptors that reflection reads: protobuf's pool, which finds no method by its name."""

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> Any:  # noqa: N802 - protobuf's name
        """The file that declares a symbol; raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file


def list_services(router: Router) -> Sequence[str]:
    """Full names of the services of a chain, queries and messages, sorted."""
    types = {type_url.removeprefix("/") for type_url in router.messages}
    services = {path[1:].partition("/")[0] for path in list_paths(router)}
    services.update(
        service.full_name
        for file in load_files()
        for service in file.services_by_name.values()
        if any(method.input_type.full_name in types for method in service.methods)
    )
    return sorted(services)


def list_paths(router: Router) -> Sequence[str]:
    """Paths of the query methods of a chain's node, sorted; messages go inside transactions."""
    return sorted({*router.queries, *COMET_ROUTES, ABCI_QUERY_PATH})


def _read_height(context: grpc.ServicerContext) -> int:
    """The height asked for by header; 0 (also when absent) means the latest."""
    for key, value in context.invocation_metadata():
        if key == HEIGHT_HEADER:
            if not _HEIGHT.fullmatch(value):
                raise _Failure(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"{HEIGHT_HEADER} {value[:40]!r} must be a height, 0 for the latest",
                )
            return int(value)
    return 0


def translate_error(error: Exception) -> tuple[grpc.StatusCode, str]:
    """The gRPC status of a refusal, as the Cosmos SDK would choose it."""
    if isinstance(error, DecodeError):
        return grpc.StatusCode.INVALID_ARGUMENT, f"the request does not decode: {error}"
    if isinstance(error, NotFound | NotCommitted):
        return grpc.StatusCode.NOT_FOUND, str(error)
    if isinstance(error, HeightNotAvailable | InvalidHeight):
        return grpc.StatusCode.OUT_OF_RANGE, str(error)
    if isinstance(error, UnknownRequest):
        return grpc.StatusCode.UNIMPLEMENTED, str(error)
    if isinstance(error, NodeUnavailable):
        return grpc.StatusCode.UNAVAILABLE, str(error)
    if isinstance(error, ChainError):
        return grpc.StatusCode.INVALID_ARGUMENT, str(error)
    raise error
