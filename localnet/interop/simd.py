"""One ibc-go chain in one process: its home, its accounts, its life."""

import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import tomlkit

from chain.client.errors import NodeUnavailable, NotFound, QueryRefused
from chain.client.sync import SyncMarginClient
from chain.client.wallet import Wallet
from localnet.actors import ACTORS
from localnet.network import is_port_free, list_candidate_ports
from localnet.process import LocalProcess, ProcessFailed, wait_until

CHAIN_ID: Final = "ibc-0"
PREFIX: Final = "cosmos"
FEE_DENOM: Final = "stake"
COIN: Final = "samoleans"
"""What the accounts hold besides the coin of the fees."""
HELD: Final = 10**11
_STAKED: Final = 7 * 10**10
_START_TIMEOUT_S: Final = 60.0
_KEYRING: Final = ("--keyring-backend", "test")


class SimdNode:
    """A single validator of ibc-go's test application on loopback."""

    def __init__(self, binary: Path, home: Path, logs: Path) -> None:
        self.home = home
        self._binary = binary
        ports = [port for port, _ in zip(_list_free_ports(), range(3), strict=False)]
        self.rpc_port, self.p2p_port, self.grpc_port = ports
        self.process = LocalProcess(
            "simd",
            [str(binary), "start", "--home", str(home)],
            logs / "simd.log",
            home / "run" / "simd.pid",
        )

    @property
    def rpc_url(self) -> str:
        """CometBFT's RPC."""
        return f"http://127.0.0.1:{self.rpc_port}"

    @property
    def grpc_address(self) -> str:
        """host:port of the gRPC services."""
        return f"127.0.0.1:{self.grpc_port}"

    def create(self, accounts: tuple[str, ...], *, timeout_commit_ms: int) -> None:
        """Write a home whose genesis gives coins to named accounts of the local network."""
        self._run("init", "validator", "--chain-id", CHAIN_ID)
        for name in ("faucet", *accounts):
            self._run("keys", "add", name, "--recover", *_KEYRING, text=ACTORS[name].mnemonic)
            coins = f"{HELD}{FEE_DENOM},{HELD}{COIN}"
            self._run("genesis", "add-genesis-account", get_wallet(name).address, coins)
        stake = f"{_STAKED}{FEE_DENOM}"
        self._run("genesis", "gentx", "faucet", stake, "--chain-id", CHAIN_ID, *_KEYRING)
        self._run("genesis", "collect-gentxs")
        self._configure(timeout_commit_ms)

    def _run(self, *arguments: str, text: str = "") -> None:
        done = subprocess.run(
            [self._binary, *arguments, "--home", str(self.home)],
            input=text + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ProcessFailed(f"simd {' '.join(arguments[:3])} failed: {done.stderr[-500:]}")

    def _configure(self, timeout_commit_ms: int) -> None:
        folder = self.home / "config"
        comet = tomllib.loads((folder / "config.toml").read_text())
        comet["rpc"]["laddr"] = f"tcp://127.0.0.1:{self.rpc_port}"
        comet["rpc"]["pprof_laddr"] = ""
        comet["p2p"] |= {"laddr": f"tcp://127.0.0.1:{self.p2p_port}", "pex": False}
        comet["consensus"]["timeout_commit"] = f"{timeout_commit_ms}ms"
        (folder / "config.toml").write_text(tomlkit.dumps(comet))
        app = tomllib.loads((folder / "app.toml").read_text())
        app |= {"minimum-gas-prices": f"0{FEE_DENOM}", "pruning": "nothing"}
        app["grpc"]["address"] = self.grpc_address
        app["api"]["enable"] = app["grpc-web"]["enable"] = False
        (folder / "app.toml").write_text(tomlkit.dumps(app))

    def start(self) -> None:
        """Start it and wait for its first blocks; raises ProcessFailed with the log's end."""
        self.process.start()
        if not wait_until(self._answers, _START_TIMEOUT_S):
            self.process.stop()
            raise ProcessFailed(f"simd does not answer:\n{self.process.read_log_tail()}")

    def _answers(self) -> bool:
        try:
            with self.connect() as client:
                return client.balance(get_wallet("faucet").address, COIN) == HELD
        except (NodeUnavailable, NotFound, QueryRefused):
            return False

    def connect(self) -> SyncMarginClient:
        """A client of the chain; its transactions pay nothing."""
        return SyncMarginClient.connect(
            f"grpc+http://{self.grpc_address}", chain_id=CHAIN_ID, gas_price_micro=0
        )

    def stop(self) -> None:
        """End it."""
        self.process.stop()


def get_wallet(name: str) -> Wallet:
    """The key of a named account as ibc-go's address shows it."""
    return Wallet.from_mnemonic(ACTORS[name].mnemonic, prefix=PREFIX)


def _list_free_ports() -> Iterator[int]:
    return (port for port in list_candidate_ports() if is_port_free(port))
