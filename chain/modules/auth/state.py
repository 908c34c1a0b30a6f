"""The store of accounts: a/<address> BaseAccount, m/<address> ModuleAccount, n the next number."""

from collections.abc import Iterator
from typing import Final

from chain._pb.cosmos.auth.v1beta1 import auth_pb2
from chain.modules.auth.types import build_default_params, module_address, validate_params
from chain.modules.params import state as params_state
from chain.runtime.address import decode_address
from chain.runtime.context import Context
from chain.units import Address

STORE: Final = "auth"
ACCOUNT_PREFIX: Final = b"a"
MODULE_ACCOUNT_PREFIX: Final = b"m"
_NEXT_NUMBER: Final = b"n"

PARAMS: Final = params_state.declare_params(
    STORE, auth_pb2.Params, build_default_params, validate_params
)


def get_params(ctx: Context) -> auth_pb2.Params:
    """The parameters in force."""
    return PARAMS.get(ctx)


def get_account(ctx: Context, address: Address) -> auth_pb2.BaseAccount | None:
    """The account of a user, or None; module accounts are not users'."""
    data = ctx.kv(STORE).get(ACCOUNT_PREFIX + decode_address(address))
    return None if data is None else auth_pb2.BaseAccount.FromString(data)


def set_account(ctx: Context, account: auth_pb2.BaseAccount) -> None:
    """Store a changed account."""
    key = ACCOUNT_PREFIX + decode_address(account.address)
    ctx.kv(STORE).set(key, account.SerializeToString(deterministic=True))


def ensure_account(ctx: Context, address: Address) -> None:
    """Create the account of an address that has none, with the next account number."""
    raw = decode_address(address)
    kv = ctx.kv(STORE)
    if kv.has(ACCOUNT_PREFIX + raw) or kv.has(MODULE_ACCOUNT_PREFIX + raw):
        return
    set_account(ctx, auth_pb2.BaseAccount(address=address, account_number=take_account_number(ctx)))


def take_account_number(ctx: Context) -> int:
    """The next free account number, now used."""
    number = get_next_account_number(ctx)
    set_next_account_number(ctx, number + 1)
    return number


def get_next_account_number(ctx: Context) -> int:
    """The number the next account gets."""
    return int.from_bytes(ctx.kv(STORE).get(_NEXT_NUMBER) or b"")


def set_next_account_number(ctx: Context, number: int) -> None:
    """Set the number the next account gets."""
    ctx.kv(STORE).set(_NEXT_NUMBER, number.to_bytes(8))


def ensure_module_account(ctx: Context, name: str) -> None:
    """Create a module's account when it has none: nobody can sign for it or send to it by
    MsgSend.
    """
    address = module_address(name)
    key = MODULE_ACCOUNT_PREFIX + decode_address(address)
    kv = ctx.kv(STORE)
    if not kv.has(key):
        account = auth_pb2.ModuleAccount(
            base_account=auth_pb2.BaseAccount(
                address=address, account_number=take_account_number(ctx)
            ),
            name=name,
        )
        kv.set(key, account.SerializeToString(deterministic=True))


def get_module_account(ctx: Context, address: Address) -> auth_pb2.ModuleAccount | None:
    """The module account at an address, or None."""
    data = ctx.kv(STORE).get(MODULE_ACCOUNT_PREFIX + decode_address(address))
    return None if data is None else auth_pb2.ModuleAccount.FromString(data)


def is_module_account(ctx: Context, address: Address) -> bool:
    """Whether a module holds the address."""
    return ctx.kv(STORE).has(MODULE_ACCOUNT_PREFIX + decode_address(address))


def set_module_account(ctx: Context, account: auth_pb2.ModuleAccount) -> None:
    """Store a module account (genesis)."""
    key = MODULE_ACCOUNT_PREFIX + decode_address(account.base_account.address)
    ctx.kv(STORE).set(key, account.SerializeToString(deterministic=True))


def get_accounts(ctx: Context) -> Iterator[auth_pb2.BaseAccount]:
    """All user accounts by address."""
    for _, data in ctx.kv(STORE).iterate(ACCOUNT_PREFIX):
        yield auth_pb2.BaseAccount.FromString(data)


def get_module_accounts(ctx: Context) -> Iterator[auth_pb2.ModuleAccount]:
    """All module accounts by address."""
    for _, data in ctx.kv(STORE).iterate(MODULE_ACCOUNT_PREFIX):
        yield auth_pb2.ModuleAccount.FromString(data)
