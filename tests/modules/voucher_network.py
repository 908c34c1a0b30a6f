"""A hub and a chain that knows nothing of margin: collateral comes and goes by transfers alone."""

import json
from dataclasses import dataclass

from chain._pb.ibc.applications.transfer.v1 import tx_pb2 as transfer_tx
from chain._pb.margin.collateral.v1 import collateral_pb2, tx_pb2
from chain.ibc.apps.transfer import genesis as transfer_genesis
from chain.ibc.apps.transfer import state as transfer
from chain.ibc.apps.transfer.application import TransferApplication
from chain.ibc.apps.transfer.denoms import PORT, VERSION, Denom, compute_escrow_address
from chain.ibc.apps.transfer.handlers import handle_transfer
from chain.ibc.router import Packet
from chain.modules.auth import state as auth
from chain.modules.bank import genesis as bank_genesis
from chain.modules.bank import state as bank
from chain.modules.collateral import handlers as collateral_handlers
from chain.modules.collateral import queries as collateral_queries
from chain.modules.collateral import state as collateral
from chain.modules.collateral.types import MODULE_ADDRESS
from chain.modules.liquidation.vouchers import TRANSFER_HOOKS
from chain.runtime.context import Context
from chain.runtime.store import Branch, EmptyState
from chain.units import NANOSECONDS
from tests.modules.economy import ALICE, BOB, deliver
from tests.modules.margin_network import (
    AUTHORITY,
    ETH,
    End,
    Network,
    build_listing,
    build_network,
    build_route,
    open_channel,
)

SUPPLY = 1_000 * ETH
BASE = "aeth"
DENOM = Denom(BASE).with_hop(PORT, "channel-1")
VOUCHER = DENOM.local_denom


@dataclass
class VoucherNetwork:
    """The hub of a margin network, and beside it a chain `source` joined by a transfer channel."""

    network: Network
    hub: End
    source: End

    def send(self, amount: int, memo: str = "", receiver=ALICE, denom: str = BASE) -> Packet:
        """A transfer from the source chain, in flight."""
        deliver(
            self.source.ctx,
            handle_transfer,
            transfer_tx.MsgTransfer(
                source_port=PORT,
                source_channel="channel-0",
                token={"denom": denom, "amount": str(amount)},
                sender=BOB,
                receiver=receiver,
                timeout_timestamp=self.source.ctx.time_ns + 600 * NANOSECONDS,
                memo=memo,
            ),
        )
        return self.source.collect()[-1]

    def relay(self, packet: Packet, source: End, target: End) -> dict[str, str]:
        """Carry a packet over and its acknowledgement back."""
        acknowledgement = target.receive(packet)
        source.acknowledge(packet, acknowledgement)
        answer: dict[str, str] = json.loads(acknowledgement)
        return answer

    def deposit(self, amount: int, memo: str, **fields) -> dict[str, str]:
        return self.relay(self.send(amount, memo, **fields), self.source, self.hub)

    def withdraw(self, amount: int, receiver: str = BOB) -> Packet:
        """A withdrawal; its voucher is on its way home."""
        deliver(
            self.hub.ctx,
            collateral_handlers.handle_withdraw_collateral,
            tx_pb2.MsgWithdrawCollateral(
                owner=ALICE, route_id="simd", denom=VOUCHER, amount=str(amount), receiver=receiver
            ),
        )
        return self.hub.collect()[-1]

    @property
    def liens(self) -> int:
        return collateral_queries.get_lien_totals(self.hub.ctx)["simd", VOUCHER]

    def get_source_balance(self, address=BOB) -> int:
        return bank.get_balance(self.source.ctx, address, BASE)

    def assert_identities(self) -> None:
        """Every lien lies as a voucher in the module's account; no unit was made or lost."""
        hub, source = self.hub.ctx, self.source.ctx
        assert bank.get_balance(hub, MODULE_ADDRESS, VOUCHER) == self.liens
        flights = sum(int(f.amount) for f in collateral.iterate_flights(hub))
        escrow = compute_escrow_address(PORT, "channel-0")
        held = bank.get_balance(source, escrow, BASE)
        assert held == bank.get_supply(hub, VOUCHER) + flights
        assert transfer.get_total_escrow(source, BASE) == held
        assert bank.get_supply(source, BASE) == SUPPLY
        for ctx in (hub, source):
            assert bank.find_broken_supply(ctx) is None


def build_voucher_route(**changes):
    fields = {
        "route_id": "simd",
        "chain_id": "simd-1",
        "client_id": "07-tendermint-1",
        "connection_id": "connection-1",
        "channel_id": "channel-1",
        "vault": "transfer",
        "kind": collateral_pb2.ROUTE_KIND_VOUCHER,
        "address_prefix": "margin",
    }
    return build_route(**{**fields, **changes})


def build_voucher_network() -> VoucherNetwork:
    """A registered voucher route "simd" with the other chain's ETH listed; BOB holds it there."""
    network = build_network()
    hub_ctx = network.hub.ctx
    source_ctx = Context("simd-1", 1, hub_ctx.time_ns, Branch(EmptyState()))
    bank_genesis.init_genesis(source_ctx, bank_genesis.build_default_genesis())
    bank_genesis.init_genesis(hub_ctx, bank_genesis.build_default_genesis())
    for ctx in (hub_ctx, source_ctx):
        transfer_genesis.init_genesis(ctx, transfer_genesis.build_default_genesis())
        auth.ensure_module_account(ctx, "collateral")
    open_channel(hub_ctx, "simd-1", "channel-1", PORT, VERSION)
    open_channel(source_ctx, "hub-1", "channel-0", PORT, VERSION, "channel-1")
    bank.mint(source_ctx, BOB, BASE, SUPPLY)
    for handler, message in (
        (
            collateral_handlers.handle_register_route,
            tx_pb2.MsgRegisterRoute(authority=AUTHORITY, route=build_voucher_route()),
        ),
        (
            collateral_handlers.handle_set_listing,
            tx_pb2.MsgSetListing(
                authority=AUTHORITY, listing=build_listing(route_id="simd", denom=VOUCHER)
            ),
        ),
    ):
        deliver(hub_ctx, handler, message)
    hub_ctx.events.clear()
    source_ctx.events.clear()
    return VoucherNetwork(
        network,
        End(hub_ctx, TransferApplication(TRANSFER_HOOKS)),
        End(source_ctx, TransferApplication()),
    )
