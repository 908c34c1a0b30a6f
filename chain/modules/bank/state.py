"""Balances and supplies: b<len><address><denom>, s<denom>, m<denom>; amounts as decimal text.

Invariant: the supply of a denom is the sum of its balances; only mint and burn change it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from chain._pb.cosmos.bank.v1beta1 import bank_pb2
from chain.modules.auth import state as auth_state
from chain.modules.auth.types import FEE_COLLECTOR, module_address
from chain.modules.bank.errors import BalanceOverflow, InsufficientFunds
from chain.modules.bank.types import build_default_params, validate_params
from chain.modules.params import state as params_state
from chain.runtime.address import decode_address, encode_address
from chain.runtime.coins import format_coins
from chain.runtime.context import Context
from chain.units import AMOUNT_LIMIT, Address

STORE: Final = "bank"
BALANCE_PREFIX: Final = b"b"
SUPPLY_PREFIX: Final = b"s"
METADATA_PREFIX: Final = b"m"

PARAMS: Final = params_state.declare_params(
    STORE, bank_pb2.Params, build_default_params, validate_params
)
_FEE_COLLECTOR: Final = module_address(FEE_COLLECTOR)


def compute_account_prefix(address: str) -> bytes:
    """The prefix of all balances of an address."""
    raw = decode_address(address)
    return BALANCE_PREFIX + bytes([len(raw)]) + raw


def get_balance(ctx: Context, address: Address, denom: str) -> int:
    """The balance in atomic units; 0 when there is none."""
    return int(ctx.kv(STORE).get(compute_account_prefix(address) + denom.encode()) or 0)


def _set(ctx: Context, key: bytes, amount: int) -> None:
    if amount:
        ctx.kv(STORE).set(key, b"%d" % amount)
    else:
        ctx.kv(STORE).delete(key)


def debit(ctx: Context, address: Address, denom: str, amount: int) -> None:
    """Take from a balance without events; raises InsufficientFunds. The caller credits or burns."""
    assert amount >= 0, f"a negative amount {amount}"
    key = compute_account_prefix(address) + denom.encode()
    balance = int(ctx.kv(STORE).get(key) or 0)
    if balance < amount:
        raise InsufficientFunds(
            f"spendable balance {balance}{denom} is smaller than {amount}{denom}",
            balance=balance,
            required=amount,
        )
    _set(ctx, key, balance - amount)


def credit(ctx: Context, address: Address, denom: str, amount: int) -> None:
    """Add to a balance without events, creating the account; the caller debited or minted it.

    Raises BalanceOverflow at 2^256.
    """
    assert amount >= 0, f"a negative amount {amount}"
    if not amount:
        return
    key = compute_account_prefix(address) + denom.encode()
    kv = ctx.kv(STORE)
    stored = kv.get(key)
    balance = amount if stored is None else int(stored) + amount
    if balance >= AMOUNT_LIMIT:
        raise BalanceOverflow(f"balance of {denom} would reach {balance}, not below 2^256")
    kv.set(key, b"%d" % balance)
    if stored is None:
        # Whoever holds a coin has an account: it was created with the first one.
        auth_state.ensure_account(ctx, address)


def move(ctx: Context, sender: Address, receiver: Address, denom: str, amount: int) -> None:
    """Transfer, with the SDK's events; raises InsufficientFunds."""
    move_coins(ctx, sender, receiver, ((denom, amount),))


def move_coins(
    ctx: Context, sender: Address, receiver: Address, coins: Sequence[tuple[str, int]]
) -> None:
    """Transfer several denoms, with one event of each kind; raises InsufficientFunds."""
    for denom, amount in coins:
        debit(ctx, sender, denom, amount)
        credit(ctx, receiver, denom, amount)
    text = format_coins(coins)
    ctx.emit("coin_spent", {"spender": sender, "amount": text})
    ctx.emit("coin_received", {"receiver": receiver, "amount": text})
    ctx.emit("transfer", {"recipient": receiver, "sender": sender, "amount": text})


def mint(ctx: Context, address: Address, denom: str, amount: int) -> None:
    """Create coins at an address; raises BalanceOverflow when the supply reaches 2^256."""
    supply = get_supply(ctx, denom) + amount
    if supply >= AMOUNT_LIMIT:
        raise BalanceOverflow(f"supply of {denom} would reach {supply}, not below 2^256")
    _set(ctx, SUPPLY_PREFIX + denom.encode(), supply)
    credit(ctx, address, denom, amount)
    text = f"{amount}{denom}"
    ctx.emit("coinbase", {"minter": address, "amount": text})
    ctx.emit("coin_received", {"receiver": address, "amount": text})


def burn(ctx: Context, address: Address, denom: str, amount: int) -> None:
    """Destroy coins of an address; raises InsufficientFunds."""
    debit(ctx, address, denom, amount)
    _set(ctx, SUPPLY_PREFIX + denom.encode(), get_supply(ctx, denom) - amount)
    text = f"{amount}{denom}"
    ctx.emit("coin_spent", {"spender": address, "amount": text})
    ctx.emit("burn", {"burner": address, "amount": text})


def deduct_fee(ctx: Context, payer: Address, coins: Sequence[tuple[str, int]]) -> None:
    """Move a fee to the fee collector without events: the tx event names fee and payer."""
    for denom, amount in coins:
        debit(ctx, payer, denom, amount)
        credit(ctx, _FEE_COLLECTOR, denom, amount)


def get_supply(ctx: Context, denom: str) -> int:
    """The total supply in atomic units."""
    return int(ctx.kv(STORE).get(SUPPLY_PREFIX + denom.encode()) or 0)


def set_supply(ctx: Context, denom: str, amount: int) -> None:
    """State the supply of balances credited from a genesis."""
    _set(ctx, SUPPLY_PREFIX + denom.encode(), amount)


def get_balances(ctx: Context) -> Iterator[tuple[Address, str, int]]:
    """All (address, denom, amount), by address and denom."""
    for key, value in ctx.kv(STORE).iterate(BALANCE_PREFIX):
        size = key[1]
        yield encode_address(key[2 : 2 + size]), key[2 + size :].decode(), int(value)


def get_supplies(ctx: Context) -> Iterator[tuple[str, int]]:
    """All (denom, supply) by denom."""
    for key, value in ctx.kv(STORE).iterate(SUPPLY_PREFIX):
        yield key[1:].decode(), int(value)


def set_metadata(ctx: Context, metadata: Any) -> None:
    """Store what a denom is called."""
    ctx.kv(STORE).set(
        METADATA_PREFIX + metadata.base.encode(), metadata.SerializeToString(deterministic=True)
    )


def get_metadata(ctx: Context, denom: str) -> bank_pb2.Metadata | None:
    """What a denom is called, or None."""
    data = ctx.kv(STORE).get(METADATA_PREFIX + denom.encode())
    return None if data is None else bank_pb2.Metadata.FromString(data)


def find_broken_supply(ctx: Context) -> tuple[str, int, int] | None:
    """The first (denom, supply, sum of balances) that differ, or None: the invariant of the
    bank.
    """
    sums: dict[str, int] = {}
    for _, denom, amount in get_balances(ctx):
        sums[denom] = sums.get(denom, 0) + amount
    supplies = dict(get_supplies(ctx))
    for denom in sorted({**sums, **supplies}):
        if sums.get(denom, 0) != supplies.get(denom, 0):
            return denom, supplies.get(denom, 0), sums.get(denom, 0)
    return None
