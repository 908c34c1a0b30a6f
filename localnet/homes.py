"""Writes each node's home: CometBFT's files, the shared genesis, the application's app.toml.

The keys are derived from public names: anybody can compute them. They are for a local network only.
"""

import base64
import json
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import tomlkit
from nacl.signing import SigningKey

from chain.node.config import CONFIG_PATH, write_default_config
from chain.node.home import (
    COMETBFT_CONFIG_PATH,
    GENESIS_PATH,
    NODE_KEY_PATH,
    VALIDATOR_KEY_PATH,
    VALIDATOR_STATE_PATH,
    ConsensusKey,
    build_genesis,
    public_key_json,
    write_genesis,
)
from chain.units import NANOSECONDS
from localnet.topology import ChainSpec, NodeSpec

UNIX_PATH_BYTES_MAX: Final = 100
"""Longest unix socket path that every system takes (108 on Linux, 104 elsewhere)."""
UNSAFE_SEED_TEXT: Final = "margin-chain UNSAFE local network key"


def derive_key(*names: str) -> ConsensusKey:
    """The unsafe demo key of these names, the same on every machine."""
    return ConsensusKey(SigningKey(sha256("/".join((UNSAFE_SEED_TEXT, *names)).encode()).digest()))


def derive_node_key(node: NodeSpec) -> ConsensusKey:
    """The p2p identity of a node."""
    return derive_key("node", node.chain_id, str(node.index))


def derive_validator_key(node: NodeSpec) -> ConsensusKey:
    """The consensus key of a node."""
    return derive_key("validator", node.chain_id, str(node.index))


def make_genesis(
    chain: ChainSpec, *, genesis_time_ns: int, app_state: Mapping[str, Any]
) -> dict[str, Any]:
    """The genesis document all nodes of a chain share.

    Our application asks app_state to list the same validators: see `list_genesis_validators`.
    """
    document = build_genesis(chain.chain_id, chain.kind, app_state)
    document["genesis_time"] = format_time(genesis_time_ns)
    document["consensus_params"]["block"]["max_bytes"] = str(chain.block_bytes_max)
    document["validators"] = []
    for node in chain.nodes:
        key = derive_validator_key(node)
        document["validators"].append(
            {
                "address": key.address.hex().upper(),
                "pub_key": public_key_json(key.public),
                "power": str(node.power),
                "name": node.name,
            }
        )
    return document


def list_genesis_validators(chain: ChainSpec) -> list[dict[str, str]]:
    """The chain's validators as app_state.validators.validators lists them."""
    return [
        {
            "consensus_pubkey": base64.b64encode(derive_validator_key(node).public).decode(),
            "power": str(node.power),
            "moniker": node.name,
        }
        for node in chain.nodes
    ]


def format_time(time_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds."""
    seconds, nanoseconds = divmod(time_ns, NANOSECONDS)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def get_abci_address(node: NodeSpec, home: Path) -> str:
    """A unix socket in the home when its path is short enough, else the node's TCP port."""
    path = home.resolve() / "data" / "abci.sock"
    if len(str(path).encode()) <= UNIX_PATH_BYTES_MAX:
        return f"unix://{path}"
    return f"tcp://127.0.0.1:{node.ports.abci}"


def read_config_template(cometbft: Path) -> str:
    """The config.toml that this CometBFT writes itself, comments and all."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [cometbft, "init", "--home", folder], check=True, capture_output=True, timeout=60
        )
        return (Path(folder) / "config" / "config.toml").read_text()


def make_cometbft_config(template: str, chain: ChainSpec, node: NodeSpec, abci: str) -> str:
    """The template with this node's addresses, peers and our timeouts; loopback only."""
    config = tomlkit.parse(template)
    peers = _list_peers(chain, node)
    changes: dict[str, dict[str, object]] = {
        "": {"proxy_app": abci, "moniker": node.name, "log_level": "info"},
        "rpc": {"laddr": f"tcp://127.0.0.1:{node.ports.rpc}", "max_body_bytes": 4_194_304},
        "p2p": {
            "laddr": f"tcp://127.0.0.1:{node.ports.p2p}",
            "persistent_peers": ",".join(peers),
            "addr_book_strict": False,
            "allow_duplicate_ip": True,
            "pex": False,
        },
        "mempool": {"size": 20_000, "cache_size": 40_000},
        "consensus": {
            "timeout_commit": f"{chain.timeout_commit_ms}ms",
            "timeout_propose": "2s",
        },
        "tx_index": {"indexer": "kv"},
        "instrumentation": {
            "prometheus": True,
            "prometheus_listen_addr": f"127.0.0.1:{node.ports.cometbft_metrics}",
        },
    }
    for section, values in changes.items():
        table: Any = config[section] if section else config
        for key, value in values.items():
            if key not in table:
                raise KeyError(f"this CometBFT's config.toml has no {section}.{key}")
            table[key] = value
    return tomlkit.dumps(config)


def _list_peers(chain: ChainSpec, node: NodeSpec) -> list[str]:
    """Whom a node dials: with links, only through them and from one side; else everybody."""
    ids = {other.name: derive_node_key(other).address.hex() for other in chain.nodes}
    if chain.links:
        return [
            f"{ids[link.listener]}@127.0.0.1:{link.port}"
            for link in chain.links
            if link.dialer == node.name
        ]
    others = (other for other in chain.nodes if other.name != node.name)
    return [f"{ids[other.name]}@127.0.0.1:{other.ports.p2p}" for other in others]


def write_home(
    home: Path,
    chain: ChainSpec,
    node: NodeSpec,
    *,
    template: str,
    genesis: Mapping[str, Any],
    app_config: Mapping[str, Any],
) -> None:
    """Write one node's home; `app_config` overrides app.toml beside the addresses set here."""
    (home / "config").mkdir(parents=True, exist_ok=True)
    (home / "data").mkdir(exist_ok=True)
    abci = get_abci_address(node, home)
    config = make_cometbft_config(template, chain, node, abci)
    (home / COMETBFT_CONFIG_PATH).write_text(config)
    write_genesis(home / GENESIS_PATH, genesis)
    _write_private(home / NODE_KEY_PATH, {"priv_key": derive_node_key(node).private_json})
    validator = derive_validator_key(node)
    _write_private(
        home / VALIDATOR_KEY_PATH,
        {
            "address": validator.address.hex().upper(),
            "pub_key": public_key_json(validator.public),
            "priv_key": validator.private_json,
        },
    )
    if not (home / VALIDATOR_STATE_PATH).exists():  # It protects from signing twice.
        _write_private(home / VALIDATOR_STATE_PATH, {"height": "0", "round": 0, "step": 0})
    overrides: dict[str, Any] = {
        "chain": chain.kind,
        "abci": {"address": abci},
        "grpc": {"address": node.grpc_address},
        "rest": {"address": f"127.0.0.1:{node.ports.rest}"},
        "metrics": {"address": f"127.0.0.1:{node.ports.app_metrics}"},
        "cometbft": {"rpc": node.rpc_url},
    }
    for section, values in app_config.items():
        if isinstance(values, Mapping):
            overrides[section] = {**overrides.get(section, {}), **values}
        else:
            overrides[section] = values
    write_default_config(home / CONFIG_PATH, overrides)


def _write_private(path: Path, content: Mapping[str, object]) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=2))
