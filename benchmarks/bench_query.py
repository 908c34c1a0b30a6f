"""Figures of ABCI queries with proof while blocks are full: what a relayer waits for.

    python -m benchmarks.bench_query [--accounts 10000] [--txs 6000] [--queries 400] [--rate 300]

One real CometBFT validator and its application on loopback. The same queries are timed twice over
RPC, one after another: on an idle chain, and while transfers are handed in at `--rate` a second
(0: as fast as the node takes them). Half of the queries prove a balance at the height before the
last, half the absence of a key of the IBC store; their proofs have both levels. Prints p50, p99
and the slowest, in milliseconds, and the transfers committed meanwhile.
"""

import argparse
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path

import httpx2

from benchmarks.bench_transfers import (
    BATCH,
    CHAIN_ID,
    DENOM,
    make_address,
    make_batches,
    read_waiting,
    sign_transfers,
    start_network,
)
from chain.client.wallet import decode_address
from localnet.network import Network

TIMEOUT_S = 60
WAITING_MAX = 3_000


def time_queries(network: Network, addresses: list[str], count: int) -> list[float]:
    """Milliseconds each of the queries took."""
    node = network.status()[0]
    draw = random.Random(11)  # the same queries idle and loaded
    took = []
    with httpx2.Client(base_url=node.rpc, timeout=TIMEOUT_S, trust_env=False) as client:
        for number in range(count):
            status = client.get("/status").json()["result"]
            height = int(status["sync_info"]["latest_block_height"]) - 1
            if number % 2:
                path, key = "store/ibc/key", f"clients/07-tendermint-{number}/clientState".encode()
            else:
                raw = decode_address(draw.choice(addresses))
                path, key = "store/bank/key", b"\x02" + bytes([len(raw)]) + raw + DENOM.encode()
            params = {"path": path, "data": key.hex(), "height": str(height), "prove": True}
            request = {"jsonrpc": "2.0", "id": number, "method": "abci_query", "params": params}
            started = time.monotonic()
            answer = client.post("/", json=request).json()["result"]["response"]
            took.append((time.monotonic() - started) * 1e3)
            if answer.get("code") or len(answer["proofOps"]["ops"]) != 2:
                raise RuntimeError(f"no proof of {path} at height {height}: {answer}")
    return took


def hand_in(network: Network, txs: list[bytes], rate: int, stop: threading.Event) -> None:
    """Broadcast transfers until told to stop, `rate` a second, never too many in the mempool."""
    node = network.status()[0]
    started = time.monotonic()
    with httpx2.Client(base_url=node.rpc, timeout=TIMEOUT_S, trust_env=False) as client:
        for number, batch in enumerate(make_batches(txs)):
            while not stop.is_set() and (
                (rate and number * BATCH > rate * (time.monotonic() - started))
                or read_waiting(network) > WAITING_MAX
            ):
                time.sleep(0.02)
            if stop.is_set():
                return
            client.post("/", content=batch)


def count_committed(network: Network, first: int, last: int) -> int:
    """Transactions in the blocks."""
    name = f"{CHAIN_ID}-v0"
    blocks = (network.ask_rpc(name, "block", height=str(n))["block"] for n in range(first, last))
    return sum(len(block["data"]["txs"] or ()) for block in blocks)


def describe(took: list[float]) -> str:
    """Percentiles of milliseconds."""
    cuts = statistics.quantiles(took, n=100)
    return f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, slowest {max(took):.1f} ms"


def main() -> None:
    """Time the queries on an idle node and on a loaded one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--txs", type=int, default=6_000)
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--rate", type=int, default=300)
    arguments = parser.parse_args()
    addresses = [make_address(index) for index in range(arguments.accounts)]
    txs = sign_transfers(addresses, arguments.txs, {})
    with tempfile.TemporaryDirectory() as folder:
        network = start_network(Path(folder) / "net", addresses)
        try:
            network.wait_for_height(CHAIN_ID, 5)
            print(f"ABCI queries with proof over RPC, {arguments.accounts} accounts")
            print(f"  idle:   {describe(time_queries(network, addresses, arguments.queries))}")
            stop = threading.Event()
            load = threading.Thread(
                target=hand_in, args=(network, txs, arguments.rate, stop), daemon=True
            )
            first, started = network.get_height(CHAIN_ID) or 0, time.monotonic()
            load.start()
            took = time_queries(network, addresses, arguments.queries)
            seconds = time.monotonic() - started
            last = network.get_height(CHAIN_ID) or 0
            stop.set()
            load.join()
            committed = count_committed(network, first + 1, last + 1)
            print(
                f"  loaded: {describe(took)}; {committed} transfers committed meanwhile, "
                f"{committed / seconds:.0f}/s"
            )
        finally:
            network.down()


if __name__ == "__main__":
    main()
