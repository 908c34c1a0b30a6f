"""Messages nobody honest sends: drawn field by field from a type's descriptor, or broken copies.

Every choice comes from one random.Random, so that a failing example can be played again.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

from google.protobuf import any_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from chain.runtime.router import Router, pack

ITEMS_MAX = 3
DEPTH_MAX = 4
NUMBERS = (
    *("", "0", "1", "-1", "2", "10", "999999", "1000000", "-0", "+1", "01", "1e5", "0x10"),
    *(" 1", "1_000", "\u0661", "1.5", str(10**9), str(10**18), str(10**21), str(10**24)),
    *(str(2**63 - 1), str(2**64), str(2**127), str(-(2**255)), str(2**255), str(2**256 - 1)),
    *(str(2**256), "9" * 100),
)
TEXTS = (
    *("ETH", "USDC", "ETH-USD", "alpha", "aeth", "uusd", "umargin", "main", "alpha-1", "hub-1"),
    *("margin", "margin-1", "channel-0", "channel-1", "connection-0", "07-tendermint-0"),
    *("07-tendermint-99", "release-1", "release-0", "seize-1", "alpha-1/1", "bank", "accounts"),
    *("nobody", "a" * 300, "\x00", "é", "\U0001f600", "/", "..", "{}", "%s", "ibc/AB", "*"),
    *("oracle", "markets", "council", "tendermint", "1", "ORDER_ORDERED", "x/y"),
)
INTEGERS = (0, 1, 2, 3, 10, 1_000, 10**6, 10**9, 10**18, 2**31 - 1, 2**63 - 1)


def _draw_scalar(source: Random, item: FieldDescriptor, texts: Sequence[str]) -> Any:
    kind = item.type
    if kind == FieldDescriptor.TYPE_STRING:
        return source.choice(source.choice((NUMBERS, TEXTS, texts, texts)))
    if kind == FieldDescriptor.TYPE_BYTES:
        size = source.choice((0, 1, 8, 20, 32, 33, 64, 100))
        return source.choice((bytes(size), source.randbytes(size), b"\x02" + bytes(32)))
    if kind == FieldDescriptor.TYPE_BOOL:
        return source.random() < 0.5
    if kind == FieldDescriptor.TYPE_ENUM:
        assert item.enum_type is not None
        values = [value.number for value in item.enum_type.values]
        return source.choice((*values, *values, 99, -1))
    if kind in {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}:
        return source.choice((0.0, 1.5, -1.0))
    value = source.choice((*INTEGERS, source.randrange(12)))
    if kind in {FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_FIXED32}:
        return min(value, 2**32 - 1)
    if kind in {FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64}:
        return source.choice((value, 2**64 - 1))
    if kind in {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32}:
        return source.choice((min(value, 2**31 - 1), -1, -(2**31)))
    return source.choice((value, value, -1, -(2**63)))


class Generator:
    """Draws messages of one chain; texts are names that mean something to it."""

    def __init__(self, router: Router, texts: Sequence[str]) -> None:
        self._texts = tuple(texts)
        self._types = [router.codec.get_type(url) for url in router.codec.type_urls]

    def draw(self, source: Random, message_type: type[Message], depth: int = 0) -> Message:
        """A message with every field drawn; half of the fields stay at their default."""
        message = message_type()
        if isinstance(message, any_pb2.Any):
            return self._draw_any(source, depth)
        for item in message.DESCRIPTOR.fields:
            if source.random() < 0.4:
                continue
            self._set(source, message, item, depth)
        return message

    def _draw_any(self, source: Random, depth: int) -> any_pb2.Any:
        if depth >= DEPTH_MAX or source.random() < 0.2:
            return any_pb2.Any(type_url=source.choice(("", "/x.Y", "garbage")), value=b"\x08\x01")
        return pack(self.draw(source, source.choice(self._types), depth + 1))

    def _set(self, source: Random, message: Message, item: FieldDescriptor, depth: int) -> None:
        message.ClearField(item.name)
        if item.message_type is not None and item.message_type.GetOptions().map_entry:
            return
        if item.message_type is None:
            if item.is_repeated:
                for _ in range(source.randrange(ITEMS_MAX + 1)):
                    getattr(message, item.name).append(_draw_scalar(source, item, self._texts))
            else:
                setattr(message, item.name, _draw_scalar(source, item, self._texts))
            return
        if depth >= DEPTH_MAX:
            return
        if item.is_repeated:
            target = getattr(message, item.name)
            for _ in range(source.randrange(ITEMS_MAX + 1)):
                below = target.add()
                below.CopyFrom(self.draw(source, type(below), depth + 1))
        else:
            below = getattr(message, item.name)
            below.CopyFrom(self.draw(source, type(below), depth + 1))

    def spoil(self, source: Random, original: Message) -> Message:
        """A copy of a good message with one field somewhere inside drawn anew."""
        message = type(original)()
        message.CopyFrom(original)
        target, depth = message, 0
        while True:
            fields = list(target.DESCRIPTOR.fields)
            if not fields:
                return message
            item = source.choice(fields)
            below = _descend(source, target, item)
            if below is None or source.random() < 0.2 or depth > DEPTH_MAX:
                if isinstance(target, any_pb2.Any):
                    target.CopyFrom(self._draw_any(source, depth))
                else:
                    self._set(source, target, item, depth)
                return message
            target, depth = below, depth + 1


def _descend(source: Random, message: Message, item: FieldDescriptor) -> Message | None:
    if item.message_type is None:
        return None
    if not item.is_repeated:
        return getattr(message, item.name) if message.HasField(item.name) else None
    items = getattr(message, item.name)
    return source.choice(items) if len(items) else None
