"""What our own relayer must do between our chains and ibc-go's: the same packets that Hermes does.

The last scenarios are the whole way of collateral that lies on an ibc-go chain.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from localnet.actors import ACTORS
from localnet.clients import Chain, open_chains
from localnet.demo.hub_queries import get_liens, get_price
from localnet.governance import VoucherListing, is_route_registered, register_voucher_route
from localnet.interop.mrelay import Mrelay, RelayedChain, RelayedPath
from localnet.interop.scenario import Scenario, require
from localnet.interop.sides import ChannelEnd, Link, Side, play_round_trip, wait_until_seen
from localnet.interop.world import HUB_ID, World
from relayer.config import PathSection

HUB_SIMD: Final = "mrelay hub to ibc-go"
SIMD_HUB: Final = "mrelay ibc-go to hub"
HUB_SPOKE: Final = "mrelay hub to spoke"
ROUTE_ID: Final = "simd"
PAYER: Final = "keeper"
"""Pays for this relayer: the network's own one has a key of its own."""
_OWNER: Final = "bob"
_HEARTBEAT_S: Final = 2
_PACKETS: Final = 3
_LATE_S: Final = 3
_DEPOSIT: Final = 5_000_000
_WITHDRAWAL: Final = 2_000_000


def open_mrelay(world: World) -> Mrelay:
    """The relayer's home in the world, written when the first scenario asks for it."""
    home = world.root / "mrelay"
    if (home / "config.toml").exists():
        return Mrelay(home)
    sides = (world.hub, world.spoke, world.simd)
    ids = {"hub": sides[0].chain_id, "spoke": sides[1].chain_id, "ibc-go": sides[2].chain_id}
    paths = []
    for name in (HUB_SIMD, SIMD_HUB, HUB_SPOKE):
        a, _, b = name.removeprefix("mrelay ").partition(" to ")
        paths.append(RelayedPath(name, ids[a], ids[b], heartbeat_s=_HEARTBEAT_S))
    chains = [
        RelayedChain(side.chain_id, side.rpc_url, side.prefix, side.fee_denom) for side in sides
    ]
    return Mrelay.create(home, chains, paths, ACTORS[PAYER].wallet)


def link_all(world: World) -> None:
    """Every path of the relayer's configuration: it starts when all are linked."""
    for name in (HUB_SIMD, SIMD_HUB, HUB_SPOKE):
        world.get_link(name)


@contextmanager
def mrelay_running(world: World) -> Iterator[Mrelay]:
    """`mrelay start` over all three paths, linked before, while a block lasts."""
    link_all(world)
    mrelay = open_mrelay(world)
    mrelay.start()
    try:
        yield mrelay
        require(mrelay.process.is_running, f"mrelay start: {mrelay.process.read_log_tail()}")
    finally:
        mrelay.stop()


def check_health(world: World) -> str:
    """Every dependency proven: RPC, chain id, index, key and balance; clients once linked."""
    link_all(world)
    rows = open_mrelay(world).run("health-check")
    ill = [f"{row['chain']}: {row['faults']}" for row in rows if not row["healthy"]]
    require(not ill, f"mrelay health-check: {'; '.join(ill)}")
    return f"{len(rows)} rows healthy"


def open_link(world: World, name: str, a: Side, b: Side) -> str:
    """Two clients, a connection and a transfer channel, by `mrelay link`."""
    started = time.monotonic()
    path = open_mrelay(world).link(name)
    world.links[name] = build_link(path, a, b)
    return f"{time.monotonic() - started:.1f} s"


def build_link(path: PathSection, a: Side, b: Side) -> Link:
    """A linked path of the relayer as the scenarios see a channel."""
    return Link(
        ChannelEnd(a, path.a_client, path.a_connection, path.a_channel, path.a_port),
        ChannelEnd(b, path.b_client, path.b_connection, path.b_channel, path.b_port),
    )


def relay_transfers(world: World, name: str) -> str:
    """Coins of both chains there and back while `mrelay start` runs."""
    link = world.get_link(name)
    with mrelay_running(world):
        return play_round_trip(link)


def clear_packets(world: World, name: str) -> str:
    """Packets sent while nobody relays are pending, and are not once they are cleared."""
    link, mrelay = world.get_link(name), open_mrelay(world)
    for way in link.directions:
        sequences = way.send(11, count=_PACKETS)
        rows = mrelay.list_pending(name)
        owed = [row["sequence"] for row in rows if row["owed"] == "receive"]
        require(owed == sequences, f"mrelay query pending: {owed}, sent were {sequences}")
        mrelay.clear(name)
        require(not mrelay.list_pending(name), "mrelay query pending: packets are left")
        require(not way.a.list_commitments(), "commitments are left")
    return f"{_PACKETS} pending each way, none after clearing"


def relay_timeouts(world: World, name: str) -> str:
    """A packet of each chain past its height and one past its time: both senders are refunded."""
    link, amount = world.get_link(name), 777
    for way in link.directions:
        coin = way.a.side.coin
        before = way.a.side.get_balance("alice", coin)
        height = way.b.side.get_height()
        way.send(amount, timeout_s=0, timeout_height=height + _LATE_S)
        way.send(amount, timeout_s=_LATE_S)
        wait_until_seen(partial(_is_past, way.b.side, height + _LATE_S), "the timeout height")
        time.sleep(_LATE_S)
        open_mrelay(world).clear(name)
        after = way.a.side.get_balance("alice", coin)
        require(after == before, f"refund on {way.a.side.chain_id}: {after}, not {before}")
    return "height and time, both directions, refunded to the unit"


def _is_past(side: Side, height: int) -> bool:
    return side.get_height() > height


def refresh_clients(world: World, name: str) -> str:
    """Without a packet, a running relayer brings both clients to newer heights."""

    def get_heights(mrelay: Mrelay) -> dict[str, int]:
        ids = {end.client_id for end in (link.a, link.b)}
        chains = {end.side.chain_id for end in (link.a, link.b)}
        rows = [row for row in mrelay.list_clients() if row["client"] in ids]
        return {
            f"{row['chain']} {row['client']}": row["height"]
            for row in rows
            if {row["chain"], row["trusted_chain"]} == chains
        }

    link = world.get_link(name)
    with mrelay_running(world) as mrelay:
        first = get_heights(mrelay)
        seconds = wait_until_seen(
            lambda: all(height > first[key] for key, height in get_heights(mrelay).items()),
            "newer heights of both clients",
        )
    return f"{len(first)} clients moved within {seconds:.1f} s"


def ask_hub(world: World, question: Callable[[Chain], Awaitable[int]]) -> int:
    """A number that the hub answers."""

    async def run() -> int:
        async with open_chains(world.localnet.network.topology) as chains:
            return await question(chains[HUB_ID])

    return asyncio.run(run())


def register_vouchers(world: World) -> None:
    """Let the council take ibc-go's coin as collateral over the relayer's channel, valued as USDC;
    once.
    """
    path = open_mrelay(world).get_path(HUB_SIMD)
    listing = VoucherListing("USDC", world.simd.coin, decimals=6, amount_cap=10**12)

    async def run(hub: Chain) -> int:
        await get_price(hub, listing.asset)
        if await is_route_registered(hub, ROUTE_ID):
            return 0
        await register_voucher_route(
            hub, path, [listing], route_id=ROUTE_ID, address_prefix=world.simd.prefix
        )
        return 1

    ask_hub(world, run)


def deposit_from_ibc_go(world: World) -> str:
    """A transfer with the memo is a lien in one step; a withdrawal goes home to its owner."""
    link, owner = world.get_link(HUB_SIMD), ACTORS[_OWNER].wallet
    coin, simd = world.simd.coin, world.simd
    voucher = link.directions[1].get_voucher(coin)

    async def read_lien(hub: Chain) -> int:
        return (await get_liens(hub, owner.address)).get(voucher, 0)

    register_vouchers(world)
    world.hub.deliver(_OWNER, accounts_tx.MsgCreateAccount(owner=owner.address, number=0))
    before = simd.get_balance(_OWNER, coin)
    with mrelay_running(world):
        send_deposit(link, _OWNER, owner.address, 0, _DEPOSIT)
        seconds = wait_until_seen(lambda: ask_hub(world, read_lien) == _DEPOSIT, "the lien")
        withdrawal = collateral_tx.MsgWithdrawCollateral(
            owner=owner.address,
            route_id=ROUTE_ID,
            denom=voucher,
            amount=str(_WITHDRAWAL),
            receiver=simd.get_address(_OWNER),
        )
        world.hub.deliver(_OWNER, withdrawal)
        left = before - _DEPOSIT + _WITHDRAWAL
        wait_until_seen(lambda: simd.get_balance(_OWNER, coin) == left, "the voucher at home")
    require(ask_hub(world, read_lien) == _DEPOSIT - _WITHDRAWAL, "the lien after the withdrawal")
    return f"lien after {seconds:.1f} s; {_WITHDRAWAL} {coin} back with its owner"


def refund_refused_deposits(world: World) -> str:
    """A deposit that the hub refuses comes back to its sender on ibc-go to the unit."""
    link, owner = world.get_link(HUB_SIMD), ACTORS[_OWNER].wallet
    simd, coin = world.simd, world.simd.coin
    before = simd.get_balance(_OWNER, coin)
    with mrelay_running(world):
        send_deposit(link, _OWNER, owner.address, 99, 10)
        send_deposit(link, _OWNER, ACTORS["alice"].address, 0, 20)
        send_deposit(link, _OWNER, "nobody", 0, 40)
        link.directions[1].send(80, sender=_OWNER, memo='{"margin":{}}')
        wait_until_seen(lambda: not link.b.list_commitments(), "acknowledgements on ibc-go")
    after = simd.get_balance(_OWNER, coin)
    require(after == before, f"refund on {simd.chain_id}: {after} {coin}, not {before}")
    return "unknown account, another owner, no address, malformed: refunded to the unit"


def send_deposit(link: Link, sender: str, owner: str, account: int, amount: int) -> None:
    """Send coins of ibc-go with the memo of a deposit."""
    memo = json.dumps({"margin": {"deposit": {"owner": owner, "account": account}}})
    link.directions[1].send(amount, sender=sender, memo=memo)


def _link(name: str, a: str, b: str) -> Scenario[World]:
    def play(world: World) -> str:
        return open_link(world, name, getattr(world, a), getattr(world, b))

    title = f"client, connection, channel: {name.removeprefix('mrelay ')}"
    return Scenario(title, "mrelay", play, opens=name)


def _transfers(name: str) -> Scenario[World]:
    title = f"transfers both ways: {name.removeprefix('mrelay ')}"
    return Scenario(title, "mrelay", lambda world: relay_transfers(world, name))


SCENARIOS: Final[tuple[Scenario[World], ...]] = (
    _link(HUB_SIMD, "hub", "simd"),
    _link(SIMD_HUB, "simd", "hub"),
    _link(HUB_SPOKE, "hub", "spoke"),
    Scenario("health-check", "mrelay", check_health),
    _transfers(HUB_SIMD),
    _transfers(SIMD_HUB),
    _transfers(HUB_SPOKE),
    Scenario(
        "clear packets, query packet pending",
        "mrelay",
        lambda world: clear_packets(world, HUB_SIMD),
    ),
    Scenario("timeouts: hub and ibc-go", "mrelay", lambda w: relay_timeouts(w, HUB_SIMD)),
    Scenario("client refresh", "mrelay", lambda world: refresh_clients(world, HUB_SIMD)),
    Scenario("deposit by memo, withdrawal home", "mrelay", deposit_from_ibc_go),
    Scenario("refused deposits are refunded", "mrelay", refund_refused_deposits),
)
