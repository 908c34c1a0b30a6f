"""Our relayer between any two chains: its home written from a description, its commands run.

What a scenario needs of a relayer is here and nothing of a chain: the same calls serve between two
chains of ours and between one of ours and one of ibc-go.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomlkit

from chain.client.wallet import Keyring, Wallet
from localnet.process import LocalProcess
from localnet.relaying import KEY_NAME, relayer_program
from relayer.config import PathSection, load_config

COMMAND_TIMEOUT_S: Final = 180.0
TRANSFER_PORT: Final = "transfer"
TRANSFER_VERSION: Final = "ics20-1"


class RelayerFailed(RuntimeError):
    """A command of the relayer that did not succeed; the text ends with what it said."""


@dataclass(frozen=True, slots=True)
class RelayedChain:
    """What the relayer has to know of a chain: where it answers and what its fees are paid in."""

    chain_id: str
    rpc_url: str
    account_prefix: str = "margin"
    fee_denom: str = "umargin"
    clock_drift_s: int = 10
    gas_price_micro: int = 1_000

    def to_section(self) -> dict[str, Any]:
        """The entry of the configuration file."""
        return {
            "id": self.chain_id,
            "rpc_addrs": [self.rpc_url],
            "account_prefix": self.account_prefix,
            "key_name": KEY_NAME,
            "fee_denom": self.fee_denom,
            "clock_drift_s": self.clock_drift_s,
            "gas_price_micro": self.gas_price_micro,
        }


@dataclass(frozen=True, slots=True)
class RelayedPath:
    """A channel to be opened: side a proposes, both ends on one port."""

    name: str
    a_chain: str
    b_chain: str
    port: str = TRANSFER_PORT
    version: str = TRANSFER_VERSION
    heartbeat_s: int = 0

    def to_section(self) -> dict[str, Any]:
        """The entry of the configuration file."""
        return {
            "name": self.name,
            "a_chain": self.a_chain,
            "b_chain": self.b_chain,
            "a_port": self.port,
            "b_port": self.port,
            "version": self.version,
            "heartbeat_s": self.heartbeat_s,
        }


class Mrelay:
    """One home of our relayer, its commands, and its process while it relays."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._command = (relayer_program(), "--home", str(home), "--output", "json")
        self.process = LocalProcess(
            "mrelay", [*self._command, "start"], home / "mrelay.log", home / "mrelay.pid"
        )

    @classmethod
    def create(
        cls,
        home: Path,
        chains: Sequence[RelayedChain],
        paths: Sequence[RelayedPath],
        wallet: Wallet,
    ) -> "Mrelay":
        """A home whose key is the wallet's on every chain, each address in the chain's prefix."""
        home.mkdir(parents=True, exist_ok=True)
        document: dict[str, Any] = {
            "global": {"log_level": "info"},
            "telemetry": {"enabled": False},
            "chains": [chain.to_section() for chain in chains],
            "paths": [path.to_section() for path in paths],
        }
        (home / "config.toml").write_text(tomlkit.dumps(document))
        load_config(home / "config.toml")
        Keyring(home).add(KEY_NAME, wallet, is_overwriting=True)
        return cls(home)

    def run(self, *words: str, timeout_s: float = COMMAND_TIMEOUT_S) -> Any:
        """The JSON that a command printed; raises RelayerFailed with its last lines."""
        done = subprocess.run(
            [*self._command, *words], capture_output=True, text=True, timeout=timeout_s, check=False
        )
        if done.returncode:
            said = (done.stdout + done.stderr)[-2_000:]
            raise RelayerFailed(f"mrelay {' '.join(words)} ended with {done.returncode}: {said}")
        return json.loads(done.stdout)

    def link(self, name: str) -> PathSection:
        """Open what the path lacks of clients, connection and channel; the path with its ids."""
        self.run("link", "--path", name)
        return self.get_path(name)

    def get_path(self, name: str) -> PathSection:
        """The path as it is written down now."""
        return load_config(self.home / "config.toml").get_path(name)

    def clear(self, name: str) -> None:
        """Relay everything the path owes now; raises RelayerFailed when something is left."""
        self.run("clear", "--path", name)

    def list_pending(self, name: str) -> list[dict[str, Any]]:
        """The path's packets without a final answer, and what each is owed."""
        rows: list[dict[str, Any]] = self.run("query", "pending", "--path", name)
        return rows

    def list_clients(self) -> list[dict[str, Any]]:
        """The clients of all linked paths as their chains store them."""
        rows: list[dict[str, Any]] = self.run("query", "clients")
        return rows

    def start(self) -> None:
        """Relay all paths in the background."""
        self.process.start()

    def stop(self) -> None:
        """End the background process."""
        self.process.stop()
