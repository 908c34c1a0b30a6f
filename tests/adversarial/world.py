"""A hub and a collateral chain in the middle of their lives, and a judge of what a block would do.

The hub has four validators whose feeds vote; accounts with cash, liens, positions and resting
orders; an auction with a bid in flight; a release, a lock and a heartbeat between the chains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain._pb.margin.council.v1 import council_pb2
from chain._pb.margin.insurance.v1 import tx_pb2 as insurance_tx
from chain._pb.margin.liquidation.v1 import tx_pb2 as liquidation_tx
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.markets.v1 import tx_pb2 as markets_tx
from chain._pb.margin.oracle.v1 import oracle_pb2
from chain._pb.margin.vault.v1 import tx_pb2 as vault_tx
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.hub import HUB
from chain.ibc.router import Packet
from chain.modules import oracle
from chain.modules.council.types import authority_address
from chain.modules.markets.params import build_default_params as build_markets_params
from chain.modules.oracle.params import build_default_params as build_oracle_params
from chain.modules.oracle.types import SourcePrice
from chain.runtime.router import pack
from chain.runtime.vote_extensions import encode_injected_commit
from chain.spoke import SPOKE
from chain.units import WAD
from tests.modules.economy import (
    BUY,
    ETHER,
    SELL,
    USD,
    build_asset_params,
    build_market,
    order,
)
from tests.modules.instruments import ETH_DENOM, SPOT, build_future, build_option, build_spot
from tests.support.testchain import DENOM, Account, TestChain, to_commit_info
from tests.twochain.chain import Clock, IbcChain
from tests.twochain.path import Endpoint, Path
from tests.twochain.test_margin import CONFIG, ETH, read_packet, register, relay

TRADERS = ("alice", "bob", "carol", "dave", "erin")
GAS_LIMIT = 20_000_000


class Feed:
    """Three venues that are always fresh by the clock of the chains."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.prices = {"ETH": 2_000 * WAD, "USDC": WAD}

    def read(self) -> list[SourcePrice]:
        return [
            SourcePrice(asset, venue, price, self.clock.now_ns)
            for asset, price in self.prices.items()
            for venue in ("left", "middle", "right")
        ]


def to_state(message: Message) -> dict[str, Any]:
    """A genesis part as its file states it."""
    return MessageToDict(message, preserving_proto_field_name=True)


@dataclass(frozen=True)
class Judgement:
    """What FinalizeBlock would answer to transactions, and the keys only they write."""

    results: list[abci.ExecTxResult]
    writes: dict[tuple[str, bytes], bytes | None]
    response: abci.ResponseFinalizeBlock

    @property
    def code(self) -> tuple[str, int]:
        return self.results[-1].codespace, self.results[-1].code

    @property
    def log(self) -> str:
        return self.results[-1].log


def _stage(chain: TestChain, raws: Sequence[bytes]) -> tuple[Any, dict[Any, Any]]:
    """FinalizeBlock of the next height without a commit: its answer and all its writes."""
    items = list(raws)
    if chain.vote_extensions:
        items.insert(0, encode_injected_commit(chain.last_commit))
    request = abci.RequestFinalizeBlock(
        height=chain.height + 1,
        txs=items,
        proposer_address=chain.validator_address(0),
        decided_last_commit=to_commit_info(chain.last_commit),
    )
    now_ns = chain.clock.now_ns if isinstance(chain, IbcChain) else chain.time_ns
    request.time.FromNanoseconds(now_ns + 10**9)
    captured: dict[tuple[str, bytes], bytes | None] = {}
    stage = chain.store.stage

    def capture(height: int, writes: Mapping[str, Mapping[bytes, bytes | None]]) -> bytes:
        for store, pairs in writes.items():
            captured.update({(store, key): value for key, value in pairs.items()})
        return stage(height, writes)

    chain.store.stage = capture  # type: ignore[method-assign]
    try:
        response = chain.app.finalize_block(request)
    finally:
        del chain.store.stage
    return response, captured


def judge(chain: TestChain, *raws: bytes) -> Judgement:
    """What a block with these transactions would do beyond the same block without them."""
    idle = _stage(chain, ())[1]
    response, writes = _stage(chain, raws)
    results = list(response.tx_results)[-len(raws) :] if raws else []
    missing = object()
    changed = {
        place: writes.get(place)
        for place in {**idle, **writes}
        if writes.get(place, missing) != idle.get(place, missing)
    }
    assert not chain.app.errors.by_place, chain.app.errors.by_place
    return Judgement(results, changed, response)


def judge_message(chain: TestChain, *messages: Message, signer: str = "alice") -> Judgement:
    """The judgement of one signed transaction with these messages."""
    return judge(chain, chain.draft(list(messages), signer, gas_limit=GAS_LIMIT).build())


def assert_alive(chain: TestChain) -> None:
    """A valid transaction succeeds in the next block."""
    alice = chain.account("alice").address
    message = council_pb2.MsgApprove(member=alice, proposal_id=10**9)
    verdict = judge_message(chain, message)
    assert verdict.code[0] == "council", "the council answers that there is no such proposal"


def assert_refused(
    chain: TestChain,
    message: Message,
    code: tuple[str, int],
    *words: str,
    signer: str = "alice",
) -> str:
    """The message is refused with the code and these words; only fee and sequence are written."""
    verdict = judge_message(chain, message, signer=signer)
    assert verdict.code == code, f"{verdict.code}: {verdict.log}"
    for word in words:
        assert word in verdict.log, f"{word!r} is not in {verdict.log!r}"
    stores = {store for store, _ in verdict.writes}
    assert stores <= {"auth", "bank"}, stores
    signed = [key for store, key in verdict.writes if store == "auth"]
    paid = [key for store, key in verdict.writes if store == "bank"]
    assert len(signed) <= 1, signed
    assert len(paid) <= 2, paid
    assert all(DENOM.encode() in key for key in paid), paid
    return verdict.log


@dataclass
class World:
    """Both chains, their path (a is the hub), the feed, and every message that succeeded."""

    path: Path
    feed: Feed
    flights: dict[str, Packet] = field(default_factory=dict)
    accepted: list[tuple[str, Message]] = field(default_factory=list)

    @property
    def hub(self) -> IbcChain:
        return self.path.a.chain

    @property
    def spoke(self) -> IbcChain:
        return self.path.b.chain

    def address(self, name: str) -> str:
        return str(Account.named(name).address)

    def act(self, chain: IbcChain, signer: str, *messages: Message) -> abci.ExecTxResult:
        """Deliver messages that must succeed, and remember them for mutations."""
        result = chain.deliver(*messages, signer=signer)
        self.accepted.extend((chain.chain_id, message) for message in messages)
        return result

    def run(self, blocks: int, **prices: int) -> None:
        """Blocks of the hub under new USD prices."""
        self.feed.prices.update({asset: price * WAD for asset, price in prices.items()})
        for _ in range(blocks):
            self.hub.next_block()

    def deposit(self, name: str, usd: int) -> None:
        address = self.address(name)
        self.act(
            self.hub,
            name,
            accounts_tx.MsgDepositCash(sender=address, owner=address, amount_uusd=str(usd * USD)),
        )

    def lock(self, name: str, amount: int) -> Packet:
        address = self.address(name)
        message = vault_tx.MsgLockCollateral(
            depositor=address, owner=address, denom="aeth", amount=str(amount)
        )
        return read_packet(self.act(self.spoke, name, message))

    def refresh(self) -> None:
        """Bring the hub's client of the spoke up to date, as a relayer does."""
        self.path.a.update_client()


def build_council() -> dict[str, Any]:
    """A council that is alice alone."""
    alice = Account.named("alice").address
    return {"params": {"members": [alice], "threshold": 1, "voting_period_ns": str(10**15)}}


def build_hub(clock: Clock, feed: Feed) -> IbcChain:
    """A hub of four validators whose feeds vote, with a market of each kind and five traders."""
    coins = {DENOM: 10**12, "uusd": 10**6 * USD, ETH_DENOM: 10 * ETH}
    oracle_params = build_oracle_params()
    oracle_params.assets.extend([build_asset_params("ETH"), build_asset_params("USDC")])
    markets = markets_pb2.GenesisState(
        params=build_markets_params(),
        markets=[build_market(), build_option(), build_future(), build_spot()],
        next_order_id=1,
        next_fill_id=1,
    )
    modules = tuple(oracle.module(feed) if m.name == "oracle" else m for m in HUB.modules)
    return IbcChain(
        clock,
        "hub-1",
        replace(HUB, modules=modules),
        accounts=dict.fromkeys(TRADERS, coins),
        app_state={
            "council": build_council(),
            "oracle": to_state(oracle_pb2.GenesisState(params=oracle_params)),
            "markets": to_state(markets),
        },
        validators=4,
        vote_extensions=True,
    )


def build_world() -> World:
    """Both chains at the start: the route registered, nobody has deposited."""
    clock = Clock()
    feed = Feed(clock)
    hub = build_hub(clock, feed)
    spoke = IbcChain(
        clock,
        "alpha-1",
        SPOKE,
        accounts={name: {DENOM: 10**12, "aeth": 100 * ETH} for name in TRADERS},
        app_state={"council": build_council()},
        validators=4,
    )
    path = Path(Endpoint(hub, channel_config=CONFIG), Endpoint(spoke, channel_config=CONFIG))
    world = World(path.setup(), feed)
    register(path)
    return world


def play_story(world: World) -> World:
    """Trade, crash, liquidate; leave an auction, orders, and packets of every kind in flight."""
    hub, path = world.hub, world.path
    world.run(2)
    for name in ("carol", "dave"):
        relay(path.b, world.lock(name, 10 * ETH))
    world.deposit("alice", 500_000)
    world.deposit("bob", 500_000)
    world.act(
        hub,
        "alice",
        insurance_tx.MsgFundInsurance(sender=world.address("alice"), amount_uusd=str(9_000 * USD)),
    )
    base = markets_tx.MsgDepositBase(owner=world.address("alice"), market=SPOT, amount=str(ETH))
    world.act(hub, "alice", base)
    world.act(hub, "alice", order(world.address("alice"), SELL, 70 * ETHER, 200_000))
    world.act(hub, "dave", order(world.address("dave"), BUY, 60 * ETHER, 200_000))
    world.act(hub, "carol", order(world.address("carol"), BUY, 5 * ETHER, 200_000))
    world.act(hub, "carol", order(world.address("carol"), BUY, 1 * ETHER, 199_000))
    world.refresh()
    world.run(1, ETH=1_770)
    world.act(hub, "bob", order(world.address("bob"), BUY, 100 * ETHER, 177_000))
    world.run(12)
    world.refresh()
    bid = liquidation_tx.MsgBid(
        bidder=world.address("bob"),
        auction_id=1,
        amount=str(2 * ETH),
        max_price_ray=str(10**40),
        receiver=world.address("bob"),
    )
    world.flights["seizure"] = read_packet(world.act(hub, "bob", bid))
    withdrawal = collateral_tx.MsgWithdrawCollateral(
        owner=world.address("carol"),
        route_id="alpha",
        denom="aeth",
        amount=str(ETH),
        receiver=world.address("carol"),
    )
    world.flights["release"] = read_packet(world.act(hub, "carol", withdrawal))
    world.flights["lock"] = world.lock("erin", 3 * ETH)
    transfer = accounts_tx.MsgTransferCash(
        owner=world.address("alice"), to_number=0, from_number=1, amount_uusd="1"
    )
    opened = accounts_tx.MsgCreateAccount(owner=world.address("alice"), number=1)
    deposited = accounts_tx.MsgDepositCash(
        sender=world.address("alice"), owner=world.address("alice"), number=1, amount_uusd="5"
    )
    world.act(hub, "alice", opened, deposited, transfer)
    proposal = council_pb2.MsgSubmitProposal(
        proposer=world.address("alice"),
        title="pause",
        messages=[pack(collateral_tx.MsgPauseRoute(sender=authority_address(), route_id="alpha"))],
    )
    world.act(hub, "alice", proposal)
    world.refresh()
    path.b.update_client()
    world.run(1)
    return world
