"""The relayer's home: a config the relayer itself accepts, and the key that pays."""

from chain.client.wallet import Keyring
from localnet.actors import ACTORS
from localnet.relaying import (
    add_transfer_path,
    get_transfer_path,
    read_paths,
    read_telemetry_port,
    write_relayer_home,
)
from localnet.topology import make_topology
from relayer.config import load_config, record_link


def test_one_margin_path_from_the_hub_to_each_collateral_chain(tmp_path):
    topology = make_topology()
    write_relayer_home(tmp_path, topology, telemetry_port=3_777)
    config = load_config(tmp_path / "config.toml")
    assert [chain.id for chain in config.chains] == ["hub-1", "alpha-1", "beta-1"]
    assert config.chains[0].rpc_addrs == tuple(
        node.rpc_url for node in topology.get_chain("hub-1").nodes
    )
    paths = read_paths(tmp_path)
    assert {chain_id: path.a_chain for chain_id, path in paths.items()} == {
        "alpha-1": "hub-1",
        "beta-1": "hub-1",
    }
    assert {(path.a_port, path.version, path.ordering) for path in paths.values()} == {
        ("margin", "margin-1", "unordered")
    }
    assert not any(path.is_linked for path in paths.values())
    assert read_telemetry_port(tmp_path) == 3_777
    assert Keyring(tmp_path).open("relayer") == ACTORS["relayer"].wallet


def test_linked_ids_are_seen(tmp_path):
    write_relayer_home(tmp_path, make_topology(), telemetry_port=3_777)
    path = read_paths(tmp_path)["beta-1"]
    ids = {f"{side}_{part}": "x" for side in "ab" for part in ("client", "connection", "channel")}
    record_link(tmp_path / "config.toml", path.name, ids)
    assert read_paths(tmp_path)["beta-1"].is_linked
    assert not read_paths(tmp_path)["alpha-1"].is_linked


def test_a_transfer_path_reuses_the_connection_and_is_no_margin_path(tmp_path):
    write_relayer_home(tmp_path, make_topology(), telemetry_port=3_777)
    margin = read_paths(tmp_path)["alpha-1"]
    ids = {f"{side}_{part}": "x" for side in "ab" for part in ("client", "connection", "channel")}
    record_link(tmp_path / "config.toml", margin.name, ids)
    assert get_transfer_path(tmp_path, "alpha-1") is None
    name = add_transfer_path(tmp_path, "alpha-1")
    found = get_transfer_path(tmp_path, "alpha-1")
    assert (found.name, found.a_port, found.b_port, found.version) == (
        *(name, "transfer", "transfer", "ics20-1"),
    )
    assert (found.a_client, found.b_connection, found.a_channel) == ("x", "x", "")
    assert read_paths(tmp_path)["alpha-1"].a_port == "margin"
    assert get_transfer_path(tmp_path, "beta-1") is None
