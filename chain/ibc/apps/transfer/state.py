"""The transfer store: parameters, the denoms of issued vouchers, what is in escrow.

Invariant: for every denom the total in escrow is the sum of what the escrow addresses took in less
what they gave out, so it never exceeds the denom's supply. Coins that strangers gave to an escrow
address may leave it too; the total then stops at zero, and no channel's returns depend on it.
"""

from collections.abc import Iterator
from typing import Any, Final

from chain._pb.cosmos.bank.v1beta1 import bank_pb2
from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.ibc.applications.transfer.v1 import token_pb2, transfer_pb2
from chain.ibc.apps.transfer.denoms import (
    VOUCHER_PREFIX,
    Denom,
    parse_hash,
    parse_path,
)
from chain.ibc.apps.transfer.errors import DenomNotFound, InvalidDenom
from chain.modules.auth.types import module_address
from chain.modules.bank import state as bank
from chain.modules.params.state import declare_params
from chain.runtime.context import Context
from chain.runtime.pagination import get_page

STORE: Final = "transfer"
MODULE_ADDRESS: Final = module_address(STORE)
"""Where vouchers are minted on their way to a receiver."""
_DENOM: Final = b"\x01"
_ESCROW: Final = b"\x02"


def build_default_params() -> transfer_pb2.Params:
    """Transfers both ways."""
    return transfer_pb2.Params(send_enabled=True, receive_enabled=True)


def validate_params(params: transfer_pb2.Params) -> None:
    """Nothing to refuse: two switches."""
    del params


PARAMS: Final = declare_params(STORE, transfer_pb2.Params, build_default_params, validate_params)


def get_denom(ctx: Context, denom_hash: bytes) -> Denom | None:
    """The denom of a voucher by the hash of its path, or None."""
    value = ctx.kv(STORE).get(_DENOM + denom_hash)
    return None if value is None else Denom.from_proto(token_pb2.Denom.FromString(value))


def get_denom_page(ctx: Context, request: Any) -> tuple[list[Denom], pagination_pb2.PageResponse]:
    """A page of all vouchers by hash."""
    rows, page = get_page(ctx.kv(STORE), _DENOM, request)
    return [Denom.from_proto(token_pb2.Denom.FromString(value)) for _, value in rows], page


def iterate_denoms(ctx: Context) -> Iterator[Denom]:
    """All vouchers by hash (for the export)."""
    for _, value in ctx.kv(STORE).iterate(_DENOM):
        yield Denom.from_proto(token_pb2.Denom.FromString(value))


def set_denom(ctx: Context, denom: Denom) -> None:
    """Remember what a voucher stands for, and tell the bank what to call it."""
    value = denom.to_proto().SerializeToString(deterministic=True)
    ctx.kv(STORE).set(_DENOM + denom.hash, value)
    bank.set_metadata(
        ctx,
        bank_pb2.Metadata(
            description=f"IBC token from {denom.path}",
            denom_units=[bank_pb2.DenomUnit(denom=denom.base)],
            base=denom.local_denom,
            display=denom.path,
            name=f"{denom.path} IBC token",
            symbol=denom.base.encode().upper().decode(),  # Letters of ASCII alone.
        ),
    )


def require_denom(ctx: Context, local_denom: str) -> Denom:
    """What a denom of this chain's bank stands for.

    Raises DenomNotFound for a voucher never issued, and InvalidDenom for a native denom that other
    chains would read as a voucher.
    """
    if not local_denom.startswith(VOUCHER_PREFIX):
        if parse_path(local_denom).trace:
            raise InvalidDenom(f"{local_denom} would be read as a voucher by other chains")
        return Denom(local_denom)
    denom_hash = parse_hash(local_denom)
    denom = None if denom_hash is None else get_denom(ctx, denom_hash)
    if denom is None or denom.local_denom != local_denom:
        raise DenomNotFound(f"{local_denom} was never issued here; query the denoms")
    return denom


def get_total_escrow(ctx: Context, local_denom: str) -> int:
    """What all escrow addresses hold of a denom for transfers."""
    return int(ctx.kv(STORE).get(_ESCROW + local_denom.encode()) or b"0")


def add_total_escrow(ctx: Context, local_denom: str, amount: int) -> None:
    """Add to what is in escrow (negative: take from it, down to zero)."""
    set_total_escrow(ctx, local_denom, max(0, get_total_escrow(ctx, local_denom) + amount))


def set_total_escrow(ctx: Context, local_denom: str, total: int) -> None:
    """Write what is in escrow."""
    key = _ESCROW + local_denom.encode()
    if total:
        ctx.kv(STORE).set(key, b"%d" % total)
    else:
        ctx.kv(STORE).delete(key)


def iterate_total_escrows(ctx: Context) -> Iterator[tuple[str, int]]:
    """All (denom, amount in escrow) by denom."""
    for key, value in ctx.kv(STORE).iterate(_ESCROW):
        yield key[1:].decode(), int(value)
