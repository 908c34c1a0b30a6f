"""Messages of insurance."""

from typing import Final

from chain._pb.margin.insurance.v1 import insurance_pb2 as pb
from chain._pb.margin.insurance.v1 import tx_pb2
from chain.modules.insurance import state
from chain.runtime.context import Context
from chain.runtime.module import MessageRoute
from chain.units import Address, parse_amount


def handle_fund_insurance(
    ctx: Context, msg: tx_pb2.MsgFundInsurance
) -> tx_pb2.MsgFundInsuranceResponse:
    """Give coins to the fund; nothing is owed for them."""
    # Check
    amount = parse_amount(msg.amount_uusd, "amount_uusd")
    # Apply
    state.fund(ctx, Address(msg.sender), amount, pb.ENTRY_KIND_FUNDED)
    return tx_pb2.MsgFundInsuranceResponse(balance_uusd=str(state.get_balance(ctx)))


MESSAGES: Final = (MessageRoute(tx_pb2.MsgFundInsurance, handle_fund_insurance, "sender"),)
