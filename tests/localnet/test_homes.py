"""Homes: what CometBFT and the application will read."""

import base64
import json
import tomllib
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from chain.node.config import ConfigError, load_config
from localnet.homes import (
    derive_node_key,
    derive_validator_key,
    format_time,
    get_abci_address,
    list_genesis_validators,
    make_cometbft_config,
    make_genesis,
    write_home,
)
from localnet.topology import make_topology

# The keys a template must have; CometBFT's own is used where CometBFT runs.
TEMPLATE = """
proxy_app = ""
moniker = ""
log_level = ""
kept = "as it was" # with its comment
[rpc]
laddr = ""
max_body_bytes = 0
[p2p]
laddr = ""
persistent_peers = ""
addr_book_strict = true
allow_duplicate_ip = false
pex = true
[mempool]
size = 0
cache_size = 0
[consensus]
timeout_commit = ""
timeout_propose = ""
[tx_index]
indexer = ""
[instrumentation]
prometheus = false
prometheus_listen_addr = ""
"""


@pytest.fixture
def chain():
    return make_topology().get_chain("hub-1")


def write(home, chain, **app_config):
    node = chain.nodes[0]
    genesis = make_genesis(chain, genesis_time_ns=1, app_state={"bank": {}})
    write_home(home, chain, node, template=TEMPLATE, genesis=genesis, app_config=app_config)
    return node


def test_a_home_is_complete_and_consistent(tmp_path, chain):
    node = write(tmp_path, chain, feed={"source": "/feed.json"})
    config = tomllib.loads((tmp_path / "config/config.toml").read_text())
    app = load_config(tmp_path)
    assert config["proxy_app"] == app.abci.address
    assert config["rpc"]["laddr"] == "tcp://127.0.0.1:26657"
    assert config["kept"] == "as it was"
    assert app.feed.source == "/feed.json"
    assert app.chain == "hub"
    assert app.cometbft.rpc == node.rpc_url
    genesis = json.loads((tmp_path / "config/genesis.json").read_text())
    key = json.loads((tmp_path / "config/priv_validator_key.json").read_text())
    assert genesis["validators"][0]["pub_key"] == key["pub_key"]
    assert genesis["validators"][0]["address"] == key["address"]
    assert genesis["app_state"] == {"bank": {}}
    secret = base64.b64decode(key["priv_key"]["value"])
    public = base64.b64decode(key["pub_key"]["value"])
    assert bytes(SigningKey(secret[:32]).verify_key) == public == secret[32:]
    assert (tmp_path / "config/node_key.json").stat().st_mode & 0o077 == 0


def test_extensions_are_on_for_the_hub_alone():
    for chain in make_topology().chains:
        genesis = make_genesis(chain, genesis_time_ns=1, app_state={})
        height = genesis["consensus_params"]["abci"]["vote_extensions_enable_height"]
        assert height == ("1" if chain.chain_id == "hub-1" else "0")
        assert len(genesis["validators"]) == len(chain.nodes)


def test_both_validator_lists_of_a_genesis_name_the_same_keys(chain):
    document = make_genesis(chain, genesis_time_ns=1, app_state={})
    stated = [(v["pub_key"]["value"], v["power"]) for v in document["validators"]]
    listed = [(v["consensus_pubkey"], v["power"]) for v in list_genesis_validators(chain)]
    assert stated == listed
    assert len(set(stated)) == 4


def test_keys_are_the_same_everywhere_and_differ_from_each_other():
    nodes = make_topology().nodes
    derivations = (derive_node_key, derive_validator_key)
    keys = {derive(node).public for node in nodes for derive in derivations}
    assert len(keys) == 2 * len(nodes)
    again = make_topology().nodes[0]
    assert derive_validator_key(again).public == derive_validator_key(nodes[0]).public
    assert derive_validator_key(again).address.hex() == "8b955d0b3dfec1d5e837482861b86e0dbf98f2c0"


def test_peers_dial_everybody_or_their_links_only(chain):
    config = tomllib.loads(make_cometbft_config(TEMPLATE, chain, chain.nodes[1], "tcp://h:1"))
    peers = config["p2p"]["persistent_peers"].split(",")
    assert len(peers) == 3
    assert f"{derive_node_key(chain.nodes[0]).address.hex()}@127.0.0.1:26656" in peers
    linked = make_topology(has_links=True).get_chain("hub-1")
    counts = []
    for node in linked.nodes:
        config = tomllib.loads(make_cometbft_config(TEMPLATE, linked, node, "tcp://h:1"))
        counts.append(len([p for p in config["p2p"]["persistent_peers"].split(",") if p]))
    assert counts == [0, 1, 2, 3]


def test_a_template_without_a_key_is_refused(chain):
    with pytest.raises(KeyError, match=r"no p2p\.pex"):
        make_cometbft_config(TEMPLATE.replace("pex = true", ""), chain, chain.nodes[0], "tcp://h:1")


def test_the_double_sign_guard_is_never_overwritten(tmp_path, chain):
    write(tmp_path, chain)
    state = tmp_path / "data/priv_validator_state.json"
    state.write_text('{"height":"9","round":0,"step":3}')
    write(tmp_path, chain)
    assert json.loads(state.read_text())["height"] == "9"


def test_an_unknown_application_setting_is_refused(tmp_path, chain):
    with pytest.raises(ConfigError, match=r"store\.retain: unknown key"):
        write(tmp_path, chain, store={"retain": 1})


def test_a_long_home_falls_back_to_tcp(chain):
    node = chain.nodes[0]
    assert get_abci_address(node, Path("/short")) == "unix:///short/data/abci.sock"
    assert get_abci_address(node, Path("/" + "x" * 100)) == "tcp://127.0.0.1:26658"


def test_time_keeps_its_nanoseconds():
    assert format_time(1_584_057_600_000_000_007) == "2020-03-13T00:00:00.000000007Z"
