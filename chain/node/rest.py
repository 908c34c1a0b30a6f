"""The REST gateway of a node: the gRPC queries over HTTP and JSON, in the shapes explorers read.

Every path is a row of rest_routes; the answer is what gRPC would answer, as protobuf's JSON with
original field names. Queries share the interpreter with consensus, hence few threads, a bound on
calls under way and on sizes.
"""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import grpc
import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from chain.client.comet import CometClient
from chain.client.grpc_channel import HEIGHT_HEADER
from chain.client.json_text import load_json
from chain.client.registry import message_class, to_json
from chain.errors import INTERNAL_TEXT, ChainError
from chain.node.comet_services import COMET_ROUTES
from chain.node.grpc import QueryApplication, translate_error
from chain.node.metrics import NodeMetrics
from chain.node.rest_openapi import build_document
from chain.node.rest_routes import ABSENT, RestRoute, get_routes
from chain.node.services import SIMULATE_PATH

_HEIGHT: Final = re.compile(r"[0-9]{1,18}")
_HEIGHT_ANSWER: Final = "grpc-metadata-x-cosmos-block-height"
_JSON: Final = "application/json"
_STATUS: Final = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""HTTP statuses of gRPC statuses; any other is 500."""


@dataclass(frozen=True, slots=True)
class RestLimits:
    """Bounds that keep the gateway from starving consensus."""

    workers: int = 2
    concurrent_calls_max: int = 32
    request_bytes_max: int = 3 << 20
    parameters_max: int = 64
    call_s_max: float = 10.0


class _Failure(Exception):
    """How a call ends without an answer."""

    def __init__(self, status: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class RestServer:
    """Serves one application on one address; start() binds, stop() drains and ends.

    >>> server = RestServer(application, "127.0.0.1:1317", rpc_url="http://127.0.0.1:26657")
    >>> server.start()
    >>> server.stop()
    """

    def __init__(
        self,
        application: QueryApplication,
        address: str,
        *,
        rpc_url: str,
        allowed_origins: Sequence[str] = (),
        metrics: NodeMetrics | None = None,
        limits: RestLimits | None = None,
    ) -> None:
        self.limits = limits or RestLimits()
        self._application = application
        self._address = address
        self._metrics = metrics
        self._log = structlog.get_logger("rest")
        self._rpc = CometClient(rpc_url, timeout_s=self.limits.call_s_max)
        self._threads = ThreadPoolExecutor(self.limits.workers, thread_name_prefix="rest")
        self._calls = 0
        self._socket: socket.socket | None = None
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._build_app(allowed_origins),
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        self._thread = threading.Thread(target=self._run, name="rest", daemon=True)

    @property
    def port(self) -> int:
        """The port in use; a port 0 in the address is replaced by one the system chose."""
        assert self._socket is not None, "not started"
        port: int = self._socket.getsockname()[1]
        return port

    def start(self) -> None:
        """Bind and serve in a background thread; raises OSError when the port is taken."""
        host, _, port = self._address.rpartition(":")
        self._socket = socket.create_server((host, int(port)))
        self._thread.start()
        self._log.info("REST listening", address=self._address, port=self.port)

    def _run(self) -> None:
        assert self._socket is not None, "start() has bound"
        self._server.run([self._socket])

    def stop(self) -> None:
        """Refuse new calls, let those under way end, then close; may be called twice."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._threads.shutdown(cancel_futures=True)

    def _build_app(self, allowed_origins: Sequence[str]) -> FastAPI:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        if allowed_origins:
            app.add_middleware(CORSMiddleware, allow_origins=list(allowed_origins))
        routes = list(get_routes())
        document = json.dumps(build_document(routes, version("margin-chain"))).encode()

        async def answer_openapi(_: Request) -> Response:
            return Response(document, media_type=_JSON)

        app.add_route("/openapi.json", answer_openapi, ["GET"])
        for path, answer in ABSENT.items():
            app.add_route(path, _build_fixed_endpoint(answer), ["GET"])
        for route in routes:
            app.add_route(route.path, self._build_endpoint(route), [route.http_method])
        return app

    def _build_endpoint(self, route: RestRoute) -> Any:
        async def endpoint(request: Request) -> Response:
            return await self._answer(route, request)

        return endpoint

    async def _answer(self, route: RestRoute, request: Request) -> Response:
        start = time.perf_counter()
        self._calls += 1
        headers: dict[str, str] = {}
        status = grpc.StatusCode.OK
        try:
            self._require_room()
            message = await self._read_request(route, request)
            answer, height = await self._ask(route, message, _read_height(request))
            document: Mapping[str, Any] = _mark_last_page(to_json(answer))
            if height:
                headers[_HEIGHT_ANSWER] = str(height)
        except _Failure as failure:
            status, document = failure.status, _build_refusal(failure.status, failure.text)
        except Exception:  # noqa: BLE001 - a bug in one query must not end the server
            self._log.exception("bug in a query", path=route.path)
            if self._metrics:
                self._metrics.bugs.labels("rest").inc()
            status = grpc.StatusCode.INTERNAL
            document = _build_refusal(status, INTERNAL_TEXT)
        finally:
            self._calls -= 1
        if self._metrics:
            self._metrics.query_seconds.labels(route.method.path, status.name).observe(
                time.perf_counter() - start
            )
        body = json.dumps(document, ensure_ascii=False).encode()
        return Response(body, _STATUS.get(status, 500), headers, _JSON)

    def _require_room(self) -> None:
        limit = self.limits.concurrent_calls_max
        if self._calls > limit:
            text = f"{limit} calls are under way; ask again later"
            raise _Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    async def _read_request(self, route: RestRoute, request: Request) -> Message:
        """The request message a call spells by its path and query text, or by its JSON body."""
        try:
            if route.http_method == "POST":
                document = load_json((await self._read_body(request)).decode())
            else:
                parameters = [
                    *_list_path_parameters(route.method.request, request.path_params),
                    *request.query_params.multi_items(),
                ]
                document = build_document_of_parameters(
                    route.method.request, parameters, self.limits.parameters_max
                )
            message = route.method.new_request()
            return json_format.ParseDict(document, message, ignore_unknown_fields=True)
        except (ValueError, json_format.ParseError) as error:
            raise _Failure(grpc.StatusCode.INVALID_ARGUMENT, str(error)[:500]) from error

    async def _read_body(self, request: Request) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self.limits.request_bytes_max:
                raise _Failure(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"the body is above {self.limits.request_bytes_max} bytes",
                )
        return bytes(body)

    async def _ask(self, route: RestRoute, message: Message, height: int) -> tuple[Message, int]:
        """The answer of the application or of CometBFT, and the height it is of (0: unknown)."""
        path = route.method.path
        try:
            async with asyncio.timeout(self.limits.call_s_max):
                if path in COMET_ROUTES:
                    return await COMET_ROUTES[path].handler(self._rpc, message), 0
                data, answered = await asyncio.get_running_loop().run_in_executor(
                    self._threads,
                    self._application.run_query,
                    path,
                    message.SerializeToString(),
                    height,
                )
        except TimeoutError as error:
            text = f"no answer within {self.limits.call_s_max:g} s"
            raise _Failure(grpc.StatusCode.DEADLINE_EXCEEDED, text) from error
        except (ChainError, DecodeError) as error:
            status, text = translate_error(error)
            if path == SIMULATE_PATH:
                status = grpc.StatusCode.UNKNOWN
            raise _Failure(status, text) from error
        return message_class(route.method.response).FromString(data), answered


def _build_fixed_endpoint(answer: Mapping[str, Any]) -> Any:
    body = json.dumps(answer).encode()

    async def endpoint(_: Request) -> Response:
        return Response(body, media_type=_JSON)

    return endpoint


def _build_refusal(status: grpc.StatusCode, text: str) -> dict[str, Any]:
    return {"code": status.value[0], "message": text, "details": []}


def _read_height(request: Request) -> int:
    """The height asked for by header; 0 (also when absent) means the latest."""
    text = request.headers.get(HEIGHT_HEADER, "0")
    if not _HEIGHT.fullmatch(text):
        raise _Failure(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"{HEIGHT_HEADER} {text[:40]!r} must be a height, 0 for the latest",
        )
    return int(text)


def _list_path_parameters(
    descriptor: Descriptor, parameters: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """The parameters of a path; a repeated field stands there as a list with commas."""
    for name, text in parameters.items():
        field = descriptor.fields_by_name.get(name)
        parts = text.split(",") if field is not None and field.is_repeated else [text]
        yield from ((name, part) for part in parts)


def _mark_last_page(document: dict[str, Any]) -> dict[str, Any]:
    """The document with `next_key` null where there is no further page, as gateways of the SDK."""
    pagination = document.get("pagination")
    if isinstance(pagination, dict) and not pagination.get("next_key"):
        pagination["next_key"] = None
    return document


def build_document_of_parameters(
    descriptor: Descriptor, parameters: Sequence[tuple[str, str]], parameters_max: int
) -> dict[str, Any]:
    """The JSON form of a request whose fields are named by parameters, nested ones with dots.

    A parameter that names no field is ignored, as gateways of the Cosmos SDK do. Raises ValueError
    when there are too many, or a flag is neither true nor false.
    """
    if len(parameters) > parameters_max:
        raise ValueError(f"{len(parameters)} parameters, at most {parameters_max} are read")
    document: dict[str, Any] = {}
    for name, text in parameters:
        *parents, last = name.split(".")
        place, message = document, descriptor
        for parent in parents:
            field = message.fields_by_name.get(parent)
            if field is None or field.message_type is None or field.is_repeated:
                break
            message, place = field.message_type, place.setdefault(parent, {})
        else:
            field = message.fields_by_name.get(last)
            if field is None or field.message_type is not None:
                continue
            value = _read_value(field, text)
            if field.is_repeated:
                place.setdefault(last, []).append(value)
            else:
                place[last] = value
    return document


def _read_value(field: FieldDescriptor, text: str) -> str | bool:
    if field.type != FieldDescriptor.TYPE_BOOL:
        return text
    if text not in ("true", "false", "1", "0", ""):
        raise ValueError(f"{field.name} {text[:40]!r} must be true or false")
    return text in ("true", "1", "")
