"""What every transaction passes before its messages run: the checks, the fee, the sequences.

The order and the refusals are those of the Cosmos SDK's ante handler; the costly check comes last.
Everything is written to the context given: the caller drops its branch when a check refuses.
"""

from base64 import b64encode
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message

from chain._pb.cosmos.crypto.secp256k1 import keys_pb2
from chain._pb.cosmos.tx.signing.v1beta1 import signing_pb2
from chain.runtime.address import compute_account_address, decode_address
from chain.runtime.codec import compute_type_url
from chain.runtime.coins import format_coins, parse_coins
from chain.runtime.context import Context, Mode
from chain.runtime.definition import Accounts, Fees
from chain.runtime.errors import (
    InsufficientFee,
    InvalidGasLimit,
    InvalidPubKey,
    InvalidRequest,
    MemoTooLarge,
    NoSignatures,
    NotSupported,
    TooManySignatures,
    TxTimeout,
    TxTimeoutHeight,
    Unauthorized,
    UnknownAddress,
    UnknownExtensionOptions,
    WrongSequence,
)
from chain.runtime.gas import READ_BYTE, READ_FLAT, WRITE_BYTE, WRITE_FLAT
from chain.runtime.module import MessageRoute
from chain.runtime.router import Router, get_signers
from chain.runtime.signatures import PUBLIC_KEY_SIZE, is_signature_valid
from chain.runtime.tx import Transaction, compute_sign_bytes, decode_tx
from chain.units import NANOSECONDS, Address, ceil_div

GAS_LIMIT_MAX: Final = (1 << 63) - 1
SECP256K1_TYPE_URL: Final = compute_type_url(keys_pb2.PubKey)
_SIGNATURE_BYTES: Final = 66
"""A signature in a transaction, with its tag and length."""
_FEE_BYTES: Final = 48
_FEE_GAS: Final = 2 * (READ_FLAT + WRITE_FLAT) + 2 * 80 * (READ_BYTE + WRITE_BYTE)
"""A fee's move between two balances, of up to 80 bytes each with their keys."""

_DIRECT: Final = signing_pb2.SIGN_MODE_DIRECT
_UNSPECIFIED: Final = signing_pb2.SIGN_MODE_UNSPECIFIED


@dataclass(frozen=True, slots=True)
class GasPrice:
    """A node's minimum gas price: numerator/10^18 of the denom a unit of gas."""

    denom: str
    price_wad: int


@dataclass(slots=True)
class SignatureCache:
    """Which transactions' signatures were found good, and against which keys and account numbers.

    A pure function's memory: it spares FinalizeBlock the work CheckTx did and changes no result.
    """

    capacity: int = 50_000
    _entries: OrderedDict[bytes, tuple[tuple[bytes, int], ...]] = field(default_factory=OrderedDict)

    def has(self, tx_hash: bytes, signers: tuple[tuple[bytes, int], ...]) -> bool:
        """Whether these signers' signatures of the transaction were verified."""
        return self._entries.get(tx_hash) == signers

    def add(self, tx_hash: bytes, signers: tuple[tuple[bytes, int], ...]) -> None:
        """Remember a success; the oldest is forgotten over capacity."""
        self._entries[tx_hash] = signers
        while len(self._entries) > self.capacity:
            try:
                self._entries.popitem(last=False)
            except KeyError:  # Another thread emptied it.
                break


class PreparedSigner(NamedTuple):
    """One signer as the transaction states it.

    `key` is None when the key stated is none of ours, or there is none: the account may hold it.
    """

    address: Address
    sequence: int
    signature: bytes
    key: bytes | None


class PreparedTx(NamedTuple):
    """A transaction that passed every check without state: its signers (in order), payer, fee.

    `steps` are its messages with route, type URL and first signer, ready to run. What the ante asks
    each time is read from protobuf here, once for CheckTx, rechecks and FinalizeBlock.
    """

    tx: Transaction
    signers: tuple[PreparedSigner, ...]
    payer: Address
    fee: tuple[tuple[str, int], ...]
    steps: tuple[tuple[MessageRoute, Message, str, str], ...]
    gas_limit: int
    memo_characters: int
    timeout_height: int
    timeout_ns: int | None


def prepare_tx(router: Router, raw: bytes) -> PreparedTx:
    """The transaction of the bytes; raises on anything wrong that needs no state to see."""
    tx = decode_tx(router.codec, raw)
    body, auth_info = tx.body, tx.auth_info
    fee = auth_info.fee
    _refuse_unoffered(body, auth_info, fee)
    if not tx.messages:
        raise InvalidRequest("must contain at least one message")
    gas_limit = fee.gas_limit
    if gas_limit > GAS_LIMIT_MAX:
        raise InvalidGasLimit(f"gas limit {gas_limit} is above {GAS_LIMIT_MAX}")
    addresses: dict[str, None] = {}
    steps = []
    for packed, message in zip(body.messages, tx.messages, strict=True):
        type_url = packed.type_url
        route = router.get_route(type_url)
        own = get_signers(route, message)
        for address in own:
            decode_address(address, route.signer_field)
            addresses[address] = None
        steps.append((route, message, type_url, own[0] if own else ""))
    if not addresses:
        raise InvalidRequest("the messages name no signer")
    payer = fee.payer
    if payer:
        decode_address(payer, "fee payer")
        addresses[payer] = None
    if not tx.signatures:
        raise NoSignatures("sign the transaction")
    infos = auth_info.signer_infos
    if len(tx.signatures) != len(addresses) or len(infos) != len(addresses):
        raise Unauthorized(
            f"wrong number of signers; expected {len(addresses)}, got {len(tx.signatures)} "
            f"signatures and {len(infos)} signer infos"
        )
    signers = tuple(
        PreparedSigner(Address(address), info.sequence, signature, _find_key(address, info))
        for address, info, signature in zip(addresses, infos, tx.signatures, strict=True)
    )
    return PreparedTx(
        tx=tx,
        signers=signers,
        payer=Address(payer) or signers[0].address,
        fee=tuple(parse_coins(fee.amount, "fee")),
        steps=tuple(steps),
        gas_limit=gas_limit,
        memo_characters=len(body.memo),
        timeout_height=body.timeout_height,
        timeout_ns=_get_timeout_ns(body),
    )


def _find_key(address: str, info: Any) -> bytes | None:
    """The key stated for an address when it is a good one; the ante judges every other case."""
    packed = info.public_key
    if packed.type_url != SECP256K1_TYPE_URL:
        return None
    key: bytes = keys_pb2.PubKey.FromString(packed.value).key
    if len(key) != PUBLIC_KEY_SIZE or compute_account_address(key) != address:
        return None
    return key


def _get_timeout_ns(body: Any) -> int | None:
    if not body.HasField("timeout_timestamp"):
        return None
    timeout = body.timeout_timestamp
    return int(timeout.seconds * NANOSECONDS + timeout.nanos)


def _refuse_unoffered(body: Any, auth_info: Any, fee: Any) -> None:
    """Raises for features of the wire format that would otherwise be ignored in silence."""
    if body.extension_options or body.non_critical_extension_options:
        raise UnknownExtensionOptions("this chain knows no extension options; leave them out")
    if body.unordered:
        raise NotSupported("unordered transactions are not offered; use the account's sequence")
    if auth_info.HasField("tip"):
        raise NotSupported("tips are not offered; leave the tip out")
    if fee.granter:
        raise NotSupported("fee grants are not offered; leave the fee granter out")


class Ante:
    """The checks, bound to a chain's router and keepers of accounts and fees."""

    def __init__(
        self,
        router: Router,
        accounts: Accounts,
        fees: Fees,
        cache: SignatureCache,
        minimum_gas_prices: Sequence[GasPrice] = (),
    ) -> None:
        self._router = router
        self._accounts = accounts
        self._fees = fees
        self._cache = cache
        self._minimum_gas_prices = tuple(minimum_gas_prices)

    def run(self, ctx: Context, prepared: PreparedTx) -> None:
        """Check the transaction against state, take its fee, advance sequences; or raise."""
        signers, gas = prepared.signers, ctx.gas
        _validate_timeouts(ctx, prepared)
        params = self._accounts.get_params(ctx)
        if prepared.memo_characters > params.max_memo_characters:
            raise MemoTooLarge(
                f"maximum number of characters is {params.max_memo_characters} but received "
                f"{prepared.memo_characters} characters"
            )
        gas.consume(_compute_size_gas(ctx.mode, prepared, params.tx_size_cost_per_byte))
        is_for_mempool = ctx.mode in (Mode.CHECK, Mode.RECHECK)
        if is_for_mempool:
            self._validate_minimum_fee(prepared)
        accounts = self._load_accounts(ctx, prepared)
        if prepared.fee:
            self._fees.deduct_fee(ctx, prepared.payer, prepared.fee)
        if len(signers) > params.tx_sig_limit:
            raise TooManySignatures(f"signatures: {len(signers)}, limit: {params.tx_sig_limit}")
        gas.consume(params.sig_verify_cost_secp256k1 * len(signers))
        keys = [_get_key(ctx, prepared, index, account) for index, account in enumerate(accounts)]
        for signer, account in zip(signers, accounts, strict=True):
            if signer.sequence != account.sequence:
                raise WrongSequence(
                    f"account sequence mismatch, expected {account.sequence}, got {signer.sequence}"
                )
        if ctx.mode is not Mode.SIMULATE:
            self._verify_signatures(ctx, prepared, accounts, keys)
        for account in accounts:
            account.sequence += 1
            self._accounts.set_account(ctx, account)
        if not is_for_mempool:
            _emit_tx_events(ctx, prepared)

    def _validate_minimum_fee(self, prepared: PreparedTx) -> None:
        """At least one of the node's prices must be met, as in the SDK."""
        if not self._minimum_gas_prices:
            return
        gas_limit = prepared.gas_limit
        offered = dict(prepared.fee)
        required = [
            (price.denom, ceil_div(price.price_wad * gas_limit, 10**18))
            for price in self._minimum_gas_prices
        ]
        if not any(offered.get(denom, 0) >= amount for denom, amount in required):
            raise InsufficientFee(
                f"insufficient fees; got: {format_coins(prepared.fee)} required: "
                f"{format_coins(required)}"
            )

    def _load_accounts(self, ctx: Context, prepared: PreparedTx) -> list[Any]:
        """Each signer's account (the payer is one of them), for the ante to change and store."""
        loaded = []
        for signer in prepared.signers:
            account = self._accounts.get_account(ctx, signer.address)
            if account is None:
                raise UnknownAddress(f"account {signer.address} does not exist; fund it first")
            loaded.append(account)
        return loaded

    def _verify_signatures(
        self, ctx: Context, prepared: PreparedTx, accounts: Sequence[Any], keys: Sequence[bytes]
    ) -> None:
        tx = prepared.tx
        signed = tuple(
            (key, account.account_number) for key, account in zip(keys, accounts, strict=True)
        )
        if self._cache.has(tx.hash, signed):
            return
        for index, (key, account_number) in enumerate(signed):
            _validate_mode(tx.auth_info.signer_infos[index])
            sign_bytes = compute_sign_bytes(
                tx.body_bytes, tx.auth_info_bytes, ctx.chain_id, account_number
            )
            if not is_signature_valid(key, sign_bytes, tx.signatures[index]):
                raise Unauthorized(
                    "signature verification failed; please verify account number "
                    f"({account_number}), sequence ({accounts[index].sequence}) and chain-id "
                    f"({ctx.chain_id})"
                )
        self._cache.add(tx.hash, signed)


def _compute_size_gas(mode: Mode, prepared: PreparedTx, byte_cost: int) -> int:
    """Gas for the bytes; a simulated transaction counts the signatures and fee it still lacks."""
    tx = prepared.tx
    gas = byte_cost * len(tx.raw)
    if mode is not Mode.SIMULATE:
        return gas
    missing = _SIGNATURE_BYTES * sum(not signature for signature in tx.signatures)
    if prepared.fee:
        return gas + byte_cost * missing
    return gas + byte_cost * (missing + _FEE_BYTES) + _FEE_GAS


def _validate_timeouts(ctx: Context, prepared: PreparedTx) -> None:
    timeout_height, timeout_ns = prepared.timeout_height, prepared.timeout_ns
    if timeout_height and ctx.height > timeout_height:
        raise TxTimeoutHeight(f"block height: {ctx.height}, timeout height: {timeout_height}")
    if timeout_ns is not None and ctx.time_ns > timeout_ns:
        raise TxTimeout(f"block time: {ctx.time_ns}, timeout timestamp: {timeout_ns}")


def _get_key(ctx: Context, prepared: PreparedTx, index: int, account: Any) -> bytes:
    """The key a signer verifies with; the account's first transaction records it in the account."""
    signer = prepared.signers[index]
    stored = account.pub_key
    if signer.key is not None:
        if not stored.value:
            stored.CopyFrom(prepared.tx.auth_info.signer_infos[index].public_key)
        return signer.key
    packed = prepared.tx.auth_info.signer_infos[index].public_key
    if packed.type_url:
        _unpack_public_key(packed)
        raise InvalidPubKey(
            f"pubKey does not match signer address {signer.address} with signer index: {index}"
        )
    if stored.value:
        return _unpack_public_key(stored)
    if ctx.mode is Mode.SIMULATE:
        return b""  # Clients simulate before they reveal a key.
    raise InvalidPubKey(f"account {account.address} has no key yet; send it in signer_infos")


def _validate_mode(info: Any) -> None:
    if info.mode_info.WhichOneof("sum") != "single" or info.mode_info.single.mode != _DIRECT:
        raise NotSupported("only SIGN_MODE_DIRECT with a single key is offered")


def _unpack_public_key(packed: Any) -> bytes:
    """The 33 bytes of a secp256k1 key; raises InvalidPubKey for another type or no point."""
    if packed.type_url != SECP256K1_TYPE_URL:
        raise InvalidPubKey(f"key type {packed.type_url[:100]} is not {SECP256K1_TYPE_URL}")
    key: bytes = keys_pb2.PubKey.FromString(packed.value).key
    if len(key) != PUBLIC_KEY_SIZE:
        raise InvalidPubKey(f"a secp256k1 key has {PUBLIC_KEY_SIZE} bytes, not {len(key)}")
    return key


def _emit_tx_events(ctx: Context, prepared: PreparedTx) -> None:
    """The events by which clients find a transaction by payer, sequence and signature."""
    ctx.emit("tx", {"fee": format_coins(prepared.fee), "fee_payer": prepared.payer})
    for signer in prepared.signers:
        ctx.emit("tx", {"acc_seq": f"{signer.address}/{signer.sequence}"})
        ctx.emit("tx", {"signature": b64encode(signer.signature).decode()})
