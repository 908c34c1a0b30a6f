"""The ABCI socket's wire: uvarint-framed requests in, framed responses out, and the addresses.

A frame is a plain (not zig-zag) uvarint length followed by a tendermint.abci Request or Response.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from google.protobuf.message import Message

from chain._pb.tendermint.abci import types_pb2 as abci

REQUEST_BYTES_MAX: Final = 128 * 2**20
"""Largest request: CometBFT's 100 MiB block bound, an extended commit, and room."""
GENESIS_BYTES_MAX: Final = 2**31 - 1
"""Largest InitChain: it carries the whole app_state; this is CometBFT's own message bound."""

_UVARINT_BYTES_MAX = 5


class FrameError(ValueError):
    """A byte stream that is not ABCI framing: the connection cannot be used any further."""


def encode_uvarint(value: int) -> bytes:
    """The plain (not zig-zag) base-128 varint of a non-negative integer, low groups first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _oneof_tag(message: type[Message], name: str) -> bytes:
    number = message.DESCRIPTOR.fields_by_name[name].number
    return encode_uvarint(number << 3 | 2)


_INIT_CHAIN_TAG = _oneof_tag(abci.Request, "init_chain")
_RESPONSE_TAGS: Mapping[str, bytes] = {
    f.name: _oneof_tag(abci.Response, f.name) for f in abci.Response.DESCRIPTOR.fields
}


def encode_response(name: str, response: Message) -> bytes:
    """One frame: uvarint length, then tendermint.abci.Response holding `response` as its `name`.

    The outer message is one tag and one length; building it as an object would copy every
    transaction result (4 µs each, as much as serialising them).
    """
    payload = response.SerializeToString()
    head = _RESPONSE_TAGS[name] + encode_uvarint(len(payload))
    return b"".join((encode_uvarint(len(head) + len(payload)), head, payload))


class FrameBuffer:
    """The incoming half of a connection: bytes in any pieces go in, whole frames come out.

    A frame longer than its limit is refused on its length alone, before any of it is stored or
    decoded.
    """

    def __init__(
        self, request_bytes_max: int = REQUEST_BYTES_MAX, genesis_bytes_max: int = GENESIS_BYTES_MAX
    ) -> None:
        self._request_bytes_max = request_bytes_max
        self._genesis_bytes_max = genesis_bytes_max
        self._data = bytearray()
        self._offset = 0

    @property
    def is_empty(self) -> bool:
        """Whether the stream stands between two frames."""
        return self._offset == len(self._data)

    def feed(self, data: bytes | memoryview) -> None:
        """Append received bytes."""
        if self._offset:
            del self._data[: self._offset]
            self._offset = 0
        self._data += data

    def take(self) -> bytes | None:
        """The next whole frame's content, or None until more is fed; raises FrameError."""
        start, length = self._offset, 0
        for index in range(_UVARINT_BYTES_MAX + 1):
            if start + index == len(self._data):
                return None
            if index == _UVARINT_BYTES_MAX:
                raise FrameError(f"a frame length of more than {_UVARINT_BYTES_MAX} bytes")
            byte = self._data[start + index]
            length |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                break
        body = start + index + 1
        available = len(self._data) - body
        if length > self._request_bytes_max:
            if not available:
                return None  # The limit depends on the call, named by the first byte.
            is_genesis = self._data[body : body + 1] == _INIT_CHAIN_TAG
            limit = self._genesis_bytes_max if is_genesis else self._request_bytes_max
            if length > limit:
                raise FrameError(f"a request of {length} bytes exceeds the limit of {limit}")
        if available < length:
            return None
        self._offset = body + length
        return bytes(self._data[body : self._offset])


@dataclass(frozen=True, slots=True)
class AbciAddress:
    """Where the server listens, in the form of CometBFT's proxy_app: unix:///path or tcp://…."""

    path: str | None
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError with the accepted forms."""
        scheme, separator, rest = text.partition("://")
        if separator and scheme == "unix" and rest.startswith("/"):
            return cls(rest)
        host, colon, port = rest.rpartition(":")
        if separator and scheme == "tcp" and colon and port.isdecimal() and int(port) < 65536:
            return cls(None, host.strip("[]"), int(port))
        raise ValueError(
            f"ABCI address {text!r} is neither unix:///absolute/path nor tcp://host:port"
        )

    def __str__(self) -> str:
        return f"unix://{self.path}" if self.path is not None else f"tcp://{self.host}:{self.port}"

    def listen(self) -> socket.socket:
        """A listening socket; raises OSError with the address and remedy."""
        if self.path is None:
            try:
                return socket.create_server((self.host, self.port), backlog=16)
            except OSError as error:
                raise OSError(
                    error.errno, f"{error.strerror}: cannot listen on {self}; set [abci] address"
                ) from error
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        self._remove_dead_socket()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(self.path)
            Path(self.path).chmod(0o600)
            listener.listen(16)
        except OSError as error:
            listener.close()
            reason = error.strerror or str(error)
            raise OSError(
                error.errno or 0, f"{reason}: cannot listen on {self}; set [abci] address"
            ) from error
        return listener

    def _remove_dead_socket(self) -> None:
        """Unlink the socket file of a process that is gone; a living one keeps its own."""
        assert self.path is not None
        path = Path(self.path)
        if not path.is_socket():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(self.path)
            except OSError:
                path.unlink(missing_ok=True)
                return
        raise OSError(0, f"another process serves {self}; stop it or set another [abci] address")
