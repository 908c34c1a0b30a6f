"""Strict protobuf: one byte form per message, every field declared, every Any of a known type.

upb keeps unknown fields and re-encodes them, so re-encoding alone proves nothing: unknown fields
are discarded first, then the encoding must equal the input. Depth and the number of nested
elements are bounded by a scan of the wire bytes that never recurses, before anything is decoded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message

from chain.runtime.errors import TxDecode

DEPTH_MAX: Final = 12
"""Most levels of messages that can nest without end: Any in Any, and recursive types."""
SCANNED_FIELDS_MAX: Final = 10_000
"""Most fields the scan visits in one message: only those of types that can nest without end."""
_ANY: Final = "google.protobuf.Any"
_ANY_TYPE_URL, _ANY_VALUE = 1, 2
_VARINT_BYTES_MAX: Final = 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

M = TypeVar("M", bound=Message)


def compute_type_url(message_type: type[Message]) -> str:
    """The type URL of a message as Cosmos clients write it: "/" and the full name."""
    return "/" + str(message_type.DESCRIPTOR.full_name)


@dataclass(slots=True)
class _Shape:
    """How a type can nest: for each field of an open type, its shape. Closed types have none.

    A type is open when an Any or itself can stand below it; the depth of any other type is bounded
    by its declaration, so that the scan need not enter it.
    """

    is_any: bool = False
    fields: dict[int, "_Shape | None"] = field(default_factory=dict)


_NestedAny = tuple[type[Message], bytes]
"""An Any found by the scan: its registered type and the bytes of its value."""


class Codec:
    """Decodes messages strictly against a register of the types an Any may hold."""

    def __init__(self, types: Iterable[type[Message]]) -> None:
        self._types: dict[str, type[Message]] = {}
        self._shapes: dict[str, _Shape | None] = {}
        for message_type in types:
            self._types[compute_type_url(message_type)] = message_type

    @property
    def type_urls(self) -> tuple[str, ...]:
        """The registered type URLs, sorted."""
        return tuple(sorted(self._types))

    def get_type(self, type_url: str) -> type[Message]:
        """The registered type; raises TxDecode for any other URL, or another spelling of a known
        one.
        """
        message_type = self._types.get(type_url)
        if message_type is None:
            raise TxDecode(f"unable to resolve type URL {type_url[:200]}")
        return message_type

    def decode(self, message_type: type[M], data: bytes, what: str = "message") -> M:
        """The message; raises TxDecode when data is not its one canonical encoding.

        Every Any inside is decoded by the same rule. `what` names the message in the refusal.
        """
        return self.decode_with_messages(message_type, data, what)[0]

    def decode_with_messages(
        self, message_type: type[M], data: bytes, what: str
    ) -> tuple[M, list[Message]]:
        """As decode, and the decoded Anys in wire order of the outermost level."""
        nested = self._scan(message_type, data, what)
        message = _decode_canonical(message_type, data, what)
        decoded = [
            _decode_canonical(nested_type, value, nested_type.DESCRIPTOR.full_name)
            for nested_type, value in nested
        ]
        return message, decoded

    def unpack(self, packed: Any) -> Message:
        """The message in an Any that stood in an already accepted transaction or in state."""
        return self.decode(self.get_type(packed.type_url), packed.value, packed.type_url)

    def _is_open(self, descriptor: Any, above: tuple[str, ...] = ()) -> bool:
        """Whether Any or recursion can stand at or below the type (declarations are finite)."""
        name = descriptor.full_name
        if name == _ANY or name in above:
            return True
        return any(
            self._is_open(item.message_type, (*above, name))
            for item in descriptor.fields
            if item.message_type is not None
        )

    def _get_shape(self, descriptor: Any) -> _Shape | None:
        """The shape of an open type, None for a closed one."""
        name = descriptor.full_name
        if name in self._shapes:
            return self._shapes[name]
        if not self._is_open(descriptor):
            self._shapes[name] = None
            return None
        shape = _Shape(is_any=name == _ANY)
        self._shapes[name] = shape  # Before its fields: a recursive type holds itself.
        if shape.is_any:
            shape.fields = {_ANY_TYPE_URL: None, _ANY_VALUE: None}
            return shape
        for item in descriptor.fields:
            below = None if item.message_type is None else self._get_shape(item.message_type)
            if below is not None:
                shape.fields[item.number] = below
        return shape

    def _scan(self, message_type: type[Message], data: bytes, what: str) -> list[_NestedAny]:
        """Every Any below the message, breadth first; raises TxDecode over a limit."""
        shape = self._get_shape(message_type.DESCRIPTOR)
        if shape is None:
            return []
        found: list[_NestedAny] = []
        work: list[tuple[bytes, _Shape, int]] = [(data, shape, 1)]
        budget = SCANNED_FIELDS_MAX
        for piece, shape, depth in work:  # Grows while it is walked.
            if depth > DEPTH_MAX:
                raise TxDecode(f"{what} nests deeper than {DEPTH_MAX} levels; flatten it")
            fields, visited = _split_fields(piece, shape.fields, budget, what)
            budget -= visited
            if not shape.is_any:
                for number, part in fields:
                    below = shape.fields[number]
                    assert below is not None, "only an Any's own fields have no shape"
                    work.append((part, below, depth + 1))
                continue
            parts = dict(fields)
            value = parts.get(_ANY_VALUE, b"")
            nested_type = self.get_type(_decode_text(parts.get(_ANY_TYPE_URL, b""), what))
            found.append((nested_type, value))
            nested = self._get_shape(nested_type.DESCRIPTOR)
            if nested is not None:
                work.append((value, nested, depth + 1))
        return found


def _decode_canonical(message_type: type[M], data: bytes, what: str) -> M:
    """The message whose only encoding is data; raises TxDecode. Looks into no Any."""
    message = message_type()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise TxDecode(f"{what} is not protobuf of {message_type.DESCRIPTOR.full_name}") from None
    message.DiscardUnknownFields()
    if message.SerializeToString() != data:
        raise TxDecode(
            f"{what} has unknown fields or is not in canonical form: send each declared field of "
            f"{message_type.DESCRIPTOR.full_name} once, in ascending order, defaults left out"
        )
    return message


def _decode_text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise TxDecode(f"{what} holds a type URL that is not UTF-8") from None


def _split_fields(
    data: bytes, wanted: Mapping[int, object], budget: int, what: str
) -> tuple[list[tuple[int, bytes]], int]:
    """The bytes of the length-delimited fields wanted, in wire order, and how many were visited."""
    found: list[tuple[int, bytes]] = []
    position = visited = 0
    size = len(data)
    while position < size:
        visited += 1
        if visited > budget:
            raise TxDecode(f"{what} holds more than {SCANNED_FIELDS_MAX} nested fields; split it")
        tag = data[position]
        position += 1
        if tag >= 0x80:
            tag, position = _read_varint(data, position - 1, what)
        wire_type = tag & 7
        if wire_type == _BYTES:
            length, position = _read_varint(data, position, what)
            end = position + length
            if end > size:
                raise TxDecode(f"{what} is truncated")
            if tag >> 3 in wanted:
                found.append((tag >> 3, data[position:end]))
            position = end
        elif wire_type == _VARINT:
            _, position = _read_varint(data, position, what)
        elif wire_type in (_FIXED64, _FIXED32):
            position += 8 if wire_type == _FIXED64 else 4
            if position > size:
                raise TxDecode(f"{what} is truncated")
        else:
            raise TxDecode(f"{what} uses wire type {wire_type}, which proto3 does not have")
    return found, visited


def _read_varint(data: bytes, position: int, what: str) -> tuple[int, int]:
    try:
        byte = data[position]
        if byte < 0x80:
            return byte, position + 1
        value = byte & 0x7F
        for index in range(1, _VARINT_BYTES_MAX):
            byte = data[position + index]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value, position + index + 1
    except IndexError:
        raise TxDecode(f"{what} is truncated") from None
    raise TxDecode(f"{what} has a varint longer than {_VARINT_BYTES_MAX} bytes")
