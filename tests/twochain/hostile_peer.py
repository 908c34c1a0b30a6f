"""A chain that speaks IBC correctly and ICS-20 as it pleases: any packet data, any answer, proven.

Its handshakes, headers and proofs are honest; what it commits to under port `transfer` is whatever
a test says. The hub at the other end is the real one, with a registered voucher route.
"""

from dataclasses import dataclass, field

from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.collateral.v1 import collateral_pb2
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain.hub import HUB
from chain.ibc import module as ibc_module
from chain.ibc.apps.transfer.denoms import PORT, VERSION, Denom
from chain.ibc.router import ChannelOpening, Packet
from chain.modules import auth, bank, validators
from chain.modules.auth import state as auth_state
from chain.modules.bank import state as bank_state
from chain.modules.collateral.queries import get_lien_totals
from chain.modules.council.types import authority_address
from chain.runtime.context import Context
from chain.runtime.definition import ChainDefinition
from tests.modules.margin_network import build_asset, build_listing
from tests.support.echo import EchoApplication
from tests.twochain.chain import AUTHORITY, Clock, EchoChain, IbcChain
from tests.twochain.path import ChannelConfig, ClientConfig, Endpoint, Path
from tests.twochain.test_margin import COINS, council_state, get_place, get_trust, oracle_state

CONFIG = ChannelConfig(port_id=PORT, version=VERSION)
ACCEPTED = b'{"result":"AQ=="}'
ROUTE_ID = "simd"


@dataclass
class TransferLiar(EchoApplication):
    """Opens a transfer channel as ICS-20 asks, and answers every packet with `answer`."""

    answer: bytes = field(default=ACCEPTED)

    def on_chan_open_init(self, ctx: Context, opening: ChannelOpening) -> str:
        super().on_chan_open_init(ctx, opening)
        return VERSION

    def on_recv_packet(self, ctx: Context, packet: Packet, relayer: str) -> bytes:
        super().on_recv_packet(ctx, packet, relayer)
        return self.answer


class LiarChain(EchoChain):
    """An echo chain whose application is bound to the port of ICS-20; alice is its authority."""

    def __init__(self, clock: Clock, chain_id: str = "ibc-0") -> None:
        self.echo = self.liar = TransferLiar()
        definition = ChainDefinition(
            name="echo",
            modules=(
                auth.module(),
                bank.MODULE,
                validators.MODULE,
                ibc_module({PORT: self.liar}, lambda _: self.accounts[AUTHORITY].address),
                self.liar.module(),
            ),
            accounts=auth_state,
            fees=bank_state,
            validators=validators.state,
        )
        IbcChain.__init__(self, clock, chain_id, definition, validators=4)


def build_hub(clock: Clock) -> IbcChain:
    """A hub with a price for ETH, whose council is alice."""
    return IbcChain(
        clock,
        "hub-1",
        HUB,
        accounts={"alice": COINS, "bob": COINS},
        app_state={"council": council_state(), "oracle": oracle_state(clock.now_ns)},
    )


def register_vouchers(hub: Endpoint, base: str, *, prefix: str, amount_cap: int = 1_000) -> str:
    """Make the hub's end of a transfer channel a route for a token with 6 decimals; its voucher.

    The hub's alice opens her account 0.
    """
    voucher = Denom(base).with_hop(PORT, hub.channel_id).local_denom
    route = collateral_pb2.Route(
        route_id=ROUTE_ID,
        vault=PORT,
        kind=collateral_pb2.ROUTE_KIND_VOUCHER,
        address_prefix=prefix,
        route_class=collateral_pb2.ROUTE_CLASS_LIGHT_CLIENT,
        trust=collateral_pb2.TrustParameters(**get_trust(hub)),
        auction_duration_s=60,
        heartbeat_interval_s=600,
        value_cap_uusd=str(10**15),
        stake_uusd=str(10**16),
        validators_for_third=4,
        **get_place(hub),
    )
    listing = build_listing(
        route_id=ROUTE_ID, denom=voucher, decimals=6, amount_min="2", amount_cap=str(amount_cap)
    )
    authority = authority_address()
    hub.chain.decide(
        collateral_tx.MsgRegisterRoute(authority=authority, route=route),
        collateral_tx.MsgSetAsset(authority=authority, asset=build_asset()),
        collateral_tx.MsgSetListing(authority=authority, listing=listing),
    )
    hub.chain.deliver(accounts_tx.MsgCreateAccount(owner=hub.signer, number=0))
    return voucher


def build_hostile_path(base: str) -> Path:
    """An open transfer channel between the liar (a) and the hub (b), registered as a route."""
    clock = Clock()
    client = ClientConfig()
    liar = Endpoint(LiarChain(clock), client_config=client, channel_config=CONFIG)
    path = Path(liar, Endpoint(build_hub(clock), client_config=client, channel_config=CONFIG))
    path.setup()
    register_vouchers(path.b, base, prefix="cosmos")
    return path


def get_lien(path: Path, voucher: str) -> int:
    """What is credited of a voucher over the route."""
    return get_lien_totals(path.b.chain.read_context())[ROUTE_ID, voucher]
