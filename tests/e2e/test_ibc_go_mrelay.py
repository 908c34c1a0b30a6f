"""Our relayer between real processes of two kinds: the hub and ibc-go, linked from either side."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pytest

from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.ibc.applications.transfer.v1 import tx_pb2 as transfer_tx
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain.ibc.apps.transfer.denoms import compute_escrow_address
from localnet.actors import ACTORS
from localnet.clients import Chain, open_chains
from localnet.demo.hub_queries import get_liens, get_price
from localnet.deployment import Localnet, LocalnetOptions
from localnet.governance import VoucherListing, get_voucher, register_voucher_route
from localnet.interop.mrelay import Mrelay, RelayedChain, RelayedPath
from relayer.config import PathSection
from tests.e2e.ibc_go import (
    BASE,
    CHAIN_ID,
    PORTS,
    SIMD,
    SimdChain,
    SimdNode,
    build_memo,
    get_balance,
    transfer,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not SIMD, reason="no ibc-go binary: set SIMD_BIN or run make interop"),
]

HUB = "hub-1"
FROM_HUB, FROM_SIMD = "hub-simd", "simd-hub"
ALICE = ACTORS["alice"].wallet
NATIVE = "umargin"
T = TypeVar("T")


@dataclass
class World:
    """The processes of this module and the channel that the hub's side proposed."""

    net: Localnet
    simd: SimdChain
    mrelay: Mrelay
    path: PathSection

    def ask(self, question: Callable[[Chain], Awaitable[T]]) -> T:
        """The answer of the hub to a question."""

        async def run() -> T:
            async with open_chains(self.net.network.topology) as chains:
                return await question(chains[HUB])

        return asyncio.run(run())

    def get_balance(self, address: str, denom: str) -> int:
        """What an address holds on the hub."""
        return self.ask(lambda hub: hub.balance(address, denom))

    def send_from_hub(self, amount: int, denom: str, timeout_s: int = 600) -> None:
        """A transfer of alice's to the user of simd."""
        message = transfer_tx.MsgTransfer(
            source_port="transfer",
            source_channel=self.path.a_channel,
            token=coin_pb2.Coin(denom=denom, amount=str(amount)),
            sender=ALICE.address,
            receiver=self.simd.wallet.address,
            timeout_timestamp=time.time_ns() + timeout_s * 10**9,
        )
        self.ask(lambda hub: hub.deliver(ALICE, [message]))

    def send_from_simd(self, amount: int, *, memo: str = "", timeout_s: int = 600) -> None:
        """A transfer of simd's user to alice."""
        channel = self.path.b_channel
        transfer(self.simd, channel, ALICE.address, amount, memo=memo, timeout_s=timeout_s)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The hub with its feed, simd, and a transfer channel between them; no relayer runs."""
    root = tmp_path_factory.mktemp("mrelay")
    options = LocalnetOptions(validators={HUB: 1}, timeout_commit_ms=300, has_habitual_ports=False)
    net = Localnet.create(root / "net", options)
    node = SimdNode(root / "simd")
    try:
        net.feed.start()
        net.network.up()
        simd = SimdChain()
        hub_node = net.network.topology.get_chain(HUB).nodes[0]
        mrelay = Mrelay.create(
            root / "relayer",
            (
                RelayedChain(HUB, hub_node.rpc_url),
                RelayedChain(CHAIN_ID, f"http://127.0.0.1:{PORTS['rpc']}", "cosmos", "stake"),
            ),
            (
                RelayedPath(FROM_HUB, HUB, CHAIN_ID, heartbeat_s=2),
                RelayedPath(FROM_SIMD, CHAIN_ID, HUB),
            ),
            ACTORS["relayer"].wallet,
        )
        try:
            yield World(net, simd, mrelay, mrelay.link(FROM_HUB))
        finally:
            mrelay.stop()
    finally:
        node.stop()
        net.down()


@pytest.fixture
def relaying(world: World) -> Iterator[World]:
    """The world while our relayer runs."""
    world.mrelay.start()
    try:
        yield world
    finally:
        world.mrelay.stop()


def wait_for(condition: Callable[[], bool], timeout_s: float = 40) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.3)


def test_either_side_may_propose(world: World) -> None:
    path = world.mrelay.link(FROM_SIMD)
    assert path.is_linked
    assert path.a_channel != world.path.b_channel
    assert path.b_channel != world.path.a_channel
    clients = world.mrelay.list_clients()
    assert {row["chain"] for row in clients} == {HUB, CHAIN_ID}
    assert [row["status"] for row in clients] == ["active"] * 4
    assert all(row["healthy"] for row in world.mrelay.run("health-check"))


def test_tokens_of_simd_go_out_and_home(world: World) -> None:
    voucher = get_voucher(world.path.a_channel, BASE)
    before = get_balance(world.simd.wallet.address)
    world.send_from_simd(700)
    assert [row["owed"] for row in world.mrelay.list_pending(FROM_HUB)] == ["receive"]
    world.mrelay.clear(FROM_HUB)
    assert world.get_balance(ALICE.address, voucher) == 700
    world.send_from_hub(300, voucher)
    world.mrelay.clear(FROM_HUB)
    assert world.get_balance(ALICE.address, voucher) == 400
    assert get_balance(world.simd.wallet.address) == before - 400
    assert world.mrelay.list_pending(FROM_HUB) == []


def test_tokens_of_the_hub_go_out_and_home(world: World) -> None:
    voucher = get_voucher(world.path.b_channel, NATIVE)
    escrow = compute_escrow_address("transfer", world.path.a_channel)
    world.send_from_hub(900, NATIVE)
    world.mrelay.clear(FROM_HUB)
    assert get_balance(world.simd.wallet.address, voucher) == 900
    assert world.get_balance(escrow, NATIVE) == 900
    channel = world.path.b_channel
    transfer(world.simd, channel, ACTORS["bob"].address, 900, denom=voucher)
    world.mrelay.clear(FROM_HUB)
    assert get_balance(world.simd.wallet.address, voucher) == 0
    assert world.get_balance(escrow, NATIVE) == 0
    assert world.mrelay.list_pending(FROM_HUB) == []


def test_what_is_not_relayed_in_time_is_refunded_on_both_sides(world: World) -> None:
    voucher = get_voucher(world.path.a_channel, BASE)
    escrow = compute_escrow_address("transfer", world.path.a_channel)
    theirs, ours = get_balance(world.simd.wallet.address), world.get_balance(escrow, NATIVE)
    held = world.get_balance(ALICE.address, voucher)
    world.send_from_simd(50, timeout_s=8)
    world.send_from_hub(60, NATIVE, timeout_s=8)
    assert get_balance(world.simd.wallet.address) == theirs - 50
    assert world.get_balance(escrow, NATIVE) == ours + 60
    time.sleep(10)
    assert {row["owed"] for row in world.mrelay.list_pending(FROM_HUB)} == {"timeout"}
    world.mrelay.clear(FROM_HUB)
    assert get_balance(world.simd.wallet.address) == theirs
    assert world.get_balance(escrow, NATIVE) == ours
    assert world.get_balance(ALICE.address, voucher) == held
    assert world.mrelay.list_pending(FROM_HUB) == []


def test_a_running_relayer_keeps_both_clients_fresh(relaying: World) -> None:
    def get_heights() -> dict[str, int]:
        rows = relaying.mrelay.list_clients()
        return {row["chain"]: row["height"] for row in rows[:2]}

    first = get_heights()
    wait_for(lambda: all(height > first[chain] for chain, height in get_heights().items()))


def test_collateral_of_simd_becomes_a_lien_and_goes_home(relaying: World) -> None:
    voucher = get_voucher(relaying.path.a_channel, BASE)
    listing = VoucherListing("USDC", BASE, decimals=6, amount_cap=10**12)
    create = accounts_tx.MsgCreateAccount(owner=ALICE.address, number=0)

    async def prepare(hub: Chain) -> None:
        await get_price(hub, "USDC")
        await register_voucher_route(
            hub, relaying.path, [listing], route_id="simd", address_prefix="cosmos"
        )
        await hub.deliver(ALICE, [create])

    relaying.ask(prepare)
    before = get_balance(relaying.simd.wallet.address)
    relaying.send_from_simd(5_000_000, memo=build_memo(ALICE.address))

    def get_lien() -> int:
        return relaying.ask(lambda hub: get_liens(hub, ALICE.address)).get(voucher, 0)

    wait_for(lambda: get_lien() == 5_000_000)
    withdrawal = collateral_tx.MsgWithdrawCollateral(
        owner=ALICE.address,
        route_id="simd",
        denom=voucher,
        amount="2000000",
        receiver=relaying.simd.wallet.address,
    )
    relaying.ask(lambda hub: hub.deliver(ALICE, [withdrawal]))
    wait_for(lambda: get_balance(relaying.simd.wallet.address) == before - 3_000_000)
    wait_for(lambda: get_lien() == 3_000_000)
    # An account that was never opened: refused on the hub, refunded on simd.
    relaying.send_from_simd(111, memo=build_memo(ALICE.address, 9))
    assert get_balance(relaying.simd.wallet.address) == before - 3_000_111
    wait_for(lambda: get_balance(relaying.simd.wallet.address) == before - 3_000_000)
    assert get_lien() == 3_000_000
