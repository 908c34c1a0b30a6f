"""Figures of committed transfers: one real CometBFT validator and its application on loopback.

    python -m benchmarks.bench_transfers [--accounts 10000,100000] [--txs 20000] [--rounds 1]
                                         [--window 3000] [--against FOLDER]

Every transfer is signed by its own key and pays a fee; senders and receivers are drawn uniformly
over all accounts, which is the worst case for caches. Transactions are signed before the clock
starts and handed in through CometBFT's RPC in batches, at most `--window` of them waiting in the
mempool, since a node checks all that wait anew after each block; loader, node and application share
the machine. Prints transfers a second from the first block that holds one to the last, and CPU
microseconds a transfer of application and node, read before the results are fetched, beside what a
signature check costs meanwhile (50 us when the machine is ours alone); and the seconds until the
first block with the application's CPU, most of it InitChain. Several account counts run in turn,
`--rounds` times each, so that a shared machine's drift hits all alike; `--against` alternates every
round with the same one of another checkout (its own environment variable PYTHONPATH leads there).
"""

import argparse
import base64
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import psutil
import tomlkit

from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain.client.comet_json import parse_time_ns
from chain.client.transaction import Fee, SignerState, sign_transaction
from chain.client.wallet import Wallet
from chain.runtime.genesis import build_default_app_state
from chain.runtime.signatures import is_signature_valid
from chain.spoke import SPOKE
from localnet.cometbft import ensure_cometbft
from localnet.homes import list_genesis_validators
from localnet.network import Network
from localnet.topology import ChainSpec, make_topology

CHAIN_ID = "bench-1"
DENOM = "umargin"
BALANCE = 10**12
BATCH = 100
MEMPOOL = 60_000
GAS_LIMIT = 200_000
VERIFIED = 20
"""Signature checks a sample of the machine's speed."""


def make_wallet(index: int) -> Wallet:
    """The key of an account, the same in every run."""
    return Wallet.from_private_key(sha256(f"bench/{index}".encode()).digest())


def make_address(index: int) -> str:
    """The address of an account, without the rest of its wallet."""
    return str(make_wallet(index).address)


def make_app_state(addresses: list[str], chain: ChainSpec) -> dict[str, Any]:
    """A spoke whose accounts all hold the fee denom."""
    state = build_default_app_state(SPOKE)
    state["validators"]["validators"] = list_genesis_validators(chain)
    state["auth"]["accounts"] = [
        {"@type": "/cosmos.auth.v1beta1.BaseAccount", "address": a, "account_number": str(n)}
        for n, a in enumerate(addresses)
    ]
    coins = [{"denom": DENOM, "amount": str(BALANCE)}]
    state["bank"]["balances"] = [{"address": a, "coins": coins} for a in addresses]
    return state


def sign_transfers(addresses: list[str], count: int, first_sequence: dict[int, int]) -> list[bytes]:
    """Signed sends of one unit between accounts drawn uniformly."""
    draw = random.Random(7)  # the same transfers in every run
    txs = []
    for _ in range(count):
        sender, receiver = draw.randrange(len(addresses)), draw.randrange(len(addresses))
        sequence = first_sequence.get(sender, 0)
        first_sequence[sender] = sequence + 1
        send = bank_tx.MsgSend(
            from_address=addresses[sender],
            to_address=addresses[receiver],
            amount=[coin_pb2.Coin(denom=DENOM, amount="1")],
        )
        state = SignerState(CHAIN_ID, sender, sequence)
        txs.append(sign_transaction(make_wallet(sender), [send], state, Fee(GAS_LIMIT, 1)))
    return txs


def make_batches(txs: list[bytes]) -> Iterator[bytes]:
    """JSON-RPC bodies that hand in BATCH transactions each."""
    for start in range(0, len(txs), BATCH):
        yield json.dumps(
            [
                {
                    "jsonrpc": "2.0",
                    "id": n,
                    # Not _sync: CometBFT flushes to the application every 20 ms, and a batch of
                    # synchronous calls waits for each flush in turn.
                    "method": "broadcast_tx_async",
                    "params": {"tx": base64.b64encode(tx).decode()},
                }
                for n, tx in enumerate(txs[start : start + BATCH])
            ]
        ).encode()


def start_network(folder: Path, addresses: list[str]) -> Network:
    """One validator with a mempool that holds the whole load."""

    def app_state(chain: ChainSpec) -> dict[str, Any]:
        return make_app_state(addresses, chain)

    network = Network.create(
        folder,
        make_topology({CHAIN_ID: 1}, hubs=(), timeout_commit_ms=200),
        cometbft=ensure_cometbft(print),
        app_state=app_state,
        has_habitual_ports=False,
    )
    path = network.get_home(f"{CHAIN_ID}-v0") / "config" / "config.toml"
    config: Any = tomlkit.parse(path.read_text())
    config["mempool"]["size"] = MEMPOOL
    config["mempool"]["cache_size"] = 2 * MEMPOOL
    config["mempool"]["max_txs_bytes"] = 1 << 30
    config["rpc"]["max_body_bytes"] = 1 << 24
    config["rpc"]["max_request_batch_size"] = BATCH
    config["rpc"]["timeout_broadcast_tx_commit"] = "60s"  # Also how long an answer may take.
    path.write_text(tomlkit.dumps(config))
    network.up(timeout_s=300)
    return network


def read_cpu_s(pid: int | None) -> float:
    """User and system seconds a process has used."""
    assert pid is not None
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def read_waiting(network: Network) -> int:
    """Transactions in the mempool."""
    return int(network.ask_rpc(f"{CHAIN_ID}-v0", "num_unconfirmed_txs")["n_txs"])


def measure_verify_us() -> float:
    """CPU of one signature check in this process now: how fast the shared machine is."""
    key = make_wallet(0)
    message = b"speed"
    signature, public_key = key.sign(message), key.public_key
    started = time.process_time()
    for _ in range(VERIFIED):
        assert is_signature_valid(public_key, message, signature)
    return (time.process_time() - started) / VERIFIED * 1e6


def run_load(network: Network, txs: list[bytes], window: int) -> dict[str, float]:
    """Hand in all transactions, wait until the mempool is empty, and compute the figures."""
    node = network.status()[0]
    batches = list(make_batches(txs))
    client = httpx2.Client(base_url=node.rpc, timeout=120, trust_env=False)
    first_height = network.get_height(CHAIN_ID) or 0
    app_s, node_s = read_cpu_s(node.app_pid), read_cpu_s(node.cometbft_pid)
    started = time.monotonic()
    refused = 0
    speed: list[float] = []
    for batch in batches:
        speed.append(measure_verify_us())
        while read_waiting(network) > window - BATCH:
            time.sleep(0.02)
        refused += sum(1 for answer in client.post("/", content=batch).json() if "error" in answer)
    deadline = time.monotonic() + 300
    while read_waiting(network) and time.monotonic() < deadline:
        time.sleep(0.05)
    last_height = network.get_height(CHAIN_ID) or 0
    network.wait_for_height(CHAIN_ID, last_height + 2)
    app_s = read_cpu_s(node.app_pid) - app_s
    node_s = read_cpu_s(node.cometbft_pid) - node_s
    busy = (app_s + node_s) / (time.monotonic() - started)
    committed, failed, blocks, seconds = read_results(
        network, client, first_height + 1, last_height + 1
    )
    return {
        "committed": committed,
        "refused": refused,
        "failed": failed,
        "blocks": blocks,
        "transfers_per_s": committed / seconds,
        "app_cpu_us": app_s / committed * 1e6,
        "node_cpu_us": node_s / committed * 1e6,
        "busy_cores": busy,
        "verify_us": statistics.median(speed),
    }


def read_results(
    network: Network, client: httpx2.Client, first: int, last: int
) -> tuple[int, int, int, float]:
    """Committed and failed transactions, blocks with any, and seconds from first to last."""
    name = f"{CHAIN_ID}-v0"
    committed, failed, blocks, first_ns, last_ns = 0, 0, 0, 0, 0
    for height in range(first, last + 1):
        block = client.get("/block", params={"height": height}).json()["result"]["block"]
        count = len(block["data"]["txs"] or ())
        if not count:
            continue
        answer = client.get("/block_results", params={"height": height}).json()
        failed += sum(1 for result in answer["result"]["txs_results"] if result["code"])
        first_ns = first_ns or parse_time_ns(block["header"]["time"])
        committed, last_ns = committed + count, read_commit_time_ns(network, name, height)
        blocks += 1
    return committed, failed, blocks, (last_ns - first_ns) / 1e9


def read_commit_time_ns(network: Network, name: str, height: int) -> int:
    """When a block was committed: the time in the block after it, the median of its votes."""
    network.wait_for_height(CHAIN_ID, height + 1)
    block = network.ask_rpc(name, "block", height=str(height + 1))["block"]
    return parse_time_ns(block["header"]["time"])


def run_accounts(count: int, txs: int, window: int) -> None:
    """Start a validator with so many accounts, load it, and print a line."""
    addresses = [make_address(index) for index in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        network = start_network(Path(folder) / "net", addresses)
        start_s = time.monotonic() - started
        try:
            start_cpu_s = read_cpu_s(network.status()[0].app_pid)
            figures = run_load(network, sign_transfers(addresses, txs, {}), window)
            rss = psutil.Process(network.status()[0].app_pid).memory_info().rss
        finally:
            network.down()
    print(
        f"  {count:>7} accounts: {figures['transfers_per_s']:5.0f} transfers/s in "
        f"{figures['blocks']:.0f} blocks, CPU a transfer: application "
        f"{figures['app_cpu_us']:.0f} us, node {figures['node_cpu_us']:.0f} us; "
        f"{figures['busy_cores']:.2f} cores had, a signature check took "
        f"{figures['verify_us']:.0f} us; {figures['committed']:.0f} committed, "
        f"{figures['refused']:.0f} refused, {figures['failed']:.0f} failed; application "
        f"{rss / 2**20:.0f} MiB; first block after {start_s:.1f} s, of it application CPU "
        f"{start_cpu_s:.1f} s",
        flush=True,
    )


def run_against(folder: Path, arguments: list[str]) -> None:
    """The same run by another checkout."""
    print(f"  {folder}:", flush=True)
    subprocess.run(
        [sys.executable, "-m", "benchmarks.bench_transfers", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        check=True,
    )


def main() -> None:
    """Run each account count in turn and print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", default="10000,100000")
    parser.add_argument("--txs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--window", type=int, default=3_000)
    parser.add_argument("--against", type=Path, help="another checkout, run in turn with this one")
    arguments = parser.parse_args()
    print("committed signed transfers, one validator, uniform senders and receivers")
    for _ in range(arguments.rounds):
        for count in [int(text) for text in arguments.accounts.split(",")]:
            run_accounts(count, arguments.txs, arguments.window)
            if arguments.against:
                sizes = {"accounts": count, "txs": arguments.txs, "window": arguments.window}
                options = [f"--{name}={value}" for name, value in sizes.items()]
                run_against(arguments.against.resolve(), options)


if __name__ == "__main__":
    main()
