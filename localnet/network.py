"""A local network as one object: write the homes, bring it up, look at it, take it down.

State lies in one folder (by habit `.localnet/`): network.json, a home a node, logs/. Processes
outlive the command that started them; another command finds them by their pid files.
"""

import json
import random
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import httpx2

from localnet.homes import make_genesis, read_config_template, write_home
from localnet.process import LocalProcess, NodeProcesses, ProcessFailed, wait_until
from localnet.topology import ChainSpec, NodeSpec, Topology, allocate_ports

DEFAULT_ROOT: Final = Path(".localnet")
HEALTH_TIMEOUT_S: Final = 60.0

AppState = Callable[[ChainSpec], Mapping[str, Any]]
"""A chain's app_state for its genesis."""
AppConfig = Callable[[NodeSpec], Mapping[str, Any]]
"""A node's overrides of app.toml, addresses apart."""
Progress = Callable[[str], None]
State = Literal["running", "paused", "degraded", "stopped"]

# Below the range from which the system takes the ports of outgoing connections.
_FREE_PORTS = range(20_000, 32_000)


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What one node is doing now; height is None while its RPC does not answer."""

    name: str
    chain_id: str
    state: State
    height: int | None
    app_pid: int | None
    cometbft_pid: int | None
    rpc: str
    grpc: str
    rest: str
    metrics: tuple[str, str]
    home: str
    logs: tuple[str, str]


def is_port_free(port: int) -> bool:
    """Whether a server could listen on the loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def list_candidate_ports() -> Iterator[int]:
    """Ports to try when a habitual one is taken, in an order that differs from run to run."""
    ports = list(_FREE_PORTS)
    random.SystemRandom().shuffle(ports)
    return iter(ports)


def default_application() -> tuple[str, ...]:
    """The command of our own node, from the environment this interpreter belongs to."""
    return (str(Path(sys.executable).with_name("marginchaind")), "start")


class Network:
    """The processes and homes of a topology under one folder."""

    def __init__(
        self, root: Path, topology: Topology, *, cometbft: Path, application: Sequence[str]
    ) -> None:
        self.root = root.resolve()
        self.topology = topology
        self._cometbft = cometbft
        self._application = tuple(application)
        self.nodes: dict[str, NodeProcesses] = {
            node.name: NodeProcesses.build(
                node,
                self.get_home(node.name),
                self.logs,
                cometbft=cometbft,
                application=application,
            )
            for node in topology.nodes
        }
        self.links = LocalProcess(
            "peer links",
            [
                *(sys.executable, "-m", "localnet.links"),
                *("--manifest", str(self._manifest), "--control", str(self.links_control)),
            ],
            self.logs / "links.log",
            self.root / "run" / "links.pid",
        )
        self._client = httpx2.Client(timeout=2.0, trust_env=False)

    @classmethod
    def create(
        cls,
        root: Path,
        topology: Topology,
        *,
        cometbft: Path,
        app_state: AppState,
        app_config: AppConfig = lambda _: {},
        application: Sequence[str] = (),
        genesis_time_ns: int | None = None,
        has_habitual_ports: bool = True,
    ) -> "Network":
        """Write a new network's homes and manifest; the root must not hold one yet.

        Ports that are taken are replaced; without habitual ports all are chosen from the free ones,
        for networks that run side by side. Raises FileExistsError.
        """
        if (root / "network.json").exists():
            raise FileExistsError(f"{root} holds a network already; open it, or remove it first")
        candidates = list_candidate_ports()
        refused = set[int]() if has_habitual_ports else set(_list_ports(topology))
        topology = allocate_ports(
            topology, lambda port: port not in refused and is_port_free(port), candidates
        )
        network = cls(
            root, topology, cometbft=cometbft, application=application or default_application()
        )
        template = read_config_template(cometbft)
        moment = time.time_ns() if genesis_time_ns is None else genesis_time_ns
        for chain in topology.chains:
            genesis = make_genesis(chain, genesis_time_ns=moment, app_state=app_state(chain))
            for node in chain.nodes:
                write_home(
                    network.get_home(node.name),
                    chain,
                    node,
                    template=template,
                    genesis=genesis,
                    app_config=app_config(node),
                )
        network._write_manifest()
        return network

    @classmethod
    def open(cls, root: Path) -> "Network":
        """The network a folder holds; raises FileNotFoundError with the remedy."""
        path = root / "network.json"
        if not path.exists():
            raise FileNotFoundError(f"no network in {root}; `mlocalnet up` makes one")
        data = json.loads(path.read_text())
        return cls(
            root,
            Topology.from_json(path.read_text()),
            cometbft=Path(data["cometbft"]),
            application=data["application"],
        )

    def _write_manifest(self) -> None:
        data = json.loads(self.topology.to_json())
        data["cometbft"] = str(self._cometbft)
        data["application"] = list(self._application)
        self._manifest.write_text(json.dumps(data, indent=2))

    @property
    def _manifest(self) -> Path:
        return self.root / "network.json"

    @property
    def logs(self) -> Path:
        """The folder of all logs."""
        return self.root / "logs"

    @property
    def links_control(self) -> Path:
        """The file that says which peer links are cut."""
        return self.root / "run" / "cut_links.json"

    def get_home(self, name: str) -> Path:
        """A node's home."""
        return self.root / name

    def get_node(self, name: str) -> NodeProcesses:
        """A node's processes; raises KeyError with the known names."""
        self.topology.get_node(name)
        return self.nodes[name]

    # Life.

    def up(self, progress: Progress = lambda _: None, timeout_s: float = HEALTH_TIMEOUT_S) -> None:
        """Start whatever does not run and wait for a block of each chain; idempotent.

        Raises ProcessFailed with the log's end when a process dies or no block comes in time.
        """
        if any(chain.links for chain in self.topology.chains):
            self.links.start()
        for node in self.nodes.values():
            node.start_app()
        for node in self.nodes.values():
            node.start_cometbft()
            progress(f"started {node.spec.name}")
        for chain in self.topology.chains:
            first = self.get_height(chain.chain_id) or 0
            self.wait_for_height(chain.chain_id, max(1, first), timeout_s, is_death_fatal=True)
            progress(f"{chain.chain_id} makes blocks")

    def down(self, timeout_s: float = 10.0) -> None:
        """Stop every process, within twice the timeout; the homes stay."""
        deadline = time.monotonic() + timeout_s
        nodes = list(self.nodes.values())
        for node in nodes:
            node.mark_stopped()  # All first: a supervisor must not revive what is being stopped.
        for node in nodes:
            node.cometbft.request_stop()
        for node in nodes:
            node.cometbft.wait_ended(max(0.0, deadline - time.monotonic()))
            node.app.request_stop()
        self.links.request_stop()
        deadline = time.monotonic() + timeout_s
        for node in nodes:
            node.stop(max(0.1, deadline - time.monotonic()))
        self.links.stop(max(0.1, deadline - time.monotonic()))
        self.links_control.unlink(missing_ok=True)

    def remove(self) -> None:
        """Stop everything and delete the folder."""
        self.down()
        shutil.rmtree(self.root)

    def restart(self, name: str) -> None:
        """Bring both processes of a node up again, whichever died."""
        self.get_node(name).restart()

    def revive(self) -> list[str]:
        """Start again every node that lost a process against orders; their names.

        One that does not start keeps none of the others down; raises ProcessFailed for it then.
        """
        revived = []
        failures: list[ProcessFailed] = []
        fallen = [n for n in self.nodes.values() if not (n.is_running or n.is_stopped_on_purpose)]
        for node in fallen:
            node.start_app()
        for node in fallen:
            try:
                node.start_cometbft()
                revived.append(node.spec.name)
            except ProcessFailed as error:
                failures.append(error)
        if failures:
            raise failures[0]
        if any(chain.links for chain in self.topology.chains):
            self.links.start()
        return revived

    def supervise(self, stop: threading.Event, progress: Progress, interval_s: float = 1.0) -> None:
        """Revive nodes until told to stop; a node that fails to start is tried again, slower."""
        wait_s = interval_s
        while not stop.wait(wait_s):
            wait_s = interval_s
            try:
                for name in self.revive():
                    progress(f"{name} had died and is started again")
            except ProcessFailed as error:
                progress(str(error))
                wait_s = 10 * interval_s

    # Observation.

    def status(self) -> list[NodeStatus]:
        """Every node as it is now."""
        return [self._describe(node) for node in self.nodes.values()]

    def _describe(self, node: NodeProcesses) -> NodeStatus:
        ports = node.spec.ports
        return NodeStatus(
            name=node.spec.name,
            chain_id=node.spec.chain_id,
            state=_judge(node),
            height=self.get_node_height(node.spec.name) if node.cometbft.is_running else None,
            app_pid=node.app.pid,
            cometbft_pid=node.cometbft.pid,
            rpc=node.spec.rpc_url,
            grpc=node.spec.grpc_address,
            rest=node.spec.rest_url,
            metrics=(
                f"http://127.0.0.1:{ports.cometbft_metrics}/metrics",
                f"http://127.0.0.1:{ports.app_metrics}/metrics",
            ),
            home=str(node.home),
            logs=(str(node.app.log_path), str(node.cometbft.log_path)),
        )

    def ask_rpc(self, name: str, method: str, **params: object) -> dict[str, Any]:
        """The result of a CometBFT RPC call; raises httpx2.HTTPError, RuntimeError if refused."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._client.post(self.topology.get_node(name).rpc_url, json=request).json()
        if "error" in answer:
            raise RuntimeError(f"{name} {method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def get_node_height(self, name: str) -> int | None:
        """The last height a node has, or None when it does not answer."""
        if self.nodes[name].cometbft.is_paused:
            return None
        try:
            return int(self.ask_rpc(name, "status")["sync_info"]["latest_block_height"])
        except (httpx2.HTTPError, RuntimeError, ValueError, KeyError):
            return None

    def get_height(self, chain_id: str) -> int | None:
        """The greatest height any node of a chain has; None when none answers."""
        nodes = self.topology.get_chain(chain_id).nodes
        heights = [self.get_node_height(node.name) for node in nodes]
        return max((height for height in heights if height is not None), default=None)

    def wait_for_height(
        self,
        chain_id: str,
        height: int,
        timeout_s: float = HEALTH_TIMEOUT_S,
        nodes: Sequence[str] | None = None,
        *,
        is_death_fatal: bool = False,
    ) -> None:
        """Wait until the named nodes (by default all not stopped on purpose) have a height.

        Raises ProcessFailed after the timeout, or at once when a process dies and that is fatal.
        """
        chain = self.topology.get_chain(chain_id)
        names = [n.name for n in chain.nodes if nodes is None or n.name in nodes]
        behind = names

        def is_reached() -> bool:
            nonlocal behind
            behind = [n for n in behind if (self.get_node_height(n) or 0) < height]
            if nodes is None:
                behind = [n for n in behind if not self.nodes[n].is_stopped_on_purpose]
            for name in behind if is_death_fatal else ():
                self._check_alive(name)
            return not behind

        if not wait_until(is_reached, timeout_s):
            tail = self.nodes[behind[0]].cometbft.read_log_tail()
            raise ProcessFailed(
                f"{', '.join(behind)} did not reach height {height} in {timeout_s} s; "
                f"log {self.nodes[behind[0]].cometbft.log_path}:\n{tail}"
            )

    def _check_alive(self, name: str) -> None:
        node = self.nodes[name]
        for process in (node.app, node.cometbft):
            if not process.is_running:
                raise ProcessFailed(
                    f"{process.name} has ended; log {process.log_path}:\n{process.read_log_tail()}"
                )


def _judge(node: NodeProcesses) -> State:
    if node.app.is_paused or node.cometbft.is_paused:
        return "paused"
    alive = (node.app.is_running, node.cometbft.is_running)
    if all(alive):
        return "running"
    return "degraded" if any(alive) else "stopped"


def _list_ports(topology: Topology) -> Iterator[int]:
    for node in topology.nodes:
        ports = node.ports
        yield from (ports.p2p, ports.rpc, ports.abci, ports.cometbft_metrics, ports.app_metrics)
        yield from (ports.rest, ports.grpc)
    for chain in topology.chains:
        yield from (link.port for link in chain.links)
