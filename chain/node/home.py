"""A node's home folder, laid out as the Cosmos world knows it: config/ and data/.

config/app.toml                  our settings           data/application.db   our state
config/config.toml               CometBFT's settings    data/…                CometBFT's state
config/genesis.json              the chain's beginning
config/node_key.json             p2p identity
config/priv_validator_key.json   consensus key
"""

import base64
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import tomlkit
from nacl.signing import SigningKey

from chain.client.json_text import load_json
from chain.node.config import CONFIG_PATH, ConfigError, write_default_config
from chain.units import NANOSECONDS

GENESIS_PATH: Final = Path("config") / "genesis.json"
COMETBFT_CONFIG_PATH: Final = Path("config") / "config.toml"
NODE_KEY_PATH: Final = Path("config") / "node_key.json"
VALIDATOR_KEY_PATH: Final = Path("config") / "priv_validator_key.json"
VALIDATOR_STATE_PATH: Final = Path("data") / "priv_validator_state.json"
DATABASE_PATH: Final = Path("data") / "application.db"
CHAIN_ID: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{0,48}[a-zA-Z0-9]")
EVIDENCE_AGE_S: Final = 21 * 86_400
"""Evidence counts, and power stays bonded, for 21 days."""
_KEY_TYPE = "tendermint/PubKeyEd25519"


@dataclass(frozen=True, slots=True)
class ConsensusKey:
    """An ed25519 key in the forms CometBFT's files want."""

    signing: SigningKey

    @classmethod
    def generate(cls) -> "ConsensusKey":
        """A fresh key."""
        return cls(SigningKey.generate())

    @property
    def public(self) -> bytes:
        """The 32-byte public key."""
        return bytes(self.signing.verify_key)

    @property
    def address(self) -> bytes:
        """The first 20 bytes of the public key's SHA-256."""
        return compute_consensus_address(self.public)

    @property
    def private_json(self) -> dict[str, str]:
        """CometBFT's JSON of the private key: seed and public key together."""
        value = base64.b64encode(bytes(self.signing) + self.public).decode()
        return {"type": "tendermint/PrivKeyEd25519", "value": value}


def compute_consensus_address(public_key: bytes) -> bytes:
    """The address of a consensus or node key."""
    return sha256(public_key).digest()[:20]


def public_key_json(public_key: bytes) -> dict[str, str]:
    """CometBFT's JSON of a public key."""
    return {"type": _KEY_TYPE, "value": base64.b64encode(public_key).decode()}


def create_home(
    home: Path,
    *,
    moniker: str,
    chain_id: str,
    chain_type: str,
    app_state: Mapping[str, Any],
    is_overwriting: bool = False,
) -> None:
    """Write a new home with fresh keys; raises ConfigError when it has a genesis already.

    The signing state of a validator that exists is never touched: it protects from signing twice.
    """
    if not CHAIN_ID.fullmatch(chain_id):
        raise ConfigError(
            f"chain id {chain_id!r} must be 2 to 50 letters, digits and dashes, starting with a "
            f"letter; end it with -1 for revision 1"
        )
    if (home / GENESIS_PATH).exists() and not is_overwriting:
        raise ConfigError(f"{home / GENESIS_PATH} exists; use --overwrite to write it anew")
    (home / "config").mkdir(parents=True, exist_ok=True)
    (home / "data").mkdir(exist_ok=True)
    write_default_config(home / CONFIG_PATH, {"chain": chain_type})
    (home / COMETBFT_CONFIG_PATH).write_text(_build_cometbft_config(moniker))
    write_genesis(home / GENESIS_PATH, build_genesis(chain_id, chain_type, app_state))
    if not (home / NODE_KEY_PATH).exists():
        _write_private(home / NODE_KEY_PATH, {"priv_key": ConsensusKey.generate().private_json})
    if not (home / VALIDATOR_KEY_PATH).exists():
        key = ConsensusKey.generate()
        content = {
            "address": key.address.hex().upper(),
            "pub_key": public_key_json(key.public),
            "priv_key": key.private_json,
        }
        _write_private(home / VALIDATOR_KEY_PATH, content)
    if not (home / VALIDATOR_STATE_PATH).exists():
        _write_private(home / VALIDATOR_STATE_PATH, {"height": "0", "round": 0, "step": 0})


def build_genesis(chain_id: str, chain_type: str, app_state: Mapping[str, Any]) -> dict[str, Any]:
    """A genesis document of now; the validators stand in app_state alone."""
    return {
        "genesis_time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "chain_id": chain_id,
        "initial_height": "1",
        "consensus_params": {
            "block": {"max_bytes": "4194304", "max_gas": "-1"},
            "evidence": {
                "max_age_num_blocks": str(EVIDENCE_AGE_S),
                "max_age_duration": str(EVIDENCE_AGE_S * NANOSECONDS),
                "max_bytes": "1048576",
            },
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": "0"},
            "abci": {"vote_extensions_enable_height": "1" if chain_type == "hub" else "0"},
        },
        "app_hash": "",
        "app_state": dict(app_state),
    }


def write_genesis(path: Path, document: Mapping[str, Any]) -> None:
    """Write a genesis document, whole or not at all."""
    staging = path.with_suffix(".new")
    staging.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    staging.replace(path)


def read_node_id(home: Path) -> str:
    """The p2p id: the address of the node key in lower-case hexadecimal; raises ConfigError."""
    document = _read_json(home / NODE_KEY_PATH)
    try:
        raw = base64.b64decode(document["priv_key"]["value"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{home / NODE_KEY_PATH}: not a node key: {error}") from error
    return compute_consensus_address(raw[32:]).hex()


def read_moniker(home: Path) -> str:
    """The name of the node in CometBFT's settings; raises ConfigError."""
    path = home / COMETBFT_CONFIG_PATH
    try:
        return str(tomllib.loads(path.read_text(encoding="utf-8")).get("moniker", ""))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; `marginchaind init` writes one") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


def read_validator_key(home: Path) -> bytes:
    """The 32-byte consensus public key of the home; raises ConfigError."""
    document = _read_json(home / VALIDATOR_KEY_PATH)
    try:
        return base64.b64decode(document["pub_key"]["value"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{home / VALIDATOR_KEY_PATH}: not a validator key: {error}") from error


def _read_json(path: Path) -> Any:
    try:
        return load_json(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; `marginchaind init` writes one") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error


def _build_cometbft_config(moniker: str) -> str:
    """CometBFT's config.toml with what we set; it takes its defaults for the rest."""
    document = tomlkit.document()
    document.add(tomlkit.comment("CometBFT v0.38 settings; what is absent has CometBFT's default."))
    document.add("proxy_app", "tcp://127.0.0.1:26658")
    document.add("moniker", moniker)
    sections: dict[str, dict[str, object]] = {
        "rpc": {"laddr": "tcp://127.0.0.1:26657"},
        "p2p": {"laddr": "tcp://127.0.0.1:26656", "persistent_peers": ""},
        "consensus": {"timeout_commit": "1s"},
        "tx_index": {"indexer": "kv"},
        "instrumentation": {"prometheus": True, "prometheus_listen_addr": "127.0.0.1:26660"},
    }
    for name, values in sections.items():
        table = tomlkit.table()
        table.update(values)
        document.add(tomlkit.nl())
        document.add(name, table)
    return tomlkit.dumps(document)


def _write_private(path: Path, content: Mapping[str, object]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(content, indent=2) + "\n")
