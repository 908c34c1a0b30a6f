"""A hub and a collateral chain on two branches, joined by real channel ends without proofs.

Sending goes through IBC core (commitments, events, timeouts); a test carries the packets by hand,
so that any order, loss and repetition of them takes microseconds.
"""

from dataclasses import dataclass, field

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain._pb.margin.collateral.v1 import collateral_pb2, tx_pb2
from chain._pb.margin.packet.v1 import packet_pb2
from chain._pb.margin.vault.v1 import tx_pb2 as vault_tx
from chain._pb.margin.vault.v1 import vault_pb2
from chain.errors import ChainError
from chain.ibc.apps.margin import PORT, VERSION, MarginApplication
from chain.ibc.channel import state as channels
from chain.ibc.client import state as clients
from chain.ibc.connection import state as connections
from chain.ibc.height import Height
from chain.ibc.router import Packet
from chain.modules.accounts import hooks as accounts_hooks
from chain.modules.bank import state as bank
from chain.modules.collateral import genesis as collateral_genesis
from chain.modules.collateral import handlers as collateral_handlers
from chain.modules.collateral import hooks as collateral_hooks
from chain.modules.collateral import packets as collateral_packets
from chain.modules.collateral import queries as collateral_queries
from chain.modules.collateral import state as collateral_state
from chain.modules.collateral.identity import CollateralIdentity, compute_identity
from chain.modules.council.types import authority_address
from chain.modules.insurance import genesis as insurance_genesis
from chain.modules.insurance.types import MODULE_ADDRESS as INSURANCE_ADDRESS
from chain.modules.liquidation import genesis as liquidation_genesis
from chain.modules.liquidation import hooks as liquidation_hooks
from chain.modules.liquidation import packets as liquidation_packets
from chain.modules.vault import genesis as vault_genesis
from chain.modules.vault import handlers as vault_handlers
from chain.modules.vault import packets as vault_packets
from chain.modules.vault import state as vault
from chain.runtime.context import Context
from chain.runtime.gas import GasMeter
from chain.runtime.store import Branch, EmptyState
from chain.units import WAD
from tests.modules.economy import ALICE, BOB, CAROL, START_NS, USD, advance, build_economy, deliver

AUTHORITY = authority_address()
RELAYER = CAROL
ETH = 10**18
DENOM = "aeth"


@dataclass
class End:
    """One chain with its margin application and the packets it has sent."""

    ctx: Context
    application: MarginApplication
    sent: list[Packet] = field(default_factory=list)

    def collect(self) -> list[Packet]:
        """The packets sent since the last call."""
        found = []
        for event in self.ctx.events:
            if event.type != "send_packet":
                continue
            values = dict(event.attributes)
            found.append(
                Packet(
                    sequence=int(values["packet_sequence"]),
                    source_port=values["packet_src_port"],
                    source_channel=values["packet_src_channel"],
                    destination_port=values["packet_dst_port"],
                    destination_channel=values["packet_dst_channel"],
                    data=bytes.fromhex(values["packet_data_hex"]),
                    timeout_height=Height(0, 0),
                    timeout_timestamp_ns=int(values["packet_timeout_timestamp"]),
                )
            )
        self.ctx.events.clear()
        self.sent.extend(found)
        return found

    def receive(self, packet: Packet) -> bytes:
        """The acknowledgement of a packet, as core writes it: a refusal leaves no trace."""
        try:
            with self.ctx.branch() as child:
                return self.application.on_recv_packet(child, packet, RELAYER)
        except ChainError as error:
            return self.application.error_acknowledgement(error)

    def acknowledge(self, packet: Packet, acknowledgement: bytes) -> None:
        """Settle a packet sent from here."""
        with self.ctx.branch() as child:
            self._forget(child, packet)
            self.application.on_acknowledgement_packet(child, packet, acknowledgement, RELAYER)

    def time_out(self, packet: Packet) -> None:
        """Settle a packet sent from here that never arrived."""
        with self.ctx.branch() as child:
            self._forget(child, packet)
            self.application.on_timeout_packet(child, packet, RELAYER)

    @staticmethod
    def _forget(ctx: Context, packet: Packet) -> None:
        place = packet.source_port, packet.source_channel, packet.sequence
        assert channels.get_packet_commitment(ctx, *place), "the packet is settled already"
        channels.delete_packet_commitment(ctx, *place)


def open_channel(
    ctx: Context,
    other_chain: str,
    channel_id: str = "channel-0",
    port_id: str = PORT,
    version: str = VERSION,
    counterparty_id: str = "channel-0",
) -> None:
    """An open channel over an active client of the other chain."""
    number = channel_id.removeprefix("channel-")
    client_id, connection_id = f"07-tendermint-{number}", f"connection-{number}"
    client = clients.ClientState(chain_id=other_chain)
    client.trust_level.numerator, client.trust_level.denominator = 1, 3
    client.trusting_period.seconds = 14 * 86_400
    client.unbonding_period.seconds = 21 * 86_400
    client.max_clock_drift.seconds = 10
    client.latest_height.revision_number, client.latest_height.revision_height = 1, 1
    clients.set_client_state(ctx, client_id, client)
    touch_client(ctx, client_id)
    connection = connection_pb2.ConnectionEnd(client_id=client_id, state=connection_pb2.STATE_OPEN)
    connections.set_connection(ctx, connection_id, connection)
    channel = channel_pb2.Channel(
        state=channel_pb2.STATE_OPEN,
        ordering=channel_pb2.ORDER_UNORDERED,
        counterparty=channel_pb2.Counterparty(port_id=port_id, channel_id=counterparty_id),
        connection_hops=[connection_id],
        version=version,
    )
    channels.set_channel(ctx, port_id, channel_id, channel)
    channels.set_next_sequence_send(ctx, port_id, channel_id, 1)


def touch_client(ctx: Context, client_id: str = "07-tendermint-0") -> None:
    """The client verified a header of this moment."""
    consensus = clients.ConsensusState()
    consensus.timestamp.FromNanoseconds(ctx.time_ns)
    consensus.root.hash = b"\x01" * 32
    clients.set_consensus_state(ctx, client_id, Height(1, 1), consensus)


def build_route(**changes) -> collateral_pb2.Route:
    fields = {
        "route_id": "alpha",
        "chain_id": "alpha-1",
        "client_id": "07-tendermint-0",
        "connection_id": "connection-0",
        "channel_id": "channel-0",
        "vault": "main",
        "route_class": collateral_pb2.ROUTE_CLASS_LIGHT_CLIENT,
        "trust": collateral_pb2.TrustParameters(
            trust_level_numerator=1,
            trust_level_denominator=3,
            trusting_period_s=14 * 86_400,
            unbonding_period_s=21 * 86_400,
            max_clock_drift_s=10,
        ),
        "auction_duration_s": 60,
        "heartbeat_interval_s": 10,
        "value_cap_uusd": str(10**9 * USD),
        "stake_uusd": str(10**10 * USD),
        "validators_for_third": 4,
    }
    return collateral_pb2.Route(**{**fields, **changes})


def build_hub(**changes) -> vault_pb2.Hub:
    fields = {
        "chain_id": "hub-1",
        "client_id": "07-tendermint-0",
        "connection_id": "connection-0",
        "channel_id": "channel-0",
        "trust_level_numerator": 1,
        "trust_level_denominator": 3,
        "trusting_period_s": 14 * 86_400,
        "unbonding_period_s": 21 * 86_400,
        "max_clock_drift_s": 10,
    }
    return vault_pb2.Hub(**{**fields, **changes})


def build_asset(**changes) -> collateral_pb2.Asset:
    fields = {
        "asset": "ETH",
        "market_haircut_ppm": 150_000,
        "market_haircut_min_ppm": 100_000,
        "market_haircut_max_ppm": 900_000,
        "quantity_cap_wad": str(1_000 * WAD),
        "owner_quantity_cap_wad": str(500 * WAD),
        "daily_volume_wad": str(1_000_000 * WAD),
        "slippage_factor_ppm": 100_000,
    }
    return collateral_pb2.Asset(**{**fields, **changes})


def build_listing(**changes) -> collateral_pb2.Listing:
    fields = {
        "asset": "ETH",
        "route_id": "alpha",
        "denom": DENOM,
        "decimals": 18,
        "amount_cap": str(200 * ETH),
        "amount_min": str(ETH // 100),
    }
    return collateral_pb2.Listing(**{**fields, **changes})


@dataclass
class Network:
    """Hub and spoke, with helpers for the usual journeys."""

    hub: End
    spoke: End

    def advance(self, seconds: int = 1, *, hooks: bool = True, **prices: int) -> None:
        """A block on both chains, with fresh headers of each on the other."""
        advance(self.hub.ctx, seconds, **prices)
        self.spoke.ctx.height += 1
        self.spoke.ctx.time_ns = self.hub.ctx.time_ns
        touch_client(self.hub.ctx)
        touch_client(self.spoke.ctx)
        if hooks:
            accounts_hooks.end_block(self.hub.ctx)
            collateral_hooks.end_block(self.hub.ctx)
            liquidation_hooks.end_block(self.hub.ctx)

    def lock(self, amount: int, depositor=BOB, owner=ALICE, account: int = 0) -> Packet:
        """A deposit on the spoke; its packet is in flight."""
        deliver(
            self.spoke.ctx,
            vault_handlers.handle_lock_collateral,
            vault_tx.MsgLockCollateral(
                depositor=depositor,
                owner=owner,
                account=account,
                denom=DENOM,
                amount=str(amount),
            ),
        )
        return self.spoke.collect()[0]

    def relay(self, packet: Packet, source: End, target: End) -> packet_pb2.MarginAcknowledgement:
        """Carry a packet over and its acknowledgement back."""
        acknowledgement = target.receive(packet)
        source.acknowledge(packet, acknowledgement)
        return packet_pb2.MarginAcknowledgement.FromString(acknowledgement)

    def deposit(self, amount: int, **fields) -> packet_pb2.MarginAcknowledgement:
        return self.relay(self.lock(amount, **fields), self.spoke, self.hub)

    def withdraw(self, amount: int, owner=ALICE, receiver=BOB) -> Packet:
        """A withdrawal on the hub; its release is in flight."""
        deliver(
            self.hub.ctx,
            collateral_handlers.handle_withdraw_collateral,
            tx_pb2.MsgWithdrawCollateral(
                owner=owner, route_id="alpha", denom=DENOM, amount=str(amount), receiver=receiver
            ),
        )
        return self.hub.collect()[-1]


def build_network(*, insurance_usd: int = 100_000) -> Network:
    """A registered route "alpha" with ETH listed; BOB holds 1,000 ETH on the spoke."""
    hub_ctx = build_economy()
    hub_ctx.gas = GasMeter()
    spoke_ctx = Context("alpha-1", 1, START_NS, Branch(EmptyState()))
    open_channel(hub_ctx, "alpha-1")
    open_channel(spoke_ctx, "hub-1")
    collateral_genesis.init_genesis(hub_ctx, collateral_genesis.build_default_genesis())
    if insurance_usd:
        bank.mint(hub_ctx, INSURANCE_ADDRESS, "uusd", insurance_usd * USD)
    insurance_genesis.init_genesis(hub_ctx, insurance_genesis.build_default_genesis())
    liquidation_genesis.init_genesis(hub_ctx, liquidation_genesis.build_default_genesis())
    vault_genesis.init_genesis(spoke_ctx, vault_genesis.build_default_genesis())
    bank.mint(spoke_ctx, BOB, DENOM, 1_000 * ETH)
    collateral_handlers.handle_register_route(
        hub_ctx, tx_pb2.MsgRegisterRoute(authority=AUTHORITY, route=build_route())
    )
    collateral_handlers.handle_set_asset(
        hub_ctx, tx_pb2.MsgSetAsset(authority=AUTHORITY, asset=build_asset())
    )
    collateral_handlers.handle_set_listing(
        hub_ctx, tx_pb2.MsgSetListing(authority=AUTHORITY, listing=build_listing())
    )
    vault_handlers.handle_register_hub(
        spoke_ctx, vault_tx.MsgRegisterHub(authority=AUTHORITY, hub=build_hub())
    )
    hub_ctx.events.clear()
    spoke_ctx.events.clear()
    hub_application = MarginApplication(
        {**collateral_packets.PACKET_HANDLERS, **liquidation_packets.PACKET_HANDLERS}
    )
    return Network(
        End(hub_ctx, hub_application),
        End(spoke_ctx, MarginApplication(vault_packets.PACKET_HANDLERS)),
    )


def get_identity(network: Network) -> CollateralIdentity:
    """The identity of the route's ETH, from what both chains' stores say now."""
    hub, spoke = network.hub.ctx, network.spoke.ctx
    pending = {lock.lock_id: int(lock.amount) for lock in vault.iterate_pending_locks(spoke)}
    flights = {f.flight_id: int(f.amount) for f in collateral_state.iterate_flights(hub)}
    return compute_identity(
        locked=sum(vault.get_totals(spoke).get(DENOM, (0, 0))),
        liens=sum(collateral_queries.get_lien_totals(hub).values()),
        pending_locks=pending,
        credited_lock_ids=[
            i for i in pending if collateral_state.get_credited_lock(hub, "alpha", i)
        ],
        flights=flights,
        executed_order_ids=[i for i in flights if vault.get_order(spoke, i)],
    )


def assert_collateral_identity(network: Network) -> None:
    """Locked = liens ± in flight; the vault's ledger is the bank's; nothing was made or lost."""
    spoke = network.spoke.ctx
    assert get_identity(network).difference == 0
    totals = vault.get_totals(spoke).get(DENOM, (0, 0))
    assert bank.get_balance(spoke, vault_handlers.MODULE_ADDRESS, DENOM) == sum(totals)
    assert bank.get_supply(spoke, DENOM) == 1_000 * ETH
    assert bank.find_broken_supply(spoke) is None
