"""Cosmos SDK transactions: bytes to a checked Transaction, and the bytes that are signed.

Rule: exactly one byte string is a given transaction (stricter than ADR-027, which lets repeated
fields, over-long tags and non-critical unknown fields pass). The hash therefore names it.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from chain._pb.cosmos.tx.v1beta1 import tx_pb2
from chain.runtime.codec import Codec
from chain.runtime.errors import TxDecode, TxTooLarge

TX_BYTES_MAX: Final = 1 << 20
MESSAGES_MAX: Final = 256
"""Most messages of one transaction."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A decoded transaction; `messages` are the bodies of `body.messages`, in order.

    The protobuf messages are shared by every execution of these bytes: nobody may change them.
    """

    raw: bytes
    hash: bytes
    body_bytes: bytes
    auth_info_bytes: bytes
    signatures: tuple[bytes, ...]
    body: Any
    auth_info: Any
    messages: tuple[Message, ...]


def decode_tx(codec: Codec, raw: bytes) -> Transaction:
    """The transaction; raises TxTooLarge above 1 MiB and TxDecode unless raw is its canonical
    form.
    """
    if len(raw) > TX_BYTES_MAX:
        raise TxTooLarge(f"transaction of {len(raw)} bytes is above {TX_BYTES_MAX}; split it")
    if not raw:
        raise TxDecode("transaction is empty")
    tx_raw = codec.decode(tx_pb2.TxRaw, raw, "TxRaw")
    body_bytes, auth_info_bytes = tx_raw.body_bytes, tx_raw.auth_info_bytes
    body, nested = codec.decode_with_messages(tx_pb2.TxBody, body_bytes, "TxBody")
    auth_info = codec.decode(tx_pb2.AuthInfo, auth_info_bytes, "AuthInfo")
    count = len(body.messages)
    if count > MESSAGES_MAX:
        raise TxDecode(f"transaction of {count} messages is above {MESSAGES_MAX}; split it")
    return Transaction(
        raw=raw,
        hash=hashlib.sha256(raw).digest(),
        body_bytes=body_bytes,
        auth_info_bytes=auth_info_bytes,
        signatures=tuple(tx_raw.signatures),
        body=body,
        auth_info=auth_info,
        # The scan is breadth first and field 1 of a canonical body comes first on the wire.
        messages=tuple(nested[:count]),
    )


def compute_sign_bytes(
    body_bytes: bytes, auth_info_bytes: bytes, chain_id: str, account_number: int
) -> bytes:
    """The SignDoc of SIGN_MODE_DIRECT."""
    return bytes(
        tx_pb2.SignDoc(
            body_bytes=body_bytes,
            auth_info_bytes=auth_info_bytes,
            chain_id=chain_id,
            account_number=account_number,
        ).SerializeToString(deterministic=True)
    )


def encode_tx(tx: Any) -> bytes:
    """The TxRaw bytes of a cosmos.tx.v1beta1.Tx."""
    raw = tx_pb2.TxRaw(
        body_bytes=tx.body.SerializeToString(deterministic=True),
        auth_info_bytes=tx.auth_info.SerializeToString(deterministic=True),
        signatures=tx.signatures,
    )
    return bytes(raw.SerializeToString(deterministic=True))
