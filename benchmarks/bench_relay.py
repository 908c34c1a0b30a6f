"""Figures of relaying: acknowledged packets a second and their latency between two of our chains.

    python -m benchmarks.bench_relay [--packets 2000] [--rate 120] [--backlog 6000] [--block-ms 800]

A hub and a collateral chain of one validator each, joined by the relayer, all on loopback. Packets
are locks of collateral. First `--packets` locks are sent at `--rate` a second; then, unless
`--backlog` is 0, so many locks pile up while the relayer is stopped, and the first load is repeated
while it clears them. Latency is taken from block times: from the block that holds a packet to the
block of the same chain that holds its acknowledgement. Prints figures a phase; loader, nodes and
relayer share the machine.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from chain._pb.cosmos.auth.v1beta1 import auth_pb2
from chain._pb.cosmos.auth.v1beta1 import query_pb2 as auth_query
from chain._pb.margin.vault.v1 import tx_pb2 as vault_tx
from chain.client.comet import CometClient
from chain.client.errors import NotFound
from chain.client.transaction import Fee, SignerState, sign_transaction
from chain.errors import ChainError
from localnet.actors import ACTORS
from localnet.deployment import Localnet, LocalnetOptions
from relayer.events import parse_attributes

HUB, SPOKE = "hub-1", "alpha-1"
LOCKS_PER_TX = 20
GAS_PER_LOCK = 200_000
DEADLINE_S = 600.0


@dataclass
class Lives:
    """Block times (ns) at which packets of the collateral chain were sent and settled."""

    sent_ns: dict[int, int] = field(default_factory=dict)
    acknowledged_ns: dict[int, int] = field(default_factory=dict)
    height: int = 0


class Loader:
    """Sends locks from one account, block after block, without waiting for any of them."""

    def __init__(self, client: CometClient) -> None:
        self.client = client
        self.wallet = ACTORS["alice"].wallet
        self.state = SignerState(SPOKE, 0, 0)

    async def prepare(self) -> None:
        """Read the account's numbers."""
        answer = await self.client.abci_query(
            "/cosmos.auth.v1beta1.Query/Account",
            auth_query.QueryAccountRequest(address=self.wallet.address).SerializeToString(),
        )
        packed = auth_query.QueryAccountResponse.FromString(answer.value).account
        account = auth_pb2.BaseAccount.FromString(packed.value)
        self.state = SignerState(SPOKE, account.account_number, account.sequence)

    async def send(self, count: int) -> None:
        """Hand one transaction of so many locks to the mempool."""
        lock = vault_tx.MsgLockCollateral(
            depositor=self.wallet.address, owner=self.wallet.address, denom="aeth", amount="1000000"
        )
        gas = GAS_PER_LOCK * count
        tx = sign_transaction(self.wallet, [lock] * count, self.state, Fee(gas, gas // 1_000 + 1))
        answer = await self.client.broadcast_tx_sync(tx)
        if answer.code:
            raise RuntimeError(f"lock refused: {answer.log}")
        self.state = SignerState(SPOKE, self.state.account_number, self.state.sequence + 1)

    async def load(self, packets: int, rate: float) -> None:
        """Send packets at an even rate; 0 sends them at once."""
        started_s = time.monotonic()
        for sent in range(0, packets, LOCKS_PER_TX):
            if rate:
                await asyncio.sleep(max(0.0, started_s + sent / rate - time.monotonic()))
            await self.send(min(LOCKS_PER_TX, packets - sent))


async def follow(client: CometClient, lives: Lives) -> None:
    """Read every block since the last one."""
    tip = (await client.status()).latest_height
    lives.height = lives.height or tip - 1
    while lives.height < tip:
        try:
            results = await client.block_results(lives.height + 1)
        except NotFound:
            return  # Stored, but not executed yet.
        lives.height += 1
        header = await client.header(lives.height)
        time_ns = header.time.seconds * 10**9 + header.time.nanos
        for result in results.tx_results:
            for event in result.events if result.code == 0 else ():
                if event.type in ("send_packet", "acknowledge_packet"):
                    sequence = int(parse_attributes(event)["packet_sequence"])
                    is_sent = event.type == "send_packet"
                    (lives.sent_ns if is_sent else lives.acknowledged_ns)[sequence] = time_ns


async def settle(client: CometClient, lives: Lives, is_done: Callable[[], bool]) -> None:
    """Follow the chain until the condition holds; raises TimeoutError."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_done():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{len(lives.sent_ns) - len(lives.acknowledged_ns)} packets wait")
        await asyncio.sleep(0.5)
        await follow(client, lives)


def report(name: str, sequences: set[int], lives: Lives, block_s: float) -> dict[str, Any]:
    """The figures of one phase's packets."""
    latencies_s = sorted((lives.acknowledged_ns[s] - lives.sent_ns[s]) / 1e9 for s in sequences)
    first_ns = min(lives.sent_ns[s] for s in sequences)
    last_ns = max(lives.acknowledged_ns[s] for s in sequences)
    span_s = max((last_ns - first_ns) / 1e9, block_s)
    return {
        "phase": name,
        "packets": len(sequences),
        "span_s": round(span_s, 2),
        "acknowledged_per_s": round(len(sequences) / span_s, 1),
        "p50_s": round(statistics.median(latencies_s), 2),
        "p99_s": round(latencies_s[int(len(latencies_s) * 0.99)], 2),
        "max_s": round(latencies_s[-1], 2),
        "block_s": round(block_s, 2),
        "p50_blocks": round(statistics.median(latencies_s) / block_s, 2),
    }


async def measure_blocks(client: CometClient) -> float:
    """Seconds between the last twenty blocks."""
    tip = (await client.status()).latest_height
    first = max(1, tip - 20)
    old, new = await client.header(first), await client.header(tip)
    span = (new.time.seconds - old.time.seconds) + (new.time.nanos - old.time.nanos) / 1e9
    return span / (tip - first)


async def run_phase(
    name: str, loader: Loader, lives: Lives, packets: int, rate: float
) -> tuple[set[int], dict[str, Any]]:
    """Load, wait for every acknowledgement of this load, and report."""
    client = loader.client
    known = set(lives.sent_ns)
    await loader.load(packets, rate)

    def is_done() -> bool:
        fresh = set(lives.sent_ns) - known
        return len(fresh) >= packets and fresh <= set(lives.acknowledged_ns)

    await settle(client, lives, is_done)
    fresh = set(lives.sent_ns) - known
    return fresh, report(name, fresh, lives, await measure_blocks(client))


async def bench(net: Localnet, options: argparse.Namespace) -> None:
    """All phases on a network that is up."""
    node = net.network.topology.get_chain(SPOKE).nodes[0]
    async with CometClient(node.rpc_url, timeout_s=30) as client:
        loader, lives = Loader(client), Lives()
        await loader.prepare()
        await follow(client, lives)
        show = partial(print, flush=True)
        cpu_s = read_cpu(net)
        _, figures = await run_phase("live", loader, lives, options.packets, options.rate)
        figures["relayer_cpu_us_per_packet"] = round(
            (read_cpu(net) - cpu_s) * 1e6 / options.packets
        )
        show(json.dumps(figures))
        if not options.backlog:
            return
        net.relayer.stop()
        await loader.load(options.backlog, 0)
        backlog = set(lives.sent_ns)
        count = len(backlog) + options.backlog
        await settle(client, lives, lambda: len(lives.sent_ns) >= count)
        backlog = set(lives.sent_ns) - backlog
        net.relayer.start()
        started_s = time.monotonic()
        await asyncio.sleep(3)
        _, figures = await run_phase(
            "live beside the backlog", loader, lives, options.packets // 4, options.rate / 4
        )
        show(json.dumps(figures))
        await settle(client, lives, lambda: backlog <= set(lives.acknowledged_ns))
        cleared_s = time.monotonic() - started_s
        show(
            json.dumps(
                {
                    "phase": "backlog",
                    "packets": len(backlog),
                    "cleared_s": round(cleared_s, 1),
                    "acknowledged_per_s": round(len(backlog) / cleared_s, 1),
                }
            )
        )


def read_cpu(net: Localnet) -> float:
    """CPU seconds the relayer has used."""
    try:
        times = psutil.Process(net.relayer.pid).cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


def main() -> None:
    """Bring a network up, measure, take it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=600)
    parser.add_argument("--rate", type=float, default=60.0)
    parser.add_argument("--backlog", type=int, default=600)
    parser.add_argument("--block-ms", type=int, default=800)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        net = Localnet.create(
            Path(folder) / "net",
            LocalnetOptions(
                validators={HUB: 1, SPOKE: 1},
                timeout_commit_ms=options.block_ms,
                has_habitual_ports=False,
            ),
        )
        try:
            net.up()
            asyncio.run(bench(net, options))
        except ChainError as error:
            raise SystemExit(str(error)) from error
        finally:
            net.down()


if __name__ == "__main__":
    main()
