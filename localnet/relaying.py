"""The home of a local network's relayer: its config.toml and the unsafe key that pays its fees."""

import json
import sys
from pathlib import Path
from typing import Any, Final

import tomlkit

from chain.client.wallet import Keyring
from chain.ibc.apps.transfer.denoms import PORT as TRANSFER_PORT
from chain.ibc.apps.transfer.denoms import VERSION as TRANSFER_VERSION
from localnet.actors import ACTORS
from localnet.topology import Topology
from relayer.config import PathSection, load_config

CLOCK_DRIFT_S: Final = 5
"""All nodes share one clock; the allowance covers a chain that makes no block for a moment."""
KEY_NAME: Final = "relayer"


def relayer_program() -> str:
    """The relayer's console script, from the environment this interpreter belongs to."""
    return str(Path(sys.executable).with_name("mrelay"))


def write_relayer_home(home: Path, topology: Topology, *, telemetry_port: int) -> None:
    """Write the relayer's config and key: one margin path from the hub to each other chain."""
    hub = next(chain for chain in topology.chains if chain.kind == "hub")
    document: dict[str, Any] = {
        "global": {"log_level": "info"},
        "telemetry": {"enabled": True, "host": "127.0.0.1", "port": telemetry_port},
        "chains": [
            {
                "id": chain.chain_id,
                "rpc_addrs": [node.rpc_url for node in chain.nodes],
                "key_name": KEY_NAME,
                "clock_drift_s": CLOCK_DRIFT_S,
            }
            for chain in topology.chains
        ],
        "paths": [
            {
                "name": get_path_name(hub.chain_id, chain.chain_id),
                "a_chain": hub.chain_id,
                "b_chain": chain.chain_id,
            }
            for chain in topology.chains
            if chain.kind == "spoke"
        ],
    }
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(tomlkit.dumps(document))
    load_config(home / "config.toml")
    Keyring(home).add(KEY_NAME, ACTORS["relayer"].wallet, is_overwriting=True)


def get_path_name(hub_id: str, spoke_id: str) -> str:
    """The relayer's name for the path between a hub and a collateral chain."""
    return f"{hub_id}--{spoke_id}"


def read_paths(home: Path) -> dict[str, PathSection]:
    """The relayer's margin paths by the id of their collateral chain, ids filled in once linked."""
    paths = load_config(home / "config.toml").paths
    return {path.b_chain: path for path in paths if path.a_port != TRANSFER_PORT}


def get_transfer_path(home: Path, chain_id: str) -> PathSection | None:
    """The relayer's transfer path to a collateral chain, None before one was added."""
    for path in load_config(home / "config.toml").paths:
        if (path.a_port, path.b_chain) == (TRANSFER_PORT, chain_id):
            return path
    return None


def add_transfer_path(home: Path, chain_id: str) -> str:
    """Add a transfer channel over the connection of a linked margin path; the new path's name."""
    margin = read_paths(home)[chain_id]
    config = home / "config.toml"
    document = tomlkit.parse(config.read_text())
    section = {
        "name": f"{margin.name}--{TRANSFER_PORT}",
        "a_chain": margin.a_chain,
        "b_chain": margin.b_chain,
        "a_port": TRANSFER_PORT,
        "b_port": TRANSFER_PORT,
        "version": TRANSFER_VERSION,
        "a_client": margin.a_client,
        "b_client": margin.b_client,
        "a_connection": margin.a_connection,
        "b_connection": margin.b_connection,
    }
    document["paths"].append(section)
    config.write_text(tomlkit.dumps(document))
    load_config(config)
    return section["name"]


def read_telemetry_port(home: Path) -> int:
    """Where the relayer serves its metrics."""
    return load_config(home / "config.toml").telemetry.port


def describe_paths(home: Path) -> str:
    """The linked channels as one JSON text, for the log."""
    return json.dumps(
        {
            chain_id: {"hub_channel": path.a_channel, "channel": path.b_channel}
            for chain_id, path in read_paths(home).items()
        }
    )
