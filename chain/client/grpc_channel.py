"""Generic gRPC calls from descriptors: no generated stubs, one error mapping, heights by header."""

from types import TracebackType
from typing import Final, Self, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from chain.client.errors import (
    InvalidEndpoint,
    MalformedAnswer,
    NodeUnavailable,
    NotFound,
    QueryRefused,
)

M = TypeVar("M", bound=Message)

HEIGHT_HEADER: Final = "x-cosmos-block-height"
TIMEOUT_S: Final = 10.0
_BYTES_MAX: Final = 32 * 1024 * 1024
_UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def parse_grpc_url(url: str) -> tuple[str, bool]:
    """Target `host:port` and whether TLS is used, of grpc+http://, grpc+https:// or host:port.

    Raises InvalidEndpoint.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "grpc+http", url
    target = rest.rstrip("/")
    _, colon, port = target.rpartition(":")
    if scheme not in ("grpc+http", "grpc+https", "http", "https") or not colon:
        raise InvalidEndpoint(f"gRPC address {url!r} must look like grpc+http://host:port")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise InvalidEndpoint(f"gRPC address {url!r}: port must be 1 to 65535")
    return target, scheme.endswith("s")


class GrpcChannel:
    """An asynchronous connection to a node's gRPC server; use it as a context manager."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url
        self._timeout_s = timeout_s
        target, is_secure = parse_grpc_url(url)
        # A node on this machine must never be asked through a proxy of the environment.
        options = [("grpc.max_receive_message_length", _BYTES_MAX), ("grpc.enable_http_proxy", 0)]
        self._channel = (
            grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options)
            if is_secure
            else grpc.aio.insecure_channel(target, options)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def call(
        self, path: str, request: Message, response: type[M], *, height: int | None = None
    ) -> M:
        """The response of a unary method; height asks for the state after that block.

        Raises NotFound, NodeUnavailable, QueryRefused or MalformedAnswer.
        """
        answer, _ = await self.call_with_height(path, request, response, height=height)
        return answer

    async def call_with_height(
        self, path: str, request: Message, response: type[M], *, height: int | None = None
    ) -> tuple[M, int]:
        """Like call, with the height of the state that answered (0 when the node did not say)."""
        method = self._channel.unary_unary(
            path, request_serializer=lambda message: message.SerializeToString()
        )
        metadata = ((HEIGHT_HEADER, str(height)),) if height is not None else ()
        call = method(request, timeout=self._timeout_s, metadata=metadata)
        try:
            raw = await call
            headers = await call.initial_metadata()
        except grpc.aio.AioRpcError as error:
            raise _translate(path, self.url, error) from error
        answered = next((value for key, value in headers if key == HEIGHT_HEADER), "0")
        message = response()
        try:
            message.ParseFromString(raw)
            return message, int(answered)
        except (DecodeError, ValueError) as error:
            raise MalformedAnswer(f"{path} at {self.url}: {error}") from error


def _translate(path: str, url: str, error: grpc.aio.AioRpcError) -> Exception:
    status, detail = error.code(), error.details() or ""
    if status == grpc.StatusCode.NOT_FOUND:
        return NotFound(detail)
    if status in _UNAVAILABLE:
        return NodeUnavailable(
            f"{path} at {url}: {detail}; is the node running, its gRPC address right?"
        )
    return QueryRefused(f"{path}: {detail} [{status.name}]", status=status.name)
