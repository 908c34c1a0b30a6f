"""The fate of vouchers sent home: releases and seizures settled by transfer acknowledgements.

The transfer application has refunded a refused or late packet to the collateral module's account
before it comes here, so restoring the lien restores what backs it.
"""

from typing import Final

from chain._pb.margin.collateral.v1 import collateral_pb2
from chain.ibc.apps.transfer.application import SentTransfer, TransferHooks
from chain.ibc.apps.transfer.packet_data import Acknowledgement
from chain.modules.collateral import packets as collateral_packets
from chain.modules.collateral import state as collateral
from chain.modules.collateral.vouchers import parse_order, receive_deposit
from chain.modules.liquidation.packets import retry_seizure, settle_seizure
from chain.runtime.context import Context

_REFUSED: Final = "transfer refused"


def acknowledge_transfer(ctx: Context, sent: SentTransfer, answer: Acknowledgement) -> None:
    """Settle the order that a transfer carried, if it carried one."""
    order = parse_order(sent)
    flight = None if order is None else collateral.get_flight(ctx, order.flight_id)
    if order is None or flight is None:
        return
    refusal = "" if answer.error is None else _REFUSED
    if flight.kind == collateral_pb2.FLIGHT_KIND_SEIZURE:
        settle_seizure(ctx, order.info, flight.flight_id, refusal)
    else:
        collateral_packets.settle_release(ctx, order.info, flight.flight_id, refusal)


def time_out_transfer(ctx: Context, sent: SentTransfer) -> None:
    """Order a seizure that never arrived again; restore the lien of a release."""
    order = parse_order(sent)
    flight = None if order is None else collateral.get_flight(ctx, order.flight_id)
    if flight is None:
        return
    if flight.kind == collateral_pb2.FLIGHT_KIND_SEIZURE:
        retry_seizure(ctx, flight.flight_id)
    else:
        collateral_packets.return_flight(ctx, flight, "timeout")


TRANSFER_HOOKS: Final = TransferHooks(receive_deposit, acknowledge_transfer, time_out_transfer)
"""What the hub adds to transfers: deposits by memo, and the settlement of what it sent home."""
