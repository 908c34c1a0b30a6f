"""Transactions: SIGN_MODE_DIRECT sign bytes and signatures, and which bytes are a transaction."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from coincurve import PrivateKey

from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_pb2
from chain._pb.cosmos.crypto.secp256k1 import keys_pb2
from chain.errors import ChainError
from chain.runtime.address import compute_account_address, decode_address, decode_foreign_address
from chain.runtime.codec import Codec
from chain.runtime.signatures import is_signature_valid
from chain.runtime.tx import Transaction, compute_sign_bytes, decode_tx
from tests.vectors.families import CaseResult

PREFIX: Final = "cosmos"
MALLEABLE: Final = (
    "auth_info twice",
    "body twice",
    "empty body",
    "overlong tag varint",
    "unknown non-critical field",
)
"""Forms the oracle accepts beside the canonical one: a second hash for one transaction."""


def run(folder: Path) -> Iterator[CaseResult]:
    """`sign_direct` and `decode` cases, named by group and position."""
    path = folder / "generated" / "cosmos_tx_adr027_signdoc.json"
    if not path.exists():
        return
    document = json.loads(path.read_text())
    codec = Codec([bank_pb2.MsgSend, bank_pb2.MsgMultiSend, keys_pb2.PubKey])
    for index, case in enumerate(document["sign_direct"]):
        differences = list(_compare_signature(codec, case))
        yield CaseResult(f"sign_direct[{index}]", not differences, "; ".join(differences))
    for index, case in enumerate(document["decode"]):
        yield _run_decode(codec, f"decode[{index}] {case['what']}", case)


def _compare_signature(codec: Codec, case: dict[str, Any]) -> Iterator[str]:
    body = bytes.fromhex(case["body_bytes"])
    auth_info = bytes.fromhex(case["auth_info_bytes"])
    sign_bytes = compute_sign_bytes(body, auth_info, case["chain_id"], int(case["account_number"]))
    if sign_bytes.hex() != case["sign_doc_bytes"]:
        yield "sign doc differs"
    key = PrivateKey(bytes.fromhex(case["privkey"]))
    public_key = key.public_key.format()
    if public_key.hex() != case["pubkey_compressed"]:
        yield "public key differs"
    signature = bytes.fromhex(case["signature_rfc6979_low_s"])
    if key.sign_recoverable(sign_bytes)[:64] != signature:
        yield "our signature differs"
    if not is_signature_valid(public_key, sign_bytes, signature):
        yield "signature refused"
    if is_signature_valid(public_key, sign_bytes + b"\x00", signature):
        yield "signature accepted for other bytes"
    raw = bytes.fromhex(case["tx_bytes"])
    tx = decode_tx(codec, raw)
    if tx.hash.hex().upper() != case["tx_hash"] or sha256(raw).digest() != tx.hash:
        yield "hash differs"
    if (tx.body_bytes, tx.auth_info_bytes, tx.signatures) != (body, auth_info, (signature,)):
        yield "decoded parts differ"
    ours = decode_address(compute_account_address(public_key))
    if ours != decode_foreign_address(case["address"], PREFIX):
        yield "address differs"


def _run_decode(codec: Codec, name: str, case: dict[str, Any]) -> CaseResult:
    raw = bytes.fromhex(case["tx"])
    refusal = ""
    try:
        _validate_addresses(decode_tx(codec, raw))
    except ChainError as error:
        refusal = str(error)
    if case["accepted"] == (not refusal):
        return CaseResult(name, agree=True, detail=refusal)
    if case["accepted"] and (_is_malleable(case) or not _is_text(raw)):
        return CaseResult(name, agree=True, detail=refusal, stricter=True)
    return CaseResult(name, agree=False, detail=refusal or f"oracle: {case['go_error']}")


def _validate_addresses(tx: Transaction) -> None:
    """The oracle's decoder reads the signers' addresses too."""
    for message in tx.messages:
        if isinstance(message, bank_pb2.MsgSend):
            decode_foreign_address(message.from_address, PREFIX)


def _is_malleable(case: dict[str, Any]) -> bool:
    return any(case["what"].startswith(form) for form in MALLEABLE)


def _is_text(raw: bytes) -> bool:
    """Whether the transaction's texts are UTF-8, which proto3 demands and the oracle lets pass.

    Only a flipped top bit can break them in these cases: every byte of the texts is ASCII.
    """
    body = raw[: raw.rfind(b"/cosmos.crypto.secp256k1.PubKey")]
    texts = body[max(0, body.find(b"/cosmos.bank")) :]
    try:
        texts.decode()
    except UnicodeDecodeError:
        return False
    return True
