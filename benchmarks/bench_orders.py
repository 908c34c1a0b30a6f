"""Orders committed a second with margin on, through the real application over LevelDB.

    python -m benchmarks.bench_orders [--accounts 1000] [--blocks 4] [--profile]

Blocks of 1,000 signed transactions with an order each: the mix of 60 % placed, 30 % cancelled and
10 % filled, then blocks of takers that fill one resting order each, and placements alone. Four
markets, traders drawn uniformly, prices agreed anew in every block by vote extensions. Figures are
CPU of one core: execution and Commit (what a validator cannot avoid), and CheckTx beside it; and
what a signature check took meanwhile (50 us when the machine is ours alone).
"""

import argparse
import cProfile
import gc
import pstats
import random
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from benchmarks.bench_transfers import measure_verify_us
from chain._pb.cosmos.base.abci.v1beta1 import abci_pb2
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.markets.v1 import markets_pb2, tx_pb2
from chain._pb.margin.oracle.v1 import oracle_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.hub import HUB
from chain.modules import oracle
from chain.modules.markets.params import build_default_params as build_markets_params
from chain.modules.oracle.params import build_default_params as build_oracle_params
from chain.modules.oracle.types import SourcePrice
from chain.node.storage import open_commit_store
from chain.units import UUSD, WAD
from tests.modules.economy import BUY, SELL, build_asset_params, build_market
from tests.support.testchain import DENOM, Account, TestChain, TxDraft

BLOCK_TXS = 1_000
ASSETS = ("ATOM", "BTC", "ETH", "SOL")
PRICE_CENTS = 200_000
SIZE = 10**4
"""Quantums of an order: a hundredth of a unit, 20 USD."""
CASH = 10**5 * UUSD
MIX = ("place",) * 6 + ("cancel",) * 3 + ("fill",)
GAS_LIMIT = 1_000_000


class Feed:
    """Two venues with one price, always fresh by the chain's virtual clock."""

    def __init__(self) -> None:
        self.chain: TestChain | None = None

    def read(self) -> list[SourcePrice]:
        """What the validator's sources say now."""
        assert self.chain is not None
        return [
            SourcePrice(asset, venue, PRICE_CENTS * WAD // 100, self.chain.time_ns)
            for asset in ASSETS
            for venue in ("left", "right")
        ]


@dataclass(frozen=True, slots=True)
class Resting:
    """An order that a block left in the book."""

    owner: Account
    order_id: int


class Book:
    """The chain, its traders, and what rests: asks to be taken, bids to be cancelled."""

    def __init__(self, folder: Path, count: int) -> None:
        self.traders = [Account.named(f"orders-{index}") for index in range(count)]
        # Nobody meets his own order.
        self.makers, self.takers = self.traders[::2], self.traders[1::2]
        self.chain = build_chain(folder, self.traders)
        self.source = random.Random(5)
        self.bids: deque[Resting] = deque()
        self.deposit_all()

    def deposit_all(self) -> None:
        """Give every trader cash in a margin account, and its number on the chain."""
        for start in range(0, len(self.traders), BLOCK_TXS):
            some = self.traders[start : start + BLOCK_TXS]
            ctx = self.chain.read_context()
            for trader in some:
                stored = self.chain.definition.accounts.get_account(ctx, trader.address)
                trader.number = stored.account_number
            block = [
                self.sign(
                    trader,
                    accounts_tx.MsgDepositCash(
                        sender=trader.address, owner=trader.address, amount_uusd=str(CASH)
                    ),
                )
                for trader in some
            ]
            require_done(self.chain.next_block(block).results)

    def sign(self, trader: Account, message: Message) -> bytes:
        """A transaction with one message."""
        draft = TxDraft([message], [trader], self.chain.chain_id, gas_limit=GAS_LIMIT)
        raw = draft.fill().build()
        trader.sequence += 1
        return raw

    def place(self, trader: Account, side: int, cents: int, time_in_force: int) -> bytes:
        """An order in a market drawn at random."""
        message = tx_pb2.MsgPlaceOrder(
            owner=trader.address,
            market=f"{self.source.choice(ASSETS)}-USD",
            side=cast("markets_pb2.Side", side),
            size_quantums=str(SIZE),
            price_wad=str(cents * WAD // 100),
            time_in_force=cast("markets_pb2.TimeInForce", time_in_force),
        )
        return self.sign(trader, message)

    def rest(self, side: int) -> tuple[Account, bytes]:
        """An order that does not cross, at one of a hundred prices."""
        trader = self.source.choice(self.makers)
        offset = self.source.randrange(1, 101)
        cents = PRICE_CENTS + (offset if side == SELL else -offset)
        return trader, self.place(trader, side, cents, markets_pb2.TIME_IN_FORCE_GOOD_TILL_CANCEL)

    def take(self) -> bytes:
        """An order that buys what is cheapest."""
        trader = self.source.choice(self.takers)
        return self.place(
            trader, BUY, PRICE_CENTS + 100, markets_pb2.TIME_IN_FORCE_IMMEDIATE_OR_CANCEL
        )

    def cancel(self) -> bytes:
        """Cancel the oldest bid."""
        resting = self.bids.popleft()
        message = tx_pb2.MsgCancelOrder(owner=resting.owner.address, order_id=resting.order_id)
        return self.sign(resting.owner, message)

    def build_placements(self, side: int) -> tuple[list[bytes], list[Account]]:
        """A block of orders that rest on one side, and whose they are."""
        pairs = [self.rest(side) for _ in range(BLOCK_TXS)]
        return [raw for _, raw in pairs], [trader for trader, _ in pairs]

    def build_mix(self) -> tuple[list[bytes], list[tuple[int, Account]]]:
        """A block of the mix; where in it bids were placed."""
        block: list[bytes] = []
        placed: list[tuple[int, Account]] = []
        for index in range(BLOCK_TXS):
            kind = MIX[index % len(MIX)]
            if kind == "place":
                # Every third is an ask: takers eat half of them.
                side = SELL if index % 3 == 0 else BUY
                trader, raw = self.rest(side)
                if side == BUY:
                    placed.append((index, trader))
                block.append(raw)
            else:
                block.append(self.cancel() if kind == "cancel" else self.take())
        return block, placed

    def keep_bids(
        self, results: Sequence[abci.ExecTxResult], placed: Sequence[tuple[int, Account]]
    ) -> None:
        """Remember what can be cancelled."""
        for index, trader in placed:
            data = abci_pb2.TxMsgData.FromString(results[index].data)
            answer = tx_pb2.MsgPlaceOrderResponse.FromString(data.msg_responses[0].value)
            self.bids.append(Resting(trader, answer.order_id))


def build_chain(folder: Path, traders: Sequence[Account]) -> TestChain:
    """The hub with four perpetuals over LevelDB, one validator, prices in vote extensions."""
    feed = Feed()
    params = build_oracle_params()
    params.assets.extend(build_asset_params(asset) for asset in ASSETS)
    genesis = markets_pb2.GenesisState(
        params=build_markets_params(),
        markets=[build_market(id=f"{asset}-USD", asset=asset) for asset in ASSETS],
        next_order_id=1,
        next_fill_id=1,
    )
    coins = [{"denom": DENOM, "amount": str(10**12)}, {"denom": "uusd", "amount": str(CASH)}]
    balances = [{"address": trader.address, "coins": coins} for trader in traders]
    parts: dict[str, Any] = {
        "oracle": MessageToDict(
            oracle_pb2.GenesisState(params=params), preserving_proto_field_name=True
        ),
        "markets": MessageToDict(genesis, preserving_proto_field_name=True),
        "bank": {"balances": balances},
    }
    modules = tuple(
        oracle.module(feed) if module.name == "oracle" else module for module in HUB.modules
    )
    chain = TestChain(
        replace(HUB, modules=modules),
        accounts={},
        app_state=parts,
        vote_extensions=True,
        store=open_commit_store(folder, HUB.store_names),
    )
    feed.chain = chain
    chain.next_block()
    chain.next_block()
    return chain


def require_done(results: Sequence[abci.ExecTxResult]) -> None:
    """Fail on a transaction that was refused."""
    for result in results:
        assert result.code == 0, f"{result.codespace}/{result.code}: {result.log}"


def count_events(results: Sequence[abci.ExecTxResult], kind: str) -> int:
    """Events of a type."""
    return sum(1 for result in results for event in result.events if event.type == kind)


@dataclass(slots=True)
class Figures:
    """CPU seconds of blocks: CheckTx, FinalizeBlock, Commit; and what filled."""

    txs: int = 0
    fills: int = 0
    check: float = 0
    execute: float = 0
    commit: float = 0
    verify_us: list[float] = field(default_factory=list)

    def report(self, name: str) -> None:
        """One line."""
        alone = self.execute + self.commit
        whole = alone + self.check
        micro = [seconds / self.txs * 1e6 for seconds in (self.check, self.execute, self.commit)]
        print(
            f"{name:<38} {self.txs / alone:7.0f} orders/s, with CheckTx {self.txs / whole:6.0f}; "
            f"CPU us: CheckTx {micro[0]:.0f}, FinalizeBlock {micro[1]:.0f}, Commit {micro[2]:.0f}; "
            f"{self.fills} fills; a signature check {statistics.median(self.verify_us):.0f} us",
            flush=True,
        )


def run_block(
    chain: TestChain, block: list[bytes], figures: Figures | None
) -> list[abci.ExecTxResult]:
    """Check, propose, execute and commit a block; its results, all of them good."""
    seconds = {"check": 0.0, "execute": 0.0, "commit": 0.0}

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(request: Any) -> Any:
            started = time.process_time()
            answer = call(request)
            seconds[name] += time.process_time() - started
            return answer

        return run

    started = time.process_time()
    codes = [chain.check(raw).code for raw in block]
    seconds["check"] = time.process_time() - started
    assert not any(codes), f"CheckTx refused with {set(codes)}"
    app = chain.app
    execute, commit = app.finalize_block, app.commit
    app.finalize_block = timed("execute", execute)  # type: ignore[method-assign]
    app.commit = timed("commit", commit)  # type: ignore[method-assign]
    results = chain.next_block(block).results
    del app.finalize_block, app.commit
    require_done(results)
    if figures is not None:
        figures.txs += len(block)
        figures.fills += count_events(results, "order_filled")
        figures.verify_us.append(measure_verify_us())
        figures.check += seconds["check"]
        figures.execute += seconds["execute"]
        figures.commit += seconds["commit"]
    return results


def run_placements(book: Book, side: int, figures: Figures | None) -> None:
    """A block of resting orders."""
    block, owners = book.build_placements(side)
    results = run_block(book.chain, block, figures)
    if side == BUY:
        book.keep_bids(results, list(enumerate(owners)))


def run_mix(book: Book, figures: Figures | None) -> None:
    """A block of the mix."""
    block, placed = book.build_mix()
    book.keep_bids(run_block(book.chain, block, figures), placed)


def main() -> None:
    """Print the figures; --profile adds where the mix spends its time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        book = Book(Path(folder), arguments.accounts)
        gc.collect()
        gc.freeze()
        placed, mixed, filled = Figures(), Figures(), Figures()
        for side in (BUY, SELL):
            run_placements(book, side, None)  # Warms caches.
        for _ in range(arguments.blocks):
            run_placements(book, SELL, placed)
        profile = cProfile.Profile()
        if arguments.profile:
            profile.enable()
        for _ in range(arguments.blocks):
            run_mix(book, mixed)
        profile.disable()
        for _ in range(arguments.blocks):
            block = [book.take() for _ in range(BLOCK_TXS)]
            run_block(book.chain, block, filled)
        mixed.report("60 % place, 30 % cancel, 10 % fill")
        filled.report("fills alone")
        placed.report("placements alone")
        book.chain.store.close()
    if arguments.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
