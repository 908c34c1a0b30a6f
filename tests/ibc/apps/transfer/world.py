"""One chain on a branch with an open transfer channel, and packets as a test wants them."""

import hashlib
from dataclasses import dataclass
from typing import Any

from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.ibc.applications.transfer.v1 import tx_pb2
from chain.ibc.apps.transfer import genesis
from chain.ibc.apps.transfer.denoms import PORT, VERSION, Denom
from chain.ibc.apps.transfer.packet_data import TransferData, encode_packet_data
from chain.ibc.height import Height
from chain.ibc.router import Packet
from chain.modules.auth import state as auth
from chain.modules.bank import genesis as bank_genesis
from chain.modules.bank import state as bank
from chain.runtime.address import encode_address
from chain.runtime.context import Context
from chain.runtime.store import Branch, EmptyState
from chain.units import Address
from tests.modules.margin_network import open_channel

NOW_NS = 1_700_000_000 * 10**9
TIMEOUT_NS = NOW_NS + 600 * 10**9


@dataclass
class Transfer:
    """A packet about to be made: its two ends and what it says."""

    source_port: str
    source_channel: str
    destination_port: str
    destination_channel: str
    data: TransferData


class TransferWorld:
    """A chain with bank and transfer, whose channels channel-0 and channel-1 are open."""

    def __init__(self) -> None:
        self.ctx = Context("hub-1", 7, NOW_NS, Branch(EmptyState()))
        bank_genesis.init_genesis(self.ctx, bank_genesis.build_default_genesis())
        genesis.init_genesis(self.ctx, genesis.build_default_genesis())
        auth.ensure_module_account(self.ctx, "transfer")
        for channel_id in ("channel-0", "channel-1"):
            open_channel(self.ctx, "alpha-1", channel_id, PORT, VERSION)

    @staticmethod
    def get_address(name: str) -> Address:
        return encode_address(hashlib.sha256(name.encode()).digest()[:20])

    def fund(self, address: str, denom: str, amount: int) -> None:
        bank.mint(self.ctx, Address(address), denom, amount)
        self.ctx.events.clear()

    def get_balances(self) -> dict[tuple[str, str], int]:
        return {(address, denom): n for address, denom, n in bank.get_balances(self.ctx)}

    def get_changes(self, before: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
        after = self.get_balances()
        keys = sorted({**before, **after})
        changes = {key: after.get(key, 0) - before.get(key, 0) for key in keys}
        return {key: change for key, change in changes.items() if change}

    def build_transfer(self, place: dict[str, Any], denom: Denom, data: dict[str, Any]) -> Transfer:
        return Transfer(
            source_port=place["sourcePort"],
            source_channel=place["sourceChannel"],
            destination_port=place["destPort"],
            destination_channel=place["destChannel"],
            data=TransferData(
                denom,
                int(data["amount"]),
                self.get_address(data["sender"]),
                self.get_address(data["receiver"]) if data["receiver"] else "",
            ),
        )

    @staticmethod
    def build_packet(transfer: Transfer) -> Packet:
        return Packet(
            1,
            transfer.source_port,
            transfer.source_channel,
            transfer.destination_port,
            transfer.destination_channel,
            encode_packet_data(transfer.data),
            Height(0, 0),
            TIMEOUT_NS,
        )

    @staticmethod
    def build_message(transfer: Transfer) -> tx_pb2.MsgTransfer:
        data = transfer.data
        return tx_pb2.MsgTransfer(
            source_port=transfer.source_port,
            source_channel=transfer.source_channel,
            token=coin_pb2.Coin(denom=data.denom.local_denom, amount=str(data.amount)),
            sender=data.sender,
            receiver=data.receiver,
            timeout_timestamp=TIMEOUT_NS,
            memo=data.memo,
        )
