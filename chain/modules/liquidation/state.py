"""The liquidation store: the only place that knows its keys."""

from collections.abc import Iterator
from typing import Final

from google.protobuf.message import Message

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain.modules.accounts.types import AccountId, decode_account_id, encode_account_id
from chain.modules.liquidation.errors import AuctionNotFound
from chain.modules.liquidation.types import build_default_params, validate_params
from chain.modules.params.state import declare_params
from chain.risk.margin import MarginState
from chain.runtime.context import Context
from chain.units import Address

STORE: Final = "liquidation"
PARAMS: Final = declare_params(STORE, pb.Params, build_default_params, validate_params)
_CASE: Final = b"\x01"
_AUCTION: Final = b"\x02"
_ACTIVE: Final = b"\x03"
_SEIZURE: Final = b"\x04"
_HISTORY: Final = b"\x05"
_NEXT_AUCTION: Final = b"\x06"
_NEXT_SEIZURE: Final = b"\x07"
_CURSOR: Final = b"\x08"
_SEIZURE_BY_AUCTION: Final = b"\x09"
_OPEN_AUCTION: Final = b"\x0a"
_OPENING_CURSOR: Final = b"\x0b"
_PRESENT: Final = b"\x01"


def _set(ctx: Context, key: bytes, message: Message) -> None:
    ctx.kv(STORE).set(key, message.SerializeToString(deterministic=True))


# Cases


def get_case(ctx: Context, account_id: AccountId) -> pb.Case | None:
    """The case of an account below a healthy ratio, or None."""
    value = ctx.kv(STORE).get(_CASE + encode_account_id(account_id))
    return pb.Case.FromString(value) if value else None


def set_case(ctx: Context, case: pb.Case) -> None:
    """Write a case."""
    _set(ctx, _CASE + encode_account_id(AccountId(Address(case.owner), case.account)), case)


def delete_case(ctx: Context, account_id: AccountId) -> None:
    """Close a case."""
    ctx.kv(STORE).delete(_CASE + encode_account_id(account_id))


def iterate_cases(ctx: Context, after: AccountId | None = None) -> Iterator[pb.Case]:
    """Cases by account, after one; bound the work at the call site."""
    start = _CASE if after is None else _CASE + encode_account_id(after) + b"\x00"
    for _, value in ctx.kv(STORE).iterate_range(start, _AUCTION):
        yield pb.Case.FromString(value)


def get_cursor(ctx: Context) -> AccountId | None:
    """The account whose case was visited last, or None to start over."""
    value = ctx.kv(STORE).get(_CURSOR)
    return decode_account_id(value) if value else None


def set_cursor(ctx: Context, account_id: AccountId | None) -> None:
    """Remember where the visits stopped."""
    if account_id is None:
        ctx.kv(STORE).delete(_CURSOR)
    else:
        ctx.kv(STORE).set(_CURSOR, encode_account_id(account_id))


def get_opening_cursor(ctx: Context, margin_state: MarginState) -> AccountId | None:
    """The account of a margin state where the search for new cases stopped; None to start over.

    No part of a genesis: a new chain starts over.
    """
    value = ctx.kv(STORE).get(_OPENING_CURSOR + bytes((margin_state,)))
    return decode_account_id(value) if value else None


def set_opening_cursor(
    ctx: Context, margin_state: MarginState, account_id: AccountId | None
) -> None:
    """Remember where the search for new cases of a margin state stopped."""
    key = _OPENING_CURSOR + bytes((margin_state,))
    if account_id is None:
        ctx.kv(STORE).delete(key)
    else:
        ctx.kv(STORE).set(key, encode_account_id(account_id))


# Auctions


def get_next_auction_id(ctx: Context) -> int:
    """The id of the next auction; the first is 1."""
    return int.from_bytes(ctx.kv(STORE).get(_NEXT_AUCTION) or b"\x01", "big")


def set_next_auction_id(ctx: Context, auction_id: int) -> None:
    """Write the id of the next auction."""
    ctx.kv(STORE).set(_NEXT_AUCTION, auction_id.to_bytes(8, "big"))


def require_auction(ctx: Context, auction_id: int) -> pb.Auction:
    """The auction; raises AuctionNotFound."""
    value = ctx.kv(STORE).get(_AUCTION + auction_id.to_bytes(8, "big"))
    if value is None:
        raise AuctionNotFound(f"no auction has the id {auction_id}; query the auctions")
    return pb.Auction.FromString(value)


def set_auction(ctx: Context, auction: pb.Auction) -> None:
    """Write an auction and the indexes of those that are active or have seizures pending."""
    kv = ctx.kv(STORE)
    number = auction.auction_id.to_bytes(8, "big")
    _set(ctx, _AUCTION + number, auction)
    owner = encode_account_id(AccountId(Address(auction.owner), auction.account))
    is_active = auction.status == pb.AUCTION_STATUS_ACTIVE
    indexes = (
        (_ACTIVE + number, is_active),
        (_OPEN_AUCTION + owner + number, is_active or auction.pending_seizures > 0),
    )
    for key, is_wanted in indexes:
        if is_wanted:
            kv.set(key, _PRESENT)
        else:
            kv.delete(key)


def iterate_open_auctions(ctx: Context, account_id: AccountId) -> Iterator[pb.Auction]:
    """The account's auctions that are active or wait for a delivery, by id."""
    for key, _ in ctx.kv(STORE).iterate(_OPEN_AUCTION + encode_account_id(account_id)):
        yield require_auction(ctx, int.from_bytes(key[-8:], "big"))


def has_open_auction(ctx: Context, account_id: AccountId) -> bool:
    """Whether an auction of the account is active or waits for a delivery."""
    return next(iterate_open_auctions(ctx, account_id), None) is not None


def iterate_auctions(ctx: Context, start_after: int = 0) -> Iterator[pb.Auction]:
    """All auctions by id; bound the work at the call site."""
    start = _AUCTION + start_after.to_bytes(8, "big") + b"\x00"
    for _, value in ctx.kv(STORE).iterate_range(start, _ACTIVE):
        yield pb.Auction.FromString(value)


def iterate_active_auctions(ctx: Context, start_after: int = 0) -> Iterator[pb.Auction]:
    """Auctions that take bids, by id; bound the work at the call site."""
    start = _ACTIVE + start_after.to_bytes(8, "big") + b"\x00"
    for key, _ in ctx.kv(STORE).iterate_range(start, _SEIZURE):
        yield require_auction(ctx, int.from_bytes(key[1:], "big"))


# Seizures


def get_next_seizure_number(ctx: Context) -> int:
    """The number of the next seizure; the first is 1."""
    return int.from_bytes(ctx.kv(STORE).get(_NEXT_SEIZURE) or b"\x01", "big")


def set_next_seizure_number(ctx: Context, number: int) -> None:
    """Write the number of the next seizure."""
    ctx.kv(STORE).set(_NEXT_SEIZURE, number.to_bytes(8, "big"))


def get_seizure(ctx: Context, seize_id: str) -> pb.Seizure | None:
    """A bid whose collateral is or was being delivered, or None."""
    value = ctx.kv(STORE).get(_SEIZURE + seize_id.encode())
    return pb.Seizure.FromString(value) if value else None


def set_seizure(ctx: Context, seizure: pb.Seizure) -> None:
    """Write a seizure and its index by auction."""
    _set(ctx, _SEIZURE + seizure.seize_id.encode(), seizure)
    key = _SEIZURE_BY_AUCTION + seizure.auction_id.to_bytes(8, "big") + seizure.seize_id.encode()
    ctx.kv(STORE).set(key, _PRESENT)


def iterate_seizures(ctx: Context, auction_id: int | None = None) -> Iterator[pb.Seizure]:
    """All seizures, or one auction's; bound the work at the call site."""
    if auction_id is None:
        for _, value in ctx.kv(STORE).iterate(_SEIZURE):
            yield pb.Seizure.FromString(value)
        return
    prefix = _SEIZURE_BY_AUCTION + auction_id.to_bytes(8, "big")
    for key, _ in ctx.kv(STORE).iterate(prefix):
        seizure = get_seizure(ctx, key[len(prefix) :].decode())
        assert seizure is not None, "the index names existing seizures"
        yield seizure


# History


def add_history(ctx: Context, account_id: AccountId, row: pb.HistoryRow) -> None:
    """Append a row to the history of an account; its number is given here."""
    prefix = _HISTORY + encode_account_id(account_id)
    last = next(ctx.kv(STORE).iterate(prefix, reverse=True), None)
    row.number = 1 if last is None else int.from_bytes(last[0][-8:], "big") + 1
    set_history(ctx, account_id, row)


def set_history(ctx: Context, account_id: AccountId, row: pb.HistoryRow) -> None:
    """Write a numbered row."""
    _set(ctx, _HISTORY + encode_account_id(account_id) + row.number.to_bytes(8, "big"), row)


def iterate_history(
    ctx: Context, account_id: AccountId, start_after: int = 0
) -> Iterator[pb.HistoryRow]:
    """Rows of an account by number, after one; bound the work at the call site."""
    prefix = _HISTORY + encode_account_id(account_id)
    start, end = prefix + start_after.to_bytes(8, "big") + b"\x00", prefix + b"\xff" * 9
    for _, value in ctx.kv(STORE).iterate_range(start, end):
        yield pb.HistoryRow.FromString(value)


def iterate_all_history(ctx: Context) -> Iterator[pb.HistoryEntry]:
    """All rows with their accounts (for the export)."""
    for key, value in ctx.kv(STORE).iterate(_HISTORY):
        account_id = decode_account_id(key[1:-8])
        yield pb.HistoryEntry(
            owner=account_id.owner,
            account=account_id.number,
            row=pb.HistoryRow.FromString(value),
        )
