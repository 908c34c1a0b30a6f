"""A network of four real CometBFT nodes under the key-value application: faults and recovery."""

import base64
import sys
import threading
import time

import pytest

from chain.node.config import load_config
from localnet.cometbft import find_cometbft
from localnet.faults import Faults, NoLinks
from localnet.network import Network
from localnet.process import wait_until
from localnet.topology import make_topology
from tests.support.abci_grammar import check_call_log, read_call_log

RECOVERY_S = 20
"""The bar CometBFT's own end-to-end tests set."""


@pytest.fixture(scope="module")
def cometbft():
    found = find_cometbft()
    if found is None:
        pytest.skip("CometBFT is not built yet: `make localnet` builds it")
    return found


@pytest.fixture(scope="module")
def network(tmp_path_factory, cometbft):
    made = Network.create(
        tmp_path_factory.mktemp("net"),
        make_topology({"hub-1": 4}, has_links=True, timeout_commit_ms=200),
        cometbft=cometbft,
        app_state=lambda _: {"genesis": "1"},
        application=(sys.executable, "-m", "tests.support.kvstore_app"),
        has_habitual_ports=False,
    )
    try:
        made.up()
        yield made
    finally:
        made.down()
    assert not [s for s in made.status() if s.state != "stopped"]


def advance(network, blocks=2, timeout_s=RECOVERY_S):
    network.wait_for_height("hub-1", network.get_height("hub-1") + blocks, timeout_s)


@pytest.mark.e2e
class TestFourNodes:
    def test_up_is_idempotent_and_another_object_sees_the_same(self, network):
        pids = {s.name: (s.app_pid, s.cometbft_pid) for s in network.status()}
        network.up()
        found = Network.open(network.root).status()
        assert {s.name: (s.app_pid, s.cometbft_pid) for s in found} == pids
        assert {s.state for s in found} == {"running"}

    def test_a_transaction_commits_and_every_node_agrees(self, network):
        tx = b"alice=7"
        answer = network.ask_rpc("hub-1-v0", "broadcast_tx_commit", tx=_b64(tx))
        assert answer["tx_result"]["code"] == 0
        height = int(answer["height"])
        network.wait_for_height("hub-1", height + 1)
        headers = [
            network.ask_rpc(n.name, "block", height=str(height + 1))["block"]["header"]
            for n in network.topology.nodes
        ]
        assert len({header["app_hash"] for header in headers}) == 1
        assert headers[0]["app_hash"] != ""
        query = network.ask_rpc("hub-1-v3", "abci_query", data=b"alice".hex())["response"]
        assert query["value"] == _b64(b"7")

    @pytest.mark.parametrize("part", ["app", "cometbft"])
    def test_a_killed_node_comes_back(self, network, part):
        Faults(network).kill("hub-1-v1", part)
        others = ["hub-1-v0", "hub-1-v2", "hub-1-v3"]
        height = network.get_height("hub-1")
        network.wait_for_height("hub-1", height + 2, RECOVERY_S, nodes=others)
        assert network.revive() == ["hub-1-v1"]
        advance(network)

    def test_supervision_brings_a_killed_node_back(self, network):
        said, stop = [], threading.Event()
        thread = threading.Thread(target=network.supervise, args=(stop, said.append, 0.2))
        thread.start()
        try:
            Faults(network).kill("hub-1-v3")
            advance(network)
        finally:
            stop.set()
            thread.join(RECOVERY_S)
        assert said == ["hub-1-v3 had died and is started again"]

    def test_two_of_four_stop_the_chain_until_they_are_back(self, network):
        names = ["hub-1-v2", "hub-1-v3"]
        for name in names:
            network.get_node(name).stop()
        time.sleep(1)
        height = network.get_height("hub-1")
        time.sleep(2)
        assert network.get_height("hub-1") == height
        assert network.revive() == []
        for name in names:
            network.get_node(name).start()
        advance(network)

    def test_a_partition_stops_the_chain_until_it_heals(self, network):
        faults = Faults(network)
        with faults.partitioned(["hub-1-v0", "hub-1-v1"], ["hub-1-v2", "hub-1-v3"]):
            time.sleep(1)
            height = network.get_height("hub-1")
            time.sleep(2)
            assert network.get_height("hub-1") == height
        advance(network)

    def test_a_paused_node_catches_up(self, network):
        faults = Faults(network)
        faults.pause("hub-1-v0")
        status = next(s for s in network.status() if s.name == "hub-1-v0")
        assert (status.state, status.height) == ("paused", None)
        others = ["hub-1-v1", "hub-1-v2", "hub-1-v3"]
        height = network.get_height("hub-1")
        network.wait_for_height("hub-1", height + 2, RECOVERY_S, nodes=others)
        faults.resume("hub-1-v0")
        advance(network)

    def test_the_calls_of_every_node_satisfied_the_grammar(self, network):
        for node in network.nodes.values():
            entries = read_call_log(node.home / "data" / "calls.jsonl")
            assert len(entries) > 50
            assert check_call_log(entries, vote_extensions_enable_height=1) == []
            calls = {entry["call"] for entry in entries}
            assert {"prepare_proposal", "extend_vote", "verify_vote_extension"} <= calls


@pytest.mark.e2e
def test_one_node_over_tcp_halts_both_processes_when_a_block_fails(tmp_path, cometbft):
    network = Network.create(
        tmp_path / ("long" * 25),  # Too long for a unix socket.
        make_topology({"solo-1": 1}, timeout_commit_ms=100),
        cometbft=cometbft,
        app_state=lambda _: {},
        application=(sys.executable, "-m", "tests.support.kvstore_app"),
        has_habitual_ports=False,
    )
    node = network.get_node("solo-1-v0")
    try:
        network.up()
        assert load_config(node.home).abci.address.startswith("tcp://127.0.0.1:")
        assert network.status()[0].state == "running"
        with pytest.raises(FileExistsError, match="holds a network already"):
            Network.create(
                network.root, network.topology, cometbft=cometbft, app_state=lambda _: {}
            )
        network.ask_rpc("solo-1-v0", "broadcast_tx_sync", tx=_b64(b"boom=finalize_block"))
        assert node.app.wait_ended(RECOVERY_S)
        assert node.cometbft.wait_ended(RECOVERY_S)
        assert "AbciHalted: finalize_block raised RuntimeError" in node.app.read_log_tail()
        assert "a block that fails" in node.cometbft.log_path.read_text()
    finally:
        network.remove()
    assert not network.root.exists()


def test_without_links_there_is_no_partition(tmp_path):
    network = Network(
        tmp_path, make_topology({"hub-1": 2}), cometbft=tmp_path / "none", application=("none",)
    )
    with pytest.raises(NoLinks, match="has_links=True"):
        Faults(network).partition(["hub-1-v0"])
    assert wait_until(lambda: {s.state for s in network.status()} == {"stopped"}, 1)


def test_a_folder_without_a_network_names_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="mlocalnet up"):
        Network.open(tmp_path)


def _b64(data):
    return base64.b64encode(data).decode()
