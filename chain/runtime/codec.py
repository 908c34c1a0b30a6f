"""Strict protobuf: one byte form per message, every field declared, every Any of a known type.

upb keeps unknown fields and re-encodes them, so re-encoding alone proves nothing: unknown fields are
discarded first, then the encoding must equal the input. Depth and the number of nested elements are
bounded by a scan of the wire bytes that never recurses, before anything is decoded.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from chain.runtime.errors import TxDecode

DEPTH_MAX: Final = 12
"""Most levels of messages that can nest without end: Any in Any, and recursive types."""
SCANNED_FIELDS_MAX: Final = 10_000
"""Most fields the scan visits in one message: only those of types that can nest without end."""
_ANY: Final = "google.protobuf.Any"
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
    fields: dict[int, "_Shape"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _NestedAny:
    """An Any found by the scan: its registered type and the bytes of its value."""

    message_type: type[Message]
    value: bytes


class Codec:
    """Decodes messages strictly against a register of the types an Any may hold."""

    def __init__(self, types: Iterable[type[Message]]) -> None:
        self._types: dict[str, type[Message]] = {}
        self._shapes: dict[str, _Shape] = {}
        self._open: dict[str, bool] = {}
        for message_type in types:
            self._types[compute_type_url(message_type)] = message_type

    @property
    def type_urls(self) -> tuple[str, ...]:
        """The registered type URLs, sorted."""
        return tuple(sorted(self._types))

    def get_type(self, type_url: str) -> type[Message]:
        """The registered type; raises TxDecode for any other URL, or another spelling of a known one."""
        message_type = self._types.get(type_url)
        if message_type is None:
            raise TxDecode(f"unable to resolve type URL {type_url[:200]}")
        return message_type

    def decode(self, message_type: type[M], data: bytes, what: str = "message") -> M:
        """The message; raises TxDecode when data is not its one canonical encoding.

        Every Any inside is decoded by the same rule. `what` names the message in the refusal.
        """
        nested = self._scan(message_type, data, what)
        message = _decode_canonical(message_type, data, what)
        for item in nested:
            _decode_canonical(item.message_type, item.value, item.message_type.DESCRIPTOR.name)
        return message

    def decode_with_messages(
        self, message_type: type[M], data: bytes, what: str
    ) -> tuple[M, list[Message]]:
        """As decode, and the decoded Anys in wire order of the outermost level."""
        nested = self._scan(message_type, data, what)
        message = _decode_canonical(message_type, data, what)
        decoded = [
            _decode_canonical(item.message_type, item.value, item.message_type.DESCRIPTOR.name)
            for item in nested
        ]
        return message, decoded

    def unpack(self, packed: Any) -> Message:
        """The message in an Any that stood in an already accepted transaction or in state."""
        return self.decode(self.get_type(packed.type_url), packed.value, packed.type_url)

    def _is_open(self, descriptor: Descriptor, above: tuple[str, ...] = ()) -> bool:
        """Whether Any or recursion can stand at or below the type (declarations are finite)."""
        name = str(descriptor.full_name)
        if name == _ANY or name in above:
            return True
        if name not in self._open:
            self._open[name] = any(
                self._is_open(item.message_type, (*above, name))
                for item in descriptor.fields
                if item.message_type is not None
            )
        return self._open[name]

    def _get_shape(self, descriptor: Descriptor) -> _Shape:
        name = str(descriptor.full_name)
        shape = self._shapes.get(name)
        if shape is None:
            shape = self._shapes[name] = _Shape(is_any=name == _ANY)
            if not shape.is_any:
                for item in descriptor.fields:
                    if item.type == FieldDescriptor.TYPE_MESSAGE and self._is_open(
                        item.message_type
                    ):
                        shape.fields[item.number] = self._get_shape(item.message_type)
        return shape

    def _scan(self, message_type: type[Message], data: bytes, what: str) -> list[_NestedAny]:
        """Every Any below the message, breadth first; raises TxDecode over a limit."""
        descriptor = message_type.DESCRIPTOR
        if not self._is_open(descriptor):
            return []
        found: list[_NestedAny] = []
        work: list[tuple[bytes, _Shape, int]] = [(data, self._get_shape(descriptor), 1)]
        budget = SCANNED_FIELDS_MAX
        for piece, shape, depth in work:  # Grows while it is walked.
            if depth > DEPTH_MAX:
                raise TxDecode(f"{what} nests deeper than {DEPTH_MAX} levels; flatten it")
            if shape.is_any:
                type_url, value, budget = _read_any(piece, budget, what)
                nested_type = self.get_type(type_url)
                found.append(_NestedAny(nested_type, value))
                if self._is_open(nested_type.DESCRIPTOR):
                    work.append((value, self._get_shape(nested_type.DESCRIPTOR), depth + 1))
                continue
            for number, start, end in _walk_fields(piece, budget, what):
                budget -= 1
                below = shape.fields.get(number)
                if below is not None and end >= start:
                    work.append((piece[start:end], below, depth + 1))
        return found


def _decode_canonical(message_type: type[M], data: bytes, what: str) -> M:
    """The message whose only encoding is data; raises TxDecode. Looks into no Any."""
    message = message_type()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise TxDecode(f"{what} is not protobuf of {message_type.DESCRIPTOR.full_name}") from None
    message.DiscardUnknownFields()  # type: ignore[attr-defined]
    if message.SerializeToString(deterministic=True) != data:
        raise TxDecode(
            f"{what} has unknown fields or is not in canonical form: send each declared field of "
            f"{message_type.DESCRIPTOR.full_name} once, in ascending order, defaults left out"
        )
    return message


def _read_any(piece: bytes, budget: int, what: str) -> tuple[str, bytes, int]:
    """The type URL and value of an Any's bytes, and the remaining budget."""
    type_url, value = b"", b""
    for number, start, end in _walk_fields(piece, budget, what):
        budget -= 1
        if end >= start:
            if number == 1:
                type_url = piece[start:end]
            elif number == 2:
                value = piece[start:end]
    try:
        return type_url.decode(), value, budget
    except UnicodeDecodeError:
        raise TxDecode(f"{what} holds a type URL that is not UTF-8") from None


def _walk_fields(data: bytes, budget: int, what: str) -> Iterable[tuple[int, int, int]]:
    """Per field its number and, when length-delimited, where its bytes start and end (else 0, -1)."""
    position, size = 0, len(data)
    while position < size:
        budget -= 1
        if budget < 0:
            raise TxDecode(f"{what} holds more than {SCANNED_FIELDS_MAX} nested fields; split it")
        tag, position = _read_varint(data, position, what)
        wire_type = tag & 7
        if wire_type == _BYTES:
            length, position = _read_varint(data, position, what)
            end = position + length
            if end > size:
                raise TxDecode(f"{what} is truncated")
            yield tag >> 3, position, end
            position = end
        elif wire_type == _VARINT:
            _, position = _read_varint(data, position, what)
            yield tag >> 3, 0, -1
        elif wire_type in (_FIXED64, _FIXED32):
            position += 8 if wire_type == _FIXED64 else 4
            if position > size:
                raise TxDecode(f"{what} is truncated")
            yield tag >> 3, 0, -1
        else:
            raise TxDecode(f"{what} uses wire type {wire_type}, which proto3 does not have")


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
