"""Transactions in the Cosmos wire format: built, signed with SIGN_MODE_DIRECT and named by hash."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.cosmos.crypto.secp256k1 import keys_pb2
from chain._pb.cosmos.tx.signing.v1beta1 import signing_pb2
from chain._pb.cosmos.tx.v1beta1 import tx_pb2
from chain.client.wallet import Wallet
from chain.units import ceil_div

FEE_DENOM: Final = "umargin"
GAS_PRICE_SCALE: Final = 10**6
"""Gas prices are integers of millionths of a fee unit per gas."""


@dataclass(frozen=True, slots=True)
class Fee:
    """What a transaction pays and the gas it may use; amount 0 sends no coin."""

    gas_limit: int
    amount: int = 0
    denom: str = FEE_DENOM
    granter: str = ""


@dataclass(frozen=True, slots=True)
class SignerState:
    """The numbers a signature binds: chain id, account number and next sequence."""

    chain_id: str
    account_number: int
    sequence: int


def compute_fee_amount(gas_limit: int, gas_price_micro: int) -> int:
    """The fee for a gas limit, rounded up; the price is in millionths of a fee unit per gas."""
    return ceil_div(gas_limit * gas_price_micro, GAS_PRICE_SCALE)


def pack_any(message: Message) -> Any:
    """The message inside an Any with the type URL `/full.name` that the Cosmos wire uses."""
    packed = Any()
    packed.Pack(message, type_url_prefix="", deterministic=True)
    return packed


def build_body(
    messages: Sequence[Message], *, memo: str = "", timeout_height: int = 0
) -> tx_pb2.TxBody:
    """The body of a transaction: its messages in order of execution."""
    return tx_pb2.TxBody(
        messages=[pack_any(message) for message in messages],
        memo=memo,
        timeout_height=timeout_height,
    )


def build_auth_info(
    public_key: bytes, sequence: int, fee: Fee, *, is_signed: bool = True
) -> tx_pb2.AuthInfo:
    """Who signs and what is paid; an unsigned one carries the unspecified mode, for Simulate."""
    mode = signing_pb2.SIGN_MODE_DIRECT if is_signed else signing_pb2.SIGN_MODE_UNSPECIFIED
    coins = [coin_pb2.Coin(denom=fee.denom, amount=str(fee.amount))] if fee.amount else []
    return tx_pb2.AuthInfo(
        signer_infos=[
            tx_pb2.SignerInfo(
                public_key=pack_any(keys_pb2.PubKey(key=public_key)),
                mode_info=tx_pb2.ModeInfo(single=tx_pb2.ModeInfo.Single(mode=mode)),
                sequence=sequence,
            )
        ],
        fee=tx_pb2.Fee(amount=coins, gas_limit=fee.gas_limit, granter=fee.granter),
    )


def build_sign_bytes(body_bytes: bytes, auth_info_bytes: bytes, signer: SignerState) -> bytes:
    """The bytes that SIGN_MODE_DIRECT signs (Cosmos SDK ADR 020)."""
    document = tx_pb2.SignDoc(
        body_bytes=body_bytes,
        auth_info_bytes=auth_info_bytes,
        chain_id=signer.chain_id,
        account_number=signer.account_number,
    )
    return document.SerializeToString(deterministic=True)


def sign_transaction(
    wallet: Wallet,
    messages: Sequence[Message],
    signer: SignerState,
    fee: Fee,
    *,
    memo: str = "",
    timeout_height: int = 0,
) -> bytes:
    """The bytes of a TxRaw ready to broadcast."""
    body = build_body(messages, memo=memo, timeout_height=timeout_height)
    auth_info = build_auth_info(wallet.public_key, signer.sequence, fee)
    body_bytes = body.SerializeToString(deterministic=True)
    auth_info_bytes = auth_info.SerializeToString(deterministic=True)
    signature = wallet.sign(build_sign_bytes(body_bytes, auth_info_bytes, signer))
    raw = tx_pb2.TxRaw(
        body_bytes=body_bytes, auth_info_bytes=auth_info_bytes, signatures=[signature]
    )
    return raw.SerializeToString(deterministic=True)


def build_simulation(
    public_key: bytes, messages: Sequence[Message], sequence: int, *, memo: str = ""
) -> bytes:
    """The bytes of an unsigned transaction for Simulate: one empty signature, no fee."""
    raw = tx_pb2.TxRaw(
        body_bytes=build_body(messages, memo=memo).SerializeToString(deterministic=True),
        auth_info_bytes=build_auth_info(
            public_key, sequence, Fee(gas_limit=0), is_signed=False
        ).SerializeToString(deterministic=True),
        signatures=[b""],
    )
    return raw.SerializeToString(deterministic=True)


def compute_tx_hash(tx: bytes) -> str:
    """The name of a transaction: upper-case hexadecimal SHA-256 of its bytes."""
    return hashlib.sha256(tx).hexdigest().upper()
