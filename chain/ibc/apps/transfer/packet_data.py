"""Packet data and acknowledgements of ics20-1, as JSON, read the way ibc-go reads them.

Unknown keys are ignored, of equal keys the last counts, keys match in any case of letters. Amounts
are stricter: ibc-go takes "010" for eight and "0x10" for sixteen; here a text that is not a plain
decimal is refused, so that no two chains can read two numbers.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Final

from chain.errors import ChainError
from chain.ibc.apps.transfer.denoms import BLANKS, Denom, parse_path, validate_denom
from chain.ibc.apps.transfer.errors import (
    InvalidMemo,
    InvalidPacketData,
    InvalidTransferAddress,
    InvalidTransferAmount,
)
from chain.ibc.channel.packets import DATA_BYTES_MAX
from chain.ibc.errors import InvalidAcknowledgement
from chain.runtime.json_text import JsonNumber, JsonObject, decode_json
from chain.units import InvalidAmount, parse_amount

MEMO_BYTES_MAX: Final = 32_768
RECEIVER_BYTES_MAX: Final = 2_048
SUCCESS: Final = b'{"result":"AQ=="}'
_ERROR_TEXT: Final = "error handling packet: see events for details"
_FIELDS: Final = ("denom", "amount", "sender", "receiver", "memo")
# Go's decoder folds these two letters beyond ASCII onto s and k.
_FOLDED: Final = {0x17F: "s", 0x212A: "k"}
# Go's encoder escapes what could end a script element or a line of JavaScript.
_ESCAPED: Final = {
    ord("<"): "\\u003c",
    ord(">"): "\\u003e",
    ord("&"): "\\u0026",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


@dataclass(frozen=True, slots=True)
class TransferData:
    """What a transfer packet says; denom is as the sending chain knows the token."""

    denom: Denom
    amount: int
    sender: str
    receiver: str
    memo: str = ""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The answer to a transfer: a result or an error text; neither in an empty object."""

    result: bytes | None = None
    error: str | None = None


def validate_texts(sender: str, receiver: str, memo: str) -> None:
    """Raises InvalidTransferAddress or InvalidMemo for a blank or too long text."""
    for name, text in (("sender", sender), ("receiver", receiver)):
        if not text.strip(BLANKS):
            raise InvalidTransferAddress(f"{name} address cannot be blank")
    size = len(receiver.encode())
    if size > RECEIVER_BYTES_MAX:
        raise InvalidTransferAddress(
            f"receiver has {size} bytes, at most {RECEIVER_BYTES_MAX} are allowed"
        )
    size = len(memo.encode())
    if size > MEMO_BYTES_MAX:
        raise InvalidMemo(f"memo has {size} bytes, at most {MEMO_BYTES_MAX} are allowed")


def _decode_object(data: bytes) -> JsonObject | None:
    try:
        document = decode_json(data, size_max=DATA_BYTES_MAX)
    except ValueError:
        return None
    return document if isinstance(document, JsonObject) else None


def decode_packet_data(data: bytes) -> TransferData:
    """The transfer that packet data asks for.

    Raises InvalidPacketData, InvalidTransferAmount, InvalidTransferAddress, InvalidMemo,
    InvalidDenom.
    """
    document = _decode_object(data)
    if document is None:
        raise InvalidPacketData(f"{len(data)} bytes are not one JSON object of ICS-20")
    found = dict.fromkeys(_FIELDS, "")
    for key, value in document.pairs:
        name = key.translate(_FOLDED).encode().lower().decode()
        if name not in found or value is None:
            continue
        if not isinstance(value, str) or isinstance(value, JsonNumber):
            raise InvalidPacketData(f"{name} must be a text")
        found[name] = value
    try:
        amount = parse_amount(found["amount"])
    except InvalidAmount as error:
        raise InvalidTransferAmount(error.detail) from None
    validate_texts(found["sender"], found["receiver"], found["memo"])
    denom = parse_path(found["denom"])
    validate_denom(denom)
    return TransferData(denom, amount, found["sender"], found["receiver"], found["memo"])


def format_denom(denom: Denom) -> str:
    """A denom as the JSON that ibc-go puts into events."""
    return _encode(_describe(denom)).decode()


def format_token(denom: Denom, amount: int) -> str:
    """A denom and an amount as the JSON that ibc-go puts into events."""
    return _encode({"denom": _describe(denom), "amount": str(amount)}).decode()


def _describe(denom: Denom) -> dict[str, Any]:
    hops = [{"port_id": hop.port_id, "channel_id": hop.channel_id} for hop in denom.trace]
    return {"base": denom.base, "trace": hops or None}


def _encode(document: dict[str, Any]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_ESCAPED).encode()


def encode_packet_data(transfer: TransferData) -> bytes:
    """Packet data as ibc-go writes it; an empty memo is left out."""
    document = {
        "denom": transfer.denom.path,
        "amount": str(transfer.amount),
        "sender": transfer.sender,
        "receiver": transfer.receiver,
    }
    if transfer.memo:
        document["memo"] = transfer.memo
    return _encode(document)


def encode_error(error: ChainError) -> bytes:
    """The acknowledgement of a refused transfer: the code and a fixed text, the same everywhere."""
    return _encode({"error": f"ABCI code: {error.code}: {_ERROR_TEXT}"})


def decode_acknowledgement(data: bytes) -> Acknowledgement:
    """The acknowledgement in these bytes; raises InvalidAcknowledgement.

    One answer has one form: bytes that differ from their own re-encoding are refused, as by ibc-go
    (ASA-2025-004, ISA-2025-001).
    """
    document = _decode_object(data)
    answer = None if document is None else _read_answer(document)
    if answer is None or encode_acknowledgement(answer) != data:
        raise InvalidAcknowledgement(
            f"{data[:200]!r} is not the canonical JSON of one result or one error"
        )
    return answer


def _read_answer(document: JsonObject) -> Acknowledgement | None:
    if not document.pairs:
        return Acknowledgement()
    (key, value), *others = document.pairs
    if others or not isinstance(value, str) or isinstance(value, JsonNumber):
        return None
    if key == "error":
        return Acknowledgement(error=value)
    if key != "result":
        return None
    try:
        return Acknowledgement(result=base64.b64decode(value, validate=True))
    except binascii.Error:
        return None


def encode_acknowledgement(answer: Acknowledgement) -> bytes:
    """The canonical JSON of an acknowledgement."""
    if answer.result is not None:
        return _encode({"result": base64.b64encode(answer.result).decode()})
    return _encode({} if answer.error is None else {"error": answer.error})
