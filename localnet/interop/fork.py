"""A forked chain: a one-validator chain goes on twice from one height, signing two histories.

What a light client calls an attack: the same keys, the same past, other blocks from a height on.
"""

import json
import shutil
from dataclasses import astuple, replace
from pathlib import Path
from typing import Final

import httpx2

from chain.node.home import GENESIS_PATH
from localnet.cometbft import ensure_cometbft
from localnet.homes import read_config_template, write_home
from localnet.network import Network, default_application, is_port_free, list_candidate_ports
from localnet.process import NodeProcesses, ProcessFailed, wait_until
from localnet.topology import Topology, allocate_ports

_FIRST_BLOCK_S: Final = 30.0
_OWN_BLOCKS: Final = 3


def split_chain(network: Network, chain_id: str, home: Path, logs: Path) -> NodeProcesses:
    """Stop the chain's only node, copy its home, and start both: the node of the copy.

    Raises ValueError when the chain has more than one validator, ProcessFailed.
    """
    chain = network.topology.get_chain(chain_id)
    if len(chain.nodes) != 1:
        raise ValueError(f"{chain_id} has {len(chain.nodes)} validators; one can be copied")
    original = network.get_node(chain.nodes[0].name)
    height = network.get_height(chain_id) or 0
    original.stop()
    shutil.copytree(original.home, home, ignore=shutil.ignore_patterns("*.sock", "run"))
    taken = {port for node in network.topology.nodes for port in astuple(node.ports)}
    topology = allocate_ports(
        Topology((chain,)),
        lambda port: port not in taken and is_port_free(port),
        list_candidate_ports(),
    )
    forked = topology.chains[0]
    node = replace(forked.nodes[0], name=f"{chain.nodes[0].name}-fork")
    cometbft = ensure_cometbft()
    write_home(
        home,
        forked,
        node,
        template=read_config_template(cometbft),
        genesis=json.loads((home / GENESIS_PATH).read_text()),
        app_config={},
    )
    processes = NodeProcesses.build(
        node, home, logs, cometbft=cometbft, application=default_application()
    )
    original.start()
    processes.start()
    # Blocks both have are no fork: the first ones of their own are further on.
    network.wait_for_height(chain_id, height + _OWN_BLOCKS, _FIRST_BLOCK_S)
    url = f"{node.rpc_url}/status"
    if not wait_until(lambda: _read_height(url) >= height + _OWN_BLOCKS, _FIRST_BLOCK_S):
        processes.stop()
        raise ProcessFailed(f"{node.name} makes no block:\n{processes.cometbft.read_log_tail()}")
    return processes


def _read_height(url: str) -> int:
    try:
        answer = httpx2.get(url, timeout=2.0, trust_env=False).json()
    except httpx2.HTTPError:
        return 0
    return int(answer["result"]["sync_info"]["latest_block_height"])
