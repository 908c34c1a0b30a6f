"""One real validator run by hand as an operator would: init, start, send over gRPC, export."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
import tomlkit

from chain.client.amount import Amount
from chain.client.comet import CometClient
from chain.client.errors import ChainError, TxRefused
from chain.client.sync import SyncMarginClient
from chain.client.wallet import Keyring, Wallet
from chain.node.home import read_moniker, read_node_id
from localnet.cometbft import ensure_cometbft

pytestmark = pytest.mark.e2e

MARGINCHAIND = str(Path(sys.executable).with_name("marginchaind"))
BOB = Wallet.from_private_key(b"\x02" * 32)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def edit(path, change):
    document = tomlkit.parse(path.read_text())
    change(document)
    path.write_text(tomlkit.dumps(document))


class OneNode:
    """A home with one funded key and one validator, and its two processes."""

    def __init__(self, home):
        self.home = home
        self.processes = []
        self.rpc, self.p2p, self.grpc, self.rest, self.metrics = (free_port() for _ in range(5))
        self.url = f"grpc+http://127.0.0.1:{self.grpc}"

    def command(self, *arguments, check=True):
        finished = subprocess.run(
            [MARGINCHAIND, *arguments, "--home", str(self.home), "--output", "json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert not check or finished.returncode == 0, finished.stderr
        return finished

    def prepare(self, chain_id="alpha-1", chain_type="spoke"):
        self.command("init", "node0", "--chain-id", chain_id, "--type", chain_type)
        self.command("keys", "add", "alice")
        self.command("genesis", "add-genesis-account", "alice", "1000000umargin")
        self.command("genesis", "add-validator")
        self.command("genesis", "validate")
        abci = f"unix://{self.home}/abci.sock"

        def edit_comet(document):
            document["proxy_app"] = abci
            document["rpc"]["laddr"] = f"tcp://127.0.0.1:{self.rpc}"
            document["p2p"]["laddr"] = f"tcp://127.0.0.1:{self.p2p}"
            document["instrumentation"]["prometheus"] = False
            document["consensus"]["timeout_commit"] = "200ms"

        def edit_app(document):
            document["abci"]["address"] = abci
            document["grpc"]["address"] = f"127.0.0.1:{self.grpc}"
            document["rest"]["address"] = f"127.0.0.1:{self.rest}"
            document["metrics"]["address"] = f"127.0.0.1:{self.metrics}"
            document["cometbft"]["rpc"] = f"http://127.0.0.1:{self.rpc}"
            document["mempool"]["minimum_gas_prices"] = "0.001umargin"

        edit(self.home / "config" / "config.toml", edit_comet)
        edit(self.home / "config" / "app.toml", edit_app)

    def start(self, cometbft):
        for name, command in (
            ("app", [MARGINCHAIND, "start", "--home", str(self.home)]),
            ("cometbft", [str(cometbft), "start", "--home", str(self.home)]),
        ):
            with (self.home / f"{name}.log").open("a") as log:
                self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        self.wait_for_height(2)

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(20) for process in self.processes]
        self.processes = []
        return codes

    def height(self):
        async def ask():
            async with CometClient(f"http://127.0.0.1:{self.rpc}") as client:
                return (await client.status()).latest_height

        try:
            return asyncio.run(ask())
        except ChainError:
            return 0

    def wait_for_height(self, height):
        deadline = time.monotonic() + 60
        while self.height() < height:
            assert time.monotonic() < deadline, (self.home / "app.log").read_text()[-3000:]
            time.sleep(0.2)


def test_send_over_grpc_commits_and_state_survives(tmp_path):
    home = Path("/tmp") / f"margin-e2e-{os.getpid()}" if len(str(tmp_path)) > 80 else tmp_path
    node = OneNode(home)
    node.prepare()
    cometbft = ensure_cometbft()
    node.start(cometbft)
    try:
        alice = Keyring(home).open("alice")
        with SyncMarginClient.connect(node.url) as client:
            assert client.chain_id() == "alpha-1"
            outcome = client.send(alice, BOB.address, Amount.parse("7umargin")).wait()
            assert outcome.height > 1
            base = f"http://127.0.0.1:{node.rest}/cosmos/base/tendermint/v1beta1"
            info = httpx2.get(f"{base}/node_info", trust_env=False).json()["default_node_info"]
            assert info["default_node_id"] == read_node_id(home)
            assert info["moniker"] == read_moniker(home) != ""
            block = httpx2.get(f"{base}/blocks/latest", trust_env=False).json()["block"]
            assert int(block["header"]["height"]) >= outcome.height
            assert client.balance(BOB.address, "umargin") == 7
            assert client.balance(BOB.address, "umargin", height=1) == 0
            with pytest.raises(ChainError, match="insufficient funds"):
                client.send(alice, BOB.address, Amount.parse("2000000umargin"))

        assert json.loads(node.command("status").stdout)["network"] == "alpha-1"
        sent = node.command(
            *("tx", "bank", "send", "--from", "alice", "--to-address", BOB.address),
            *("--amount", "3umargin", "-y"),
        )
        assert json.loads(sent.stdout)["code"] == 0
        refused = node.command(
            *("tx", "bank", "send", "--from", "alice", "--to-address", BOB.address),
            *("--amount", "2000000umargin", "-y", "--gas", "100000"),
            check=False,
        )
        assert refused.returncode == 1
        assert json.loads(refused.stdout)["codespace"] == "sdk"
        assert json.loads(refused.stderr)["code"] == TxRefused.code
    finally:
        codes = node.stop()
    assert codes[0] == 0
    exported = json.loads(node.command("export").stdout)
    balances = exported["app_state"]["bank"]["balances"]
    held = next(entry for entry in balances if entry["address"] == BOB.address)
    assert held["coins"] == [{"denom": "umargin", "amount": "10"}]
    node.start(cometbft)
    try:
        answer = node.command(
            "query", "bank", "balance", "--address", BOB.address, "--denom", "umargin"
        )
        assert json.loads(answer.stdout)["balance"]["amount"] == "10"
    finally:
        node.stop()
