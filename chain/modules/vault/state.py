"""The vault store: the only place that knows its keys.

Invariant, for every denom: bank balance of the module account = Σ (pending + liened).
"""

from collections.abc import Iterator
from typing import Final

from google.protobuf.message import Message

from chain._pb.margin.vault.v1 import vault_pb2 as pb
from chain.modules.params.state import declare_params
from chain.modules.vault.errors import HubNotRegistered, InsufficientLocked
from chain.modules.vault.types import build_default_params, validate_params
from chain.runtime.context import Context

STORE: Final = "vault"
PARAMS: Final = declare_params(STORE, pb.Params, build_default_params, validate_params)
_HUB: Final = b"hub"
_LOCK: Final = b"\x01"
_LOCK_BY_OWNER: Final = b"\x02"
_HOLDING: Final = b"\x03"
_ORDER: Final = b"\x04"
_NEXT_LOCK: Final = b"\x05"
_PENDING: Final = b"\x06"
_PRESENT: Final = b"\x01"


def _set(ctx: Context, key: bytes, message: Message) -> None:
    ctx.kv(STORE).set(key, message.SerializeToString(deterministic=True))


def get_params(ctx: Context) -> pb.Params:
    """The governed parameters, shared: nobody may change the message."""
    return PARAMS.get(ctx)


def get_hub(ctx: Context) -> pb.Hub | None:
    """The hub this vault obeys, or None."""
    value = ctx.kv(STORE).get(_HUB)
    return pb.Hub.FromString(value) if value else None


def require_hub(ctx: Context) -> pb.Hub:
    """The hub this vault obeys; raises HubNotRegistered."""
    hub = get_hub(ctx)
    if hub is None:
        raise HubNotRegistered("the council registers the hub first")
    return hub


def set_hub(ctx: Context, hub: pb.Hub) -> None:
    """Write the hub."""
    _set(ctx, _HUB, hub)


# Locks


def get_next_lock_number(ctx: Context) -> int:
    """The number of the next lock."""
    return int.from_bytes(ctx.kv(STORE).get(_NEXT_LOCK) or b"\x00", "big")


def set_next_lock_number(ctx: Context, number: int) -> None:
    """Write the number of the next lock."""
    ctx.kv(STORE).set(_NEXT_LOCK, number.to_bytes(8, "big"))


def build_lock_id(number: int) -> str:
    """The id of the lock of a number; ids sort as their numbers do."""
    return f"lock-{number:012d}"


def get_lock(ctx: Context, lock_id: str) -> pb.Lock | None:
    """A lock, or None."""
    value = ctx.kv(STORE).get(_LOCK + lock_id.encode())
    return pb.Lock.FromString(value) if value else None


def set_lock(ctx: Context, lock: pb.Lock) -> None:
    """Write a lock and its indexes: by owner, and of those whose packet is not settled."""
    _set(ctx, _LOCK + lock.lock_id.encode(), lock)
    key = _LOCK_BY_OWNER + lock.owner.encode() + b"\x00" + lock.lock_id.encode()
    ctx.kv(STORE).set(key, _PRESENT)
    pending = _PENDING + lock.lock_id.encode()
    if lock.status == pb.LOCK_STATUS_PENDING:
        ctx.kv(STORE).set(pending, _PRESENT)
    else:
        ctx.kv(STORE).delete(pending)


def iterate_locks(ctx: Context) -> Iterator[pb.Lock]:
    """All locks, oldest first; bound the work at the call site."""
    for _, value in ctx.kv(STORE).iterate(_LOCK):
        yield pb.Lock.FromString(value)


def iterate_pending_locks(ctx: Context, start_after: str = "") -> Iterator[pb.Lock]:
    """Locks whose packets are not settled, oldest first, after a lock id."""
    start = _PENDING + start_after.encode() + (b"\x00" if start_after else b"")
    for key, _ in ctx.kv(STORE).iterate_range(start, b"\x07"):
        lock = get_lock(ctx, key[1:].decode())
        assert lock is not None, "the index names existing locks"
        yield lock


def iterate_owner_locks(ctx: Context, owner: str, start_after: str) -> Iterator[pb.Lock]:
    """Locks for one hub owner, oldest first, after a lock id ("": from the start)."""
    prefix = _LOCK_BY_OWNER + owner.encode() + b"\x00"
    start = prefix + start_after.encode() + (b"\x00" if start_after else b"")
    end = _LOCK_BY_OWNER + owner.encode() + b"\x01"
    for key, _ in ctx.kv(STORE).iterate_range(start, end):
        lock = get_lock(ctx, key[len(prefix) :].decode())
        assert lock is not None, "the index names existing locks"
        yield lock


# Holdings


def _holding_key(owner: str, account: int, denom: str) -> bytes:
    return _HOLDING + owner.encode() + b"\x00" + account.to_bytes(4, "big") + denom.encode()


def get_holding(ctx: Context, owner: str, account: int, denom: str) -> pb.Holding:
    """What is held for a hub account in a denom; zeros when nothing ever was."""
    value = ctx.kv(STORE).get(_holding_key(owner, account, denom))
    if value is not None:
        return pb.Holding.FromString(value)
    return pb.Holding(
        owner=owner,
        account=account,
        denom=denom,
        pending="0",
        liened="0",
        released="0",
        seized="0",
    )


def set_holding(ctx: Context, holding: pb.Holding) -> None:
    """Write a holding."""
    _set(ctx, _holding_key(holding.owner, holding.account, holding.denom), holding)


def iterate_holdings(ctx: Context, owner: str | None = None) -> Iterator[pb.Holding]:
    """All holdings, or one owner's, by owner, account, denom; bound the work at the call site."""
    prefix = _HOLDING if owner is None else _HOLDING + owner.encode() + b"\x00"
    for _, value in ctx.kv(STORE).iterate(prefix):
        yield pb.Holding.FromString(value)


def add_pending(ctx: Context, lock: pb.Lock) -> None:
    """Count a lock whose packet is in flight."""
    holding = get_holding(ctx, lock.owner, lock.account, lock.denom)
    holding.pending = str(int(holding.pending) + int(lock.amount))
    set_holding(ctx, holding)


def remove_pending(ctx: Context, lock: pb.Lock) -> None:
    """Stop counting a pending lock: it is refunded."""
    holding = get_holding(ctx, lock.owner, lock.account, lock.denom)
    holding.pending = str(int(holding.pending) - int(lock.amount))
    set_holding(ctx, holding)


def confirm_pending(ctx: Context, lock: pb.Lock) -> None:
    """Turn a pending lock into collateral under lien."""
    holding = get_holding(ctx, lock.owner, lock.account, lock.denom)
    holding.pending = str(int(holding.pending) - int(lock.amount))
    holding.liened = str(int(holding.liened) + int(lock.amount))
    set_holding(ctx, holding)


def take_liened(ctx: Context, order: pb.ExecutedOrder) -> None:
    """Take an order's amount out from under the lien; raises InsufficientLocked.

    Only confirmed collateral counts: pending locks may still be refunded to their depositors.
    """
    holding = get_holding(ctx, order.owner, order.account, order.denom)
    amount, liened = int(order.amount), int(holding.liened)
    if amount > liened:
        raise InsufficientLocked(
            f"{order.owner}/{order.account} has {liened} {order.denom} under lien, below {amount}"
        )
    holding.liened = str(liened - amount)
    if order.kind == pb.ORDER_KIND_SEIZE:
        holding.seized = str(int(holding.seized) + amount)
    else:
        holding.released = str(int(holding.released) + amount)
    set_holding(ctx, holding)


# Executed orders


def get_order(ctx: Context, order_id: str) -> pb.ExecutedOrder | None:
    """An order of the hub that was carried out, or None."""
    value = ctx.kv(STORE).get(_ORDER + order_id.encode())
    return pb.ExecutedOrder.FromString(value) if value else None


def set_order(ctx: Context, order: pb.ExecutedOrder) -> None:
    """Remember an order that was carried out, so that it never is again."""
    _set(ctx, _ORDER + order.order_id.encode(), order)


def iterate_orders(ctx: Context) -> Iterator[pb.ExecutedOrder]:
    """All executed orders by id (for the export)."""
    for _, value in ctx.kv(STORE).iterate(_ORDER):
        yield pb.ExecutedOrder.FromString(value)


def get_totals(ctx: Context) -> dict[str, tuple[int, int]]:
    """Per denom the sums (pending, liened) over all holdings, denoms ascending."""
    totals: dict[str, tuple[int, int]] = {}
    for holding in iterate_holdings(ctx):
        pending, liened = totals.get(holding.denom, (0, 0))
        totals[holding.denom] = (
            pending + int(holding.pending),
            liened + int(holding.liened),
        )
    return {denom: totals[denom] for denom in sorted(totals)}
