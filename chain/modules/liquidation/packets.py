"""Settlement of seizures: the debt is forgiven on the vault's acknowledgement, never before.

A timeout orders the same seizure again under the same id, which the vault carries out at most once;
when the attempts run out the bid is refunded and the lien restored, both to the unit.
"""

from typing import Final

from chain._pb.margin.collateral.v1 import collateral_pb2
from chain._pb.margin.insurance.v1 import insurance_pb2
from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain._pb.margin.packet.v1 import packet_pb2
from chain.errors import ChainError
from chain.ibc.apps.margin import PacketHandlers, PacketInfo
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import CASH_DENOM, AccountId
from chain.modules.bank import state as bank
from chain.modules.collateral import packets as collateral_packets
from chain.modules.collateral import state as collateral
from chain.modules.insurance import state as insurance
from chain.modules.liquidation import state
from chain.modules.liquidation.types import MODULE_ADDRESS
from chain.runtime.context import Context
from chain.runtime.gas import OutOfGas
from chain.units import PPM, Address

_RETRIED_REFUSALS: Final = ("vault/6",)
"""The vault may still wait for a lock's acknowledgement; every other refusal is final."""


def acknowledge_seizure(
    ctx: Context,
    info: PacketInfo,
    body: packet_pb2.SeizeCollateral,
    result: packet_pb2.MarginAcknowledgement,
) -> None:
    """Settle a seizure, order it again, or undo it."""
    refusal = f"{result.codespace}/{result.code}" if result.code else ""
    settle_seizure(ctx, info, body.seize_id, refusal)


def settle_seizure(ctx: Context, info: PacketInfo, seize_id: str, refusal: str) -> None:
    """Settle a seizure that was carried out (no refusal), order it again, or undo it."""
    found = _get_pending(ctx, seize_id)
    if found is None:
        return
    seizure, flight = found
    if not refusal:
        collateral_packets.settle_seizure(ctx, info, flight)
        _settle(ctx, seizure)
    elif refusal in _RETRIED_REFUSALS:
        _retry(ctx, seizure, flight)
    else:
        _undo(ctx, seizure, flight, refusal)


def time_out_seizure(ctx: Context, info: PacketInfo, body: packet_pb2.SeizeCollateral) -> None:
    """Order a seizure that provably never arrived once more, or undo it."""
    del info
    retry_seizure(ctx, body.seize_id)


def retry_seizure(ctx: Context, seize_id: str) -> None:
    """Order a seizure that never arrived once more while attempts last, else undo it."""
    found = _get_pending(ctx, seize_id)
    if found is not None:
        _retry(ctx, *found)


def _get_pending(ctx: Context, seize_id: str) -> tuple[pb.Seizure, collateral_pb2.Flight] | None:
    seizure = state.get_seizure(ctx, seize_id)
    flight = collateral.get_flight(ctx, seize_id)
    if seizure is None or flight is None or seizure.status != pb.SEIZURE_STATUS_SEIZING:
        return None
    return seizure, flight


def _get_account_id(auction: pb.Auction) -> AccountId:
    return AccountId(Address(auction.owner), auction.account)


def _settle(ctx: Context, seizure: pb.Seizure) -> None:
    """Pay the account's debt with the escrowed bid, less the fee that belongs to insurance."""
    auction = state.require_auction(ctx, seizure.auction_id)
    owed = int(seizure.owed_uusd)
    # The tab was repayment plus fee; of every unit collected the same share is fee, rounded down.
    fee = owed * auction.fee_ppm // (PPM + auction.fee_ppm)
    accounts.credit_cash(ctx, _get_account_id(auction), owed - fee, MODULE_ADDRESS)
    if fee:
        insurance.fund(ctx, MODULE_ADDRESS, fee, insurance_pb2.ENTRY_KIND_FEE)
    _finish(ctx, auction, seizure, pb.SEIZURE_STATUS_SEIZED)
    ctx.emit("seizure_settled", {**_attributes(auction, seizure), "fee_uusd": fee})


def _retry(ctx: Context, seizure: pb.Seizure, flight: collateral_pb2.Flight) -> None:
    """Send the same id again while attempts last and the route can carry it."""
    if seizure.attempts >= state.PARAMS.get(ctx).seize_attempts_max:
        _undo(ctx, seizure, flight, "attempts used up")
        return
    try:
        with ctx.branch() as branch:
            collateral_packets.resend_seizure(branch, flight)
            seizure.attempts += 1
            state.set_seizure(branch, seizure)
    except OutOfGas:
        raise
    except ChainError as error:
        _undo(ctx, seizure, flight, f"{error.codespace}/{error.code}")
        return
    auction = state.require_auction(ctx, seizure.auction_id)
    ctx.emit("seizure_retried", {**_attributes(auction, seizure), "attempt": seizure.attempts})


def _undo(ctx: Context, seizure: pb.Seizure, flight: collateral_pb2.Flight, reason: str) -> None:
    """Refund the bid and restore the lien; the auction goes on, or the account gets another."""
    auction = state.require_auction(ctx, seizure.auction_id)
    bank.move(ctx, MODULE_ADDRESS, Address(seizure.bidder), CASH_DENOM, int(seizure.owed_uusd))
    collateral_packets.return_flight(ctx, flight, reason)
    if auction.status == pb.AUCTION_STATUS_ACTIVE:
        auction.lot_amount = str(int(auction.lot_amount) + int(seizure.amount))
        auction.tab_uusd = str(int(auction.tab_uusd) + int(seizure.owed_uusd))
    _finish(ctx, auction, seizure, pb.SEIZURE_STATUS_RETURNED)
    ctx.emit("seizure_returned", {**_attributes(auction, seizure), "reason": reason})


def _finish(
    ctx: Context, auction: pb.Auction, seizure: pb.Seizure, status: pb.SeizureStatus
) -> None:
    seizure.status = status
    seizure.settled_height = ctx.height
    state.set_seizure(ctx, seizure)
    auction.pending_seizures -= 1
    state.set_auction(ctx, auction)


def _attributes(auction: pb.Auction, seizure: pb.Seizure) -> dict[str, str | int]:
    return {
        "seize_id": seizure.seize_id,
        "auction_id": auction.auction_id,
        "owner": auction.owner,
        "account": auction.account,
        "bidder": seizure.bidder,
        "amount": seizure.amount,
        "owed_uusd": seizure.owed_uusd,
    }


PACKET_HANDLERS: Final = {
    "seize_collateral": PacketHandlers(acknowledge=acknowledge_seizure, timeout=time_out_seizure),
}
"""What the hub does with the fate of its seizures; the chain wires them into the application."""
