"""Hermes, unmodified: its configuration for our chains and for ibc-go, its commands, its process.

The configuration states what an operator would: addresses, fees, prefix. No `proof_specs` and no
`compat_mode`: the defaults must do.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import tomlkit

from localnet.interop.scenario import ScenarioFailed
from localnet.process import LocalProcess

KEY_NAME: Final = "hermes"
COMMAND_TIMEOUT_S: Final = 180.0
EventMode = Literal["push", "pull"]


@dataclass(frozen=True, slots=True)
class HermesChain:
    """What Hermes has to know of a chain."""

    chain_id: str
    rpc_url: str
    grpc_address: str
    account_prefix: str
    fee_denom: str
    max_gas: int = 20_000_000
    trusting_period: str = "14days"


def render_config(
    chains: Sequence[HermesChain],
    keys: Path,
    *,
    mode: EventMode = "push",
    is_misbehaviour_watched: bool = False,
    clear_interval: int = 0,
) -> str:
    """The text of Hermes's config.toml."""
    document: dict[str, Any] = {
        "global": {"log_level": "info"},
        "mode": {
            "clients": {
                "enabled": True,
                "refresh": True,
                "misbehaviour": is_misbehaviour_watched,
            },
            "connections": {"enabled": False},
            "channels": {"enabled": False},
            "packets": {
                "enabled": True,
                "clear_interval": clear_interval,
                "clear_on_start": True,
                "tx_confirmation": False,
            },
        },
        "rest": {"enabled": False, "host": "127.0.0.1", "port": 3000},
        "telemetry": {"enabled": False, "host": "127.0.0.1", "port": 3001},
        "chains": [_render_chain(chain, keys, mode) for chain in chains],
    }
    return tomlkit.dumps(document)


def _render_chain(chain: HermesChain, keys: Path, mode: EventMode) -> dict[str, Any]:
    events: dict[str, str] = {"mode": mode}
    if mode == "push":
        url = chain.rpc_url.replace("http://", "ws://") + "/websocket"
        events |= {"url": url, "batch_delay": "200ms"}
    else:
        events |= {"interval": "500ms"}
    return {
        "id": chain.chain_id,
        "type": "CosmosSdk",
        "rpc_addr": chain.rpc_url,
        "grpc_addr": f"http://{chain.grpc_address}",
        "event_source": events,
        "rpc_timeout": "10s",
        "account_prefix": chain.account_prefix,
        "key_name": KEY_NAME,
        "key_store_folder": str(keys),
        "key_store_type": "Test",
        "store_prefix": "ibc",
        "default_gas": 500_000,
        "max_gas": chain.max_gas,
        "gas_price": {"price": 0.001, "denom": chain.fee_denom},
        "gas_multiplier": 1.3,
        "max_msg_num": 30,
        "max_tx_size": 180_000,
        "clock_drift": "5s",
        "max_block_time": "30s",
        "trusting_period": chain.trusting_period,
        "trust_threshold": {"numerator": "2", "denominator": "3"},
        "address_type": {"derivation": "cosmos"},
    }


class Hermes:
    """Hermes over one configuration; commands give their JSON result."""

    def __init__(self, binary: Path, home: Path, logs: Path) -> None:
        self._binary = binary
        self._home = home
        self._logs = logs
        self.keys = home / "keys"

    def write_config(self, name: str, text: str) -> Path:
        """Write a configuration under a name; the file."""
        self._home.mkdir(parents=True, exist_ok=True)
        path = self._home / f"{name}.toml"
        path.write_text(text)
        return path

    def add_key(self, config: Path, chain_id: str, mnemonic: str) -> None:
        """Give Hermes the key that pays on a chain."""
        words = self._home / "mnemonic"
        words.touch(mode=0o600)
        words.write_text(mnemonic)
        try:
            self.run(
                config,
                *("keys", "add", "--chain", chain_id, "--key-name", KEY_NAME, "--overwrite"),
                *("--mnemonic-file", str(words)),
            )
        finally:
            words.unlink()

    def run(self, config: Path, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> Any:
        """The result of a command; raises ScenarioFailed with the command and Hermes's reason."""
        return self.run_logged(config, *arguments, timeout_s=timeout_s)[0]

    def run_logged(
        self, config: Path, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> tuple[Any, list[Mapping[str, Any]]]:
        """The result and the log lines of a command; raises as `run` does."""
        command = [str(self._binary), "--json", "--config", str(config), *arguments]
        name = "hermes " + " ".join(arguments[:8])
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ScenarioFailed(f"{name}: no end within {timeout_s:g} s") from error
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / "hermes.log").open("a") as log:
            log.write(f"$ {name}\n{done.stdout}{done.stderr}\n")
        lines = [parsed for line in done.stdout.splitlines() if (parsed := _parse(line))]
        for line in reversed(lines):
            if "status" in line and "result" in line:
                if line["status"] != "success":
                    raise ScenarioFailed(f"{name}: {line['result']}")
                return line["result"], [entry for entry in lines if "fields" in entry]
        raise ScenarioFailed(f"{name}: {(done.stderr or done.stdout)[-500:]}")

    def open_relayer(self, config: Path, name: str) -> LocalProcess:
        """`hermes start` as a process that is not yet started."""
        return LocalProcess(
            "hermes",
            [str(self._binary), "--config", str(config), "start"],
            self._logs / f"hermes-{name}.log",
            self._home / "run" / f"{name}.pid",
        )


def _parse(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
