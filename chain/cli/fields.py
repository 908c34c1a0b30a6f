"""Message fields as command-line options: their types, and the texts people write for them."""

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from chain.client.amount import Amount
from chain.client.errors import InvalidField
from chain.client.json_text import load_json
from chain.client.registry import from_json, message_class

COIN: Final = "cosmos.base.v1beta1.Coin"
PAGE_REQUEST: Final = "cosmos.base.query.v1beta1.PageRequest"
_UUSD_SUFFIX: Final = "_uusd"
_DIGITS = re.compile(r"-?[0-9]+")


def option_name(field: FieldDescriptor) -> str:
    """`size_quantums` → `--size-quantums`."""
    return "--" + field.name.replace("_", "-")


def describe_type(field: FieldDescriptor) -> str:
    """What a person may write for the field."""
    if field.type == FieldDescriptor.TYPE_BOOL:
        kind = "flag"
    elif field.type == FieldDescriptor.TYPE_ENUM:
        kind = "one of " + ", ".join(list_enum_texts(_enum(field)))
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        kind = "coin, 5umargin or '5 USDC'" if _is_coin(field) else "JSON, or @file"
    elif field.type == FieldDescriptor.TYPE_BYTES:
        kind = "bytes: 0x hexadecimal, base64, or @file"
    elif field.type == FieldDescriptor.TYPE_STRING:
        kind = "text"
    else:
        kind = "integer"
    return f"{kind}; may be given several times" if field.is_repeated else kind


def list_enum_texts(enum: EnumDescriptor) -> list[str]:
    """The values without their common prefix, in lower case; the unspecified one is left out."""
    prefix = _enum_prefix(enum)
    return [
        value.name.removeprefix(prefix).lower().replace("_", "-")
        for value in enum.values
        if value.number
    ]


def build_message(descriptor: Descriptor, texts: Mapping[str, Any]) -> Message:
    """The message of the texts given for its fields; raises InvalidField."""
    given = {name: value for name, value in texts.items() if value not in (None, [], ())}
    fields = descriptor.fields_by_name
    _split_named_amount(fields, given)
    document = {name: parse_field(fields[name], value) for name, value in given.items()}
    return from_json(document, message_class(descriptor)())


def parse_field(field: FieldDescriptor, given: Any) -> Any:
    """The JSON value of a field from the text or texts given; raises InvalidField."""
    if not field.is_repeated:
        return _parse_one(field, given)
    texts: Sequence[str] = given if isinstance(given, list | tuple) else [given]
    if _is_coin(field):
        texts = [part for text in texts for part in text.split(",")]
        # Coins travel sorted by denomination.
        return sorted((_parse_one(field, text) for text in texts), key=lambda coin: coin["denom"])
    if len(texts) == 1 and texts[0].lstrip().startswith("["):
        return _parse_json(field, texts[0])
    return [_parse_one(field, text) for text in texts]


def _parse_one(field: FieldDescriptor, text: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_BOOL or not isinstance(text, str):
        return text
    if field.type == FieldDescriptor.TYPE_ENUM:
        return _parse_enum(field, text)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _parse_bytes(field, text)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if _is_coin(field):
            amount = Amount.parse(text)
            return {"denom": amount.denom, "amount": str(amount.units)}
        return _parse_json(field, text)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _parse_string(field, text)
    if not _DIGITS.fullmatch(text):
        raise InvalidField(f"{option_name(field)} {text!r} must be an integer")
    return int(text)


def _parse_string(field: FieldDescriptor, text: str) -> str:
    """The text itself; for a field in uusd also a display amount such as `100 USD`."""
    if field.name.endswith(_UUSD_SUFFIX) and not _DIGITS.fullmatch(text):
        amount = Amount.parse(text)
        if amount.denom != "uusd":
            raise InvalidField(f"{option_name(field)} is in uusd, not {amount.denom}")
        return str(amount.units)
    return text


def _parse_enum(field: FieldDescriptor, text: str) -> str | int:
    if _DIGITS.fullmatch(text):
        return int(text)
    wanted = text.upper().replace("-", "_")
    enum = _enum(field)
    prefix = _enum_prefix(enum)
    for value in enum.values:
        if wanted in (value.name, value.name.removeprefix(prefix)):
            name: str = value.name
            return name
    choices = ", ".join(list_enum_texts(_enum(field)))
    raise InvalidField(f"{option_name(field)} {text!r} must be one of {choices}")


def _parse_bytes(field: FieldDescriptor, text: str) -> str:
    try:
        if text.startswith("@"):
            raw = Path(text[1:]).read_bytes()
        elif text.startswith("0x"):
            raw = bytes.fromhex(text[2:])
        else:
            raw = base64.b64decode(text, validate=True)
    except (OSError, ValueError) as error:
        raise InvalidField(
            f"{option_name(field)} must be 0x and hexadecimal, base64, or @file: {error}"
        ) from error
    return base64.b64encode(raw).decode()


def _parse_json(field: FieldDescriptor, text: str) -> Any:
    try:
        return load_json(Path(text[1:]).read_text() if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        raise InvalidField(f"{option_name(field)} must be JSON or @file: {error}") from error


def _split_named_amount(fields: Mapping[str, FieldDescriptor], given: dict[str, Any]) -> None:
    """`--amount "10 ETH"` fills denom and amount of a message that keeps them in two texts."""
    amount = given.get("amount")
    if "denom" not in fields or "denom" in given or not isinstance(amount, str):
        return
    if fields["amount"].type == FieldDescriptor.TYPE_STRING and not _DIGITS.fullmatch(amount):
        parsed = Amount.parse(amount)
        given |= {"denom": str(parsed.denom), "amount": str(parsed.units)}


def _enum(field: FieldDescriptor) -> EnumDescriptor:
    assert field.enum_type is not None
    return field.enum_type


def _is_coin(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == COIN


def _enum_prefix(enum: EnumDescriptor) -> str:
    """`TIME_IN_FORCE_` of enum TimeInForce, when its values have it."""
    prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"
    return prefix if all(value.name.startswith(prefix) for value in enum.values) else ""
