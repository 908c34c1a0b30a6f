"""A whole local network: three chains, a feed player, a relayer, and channels that count.

`Network` runs the nodes; this adds what stands around them, in one folder, with the same habits:
pid files, idempotent `up`, supervision that brings back what died.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from localnet.clients import GAS_PRICE, open_chains
from localnet.cometbft import ensure_cometbft
from localnet.feeds.control import FeedControl
from localnet.genesis import GenesisOptions, make_app_state
from localnet.governance import LISTINGS, get_voucher, register_network, register_spot
from localnet.network import (
    DEFAULT_ROOT,
    HEALTH_TIMEOUT_S,
    Network,
    NodeStatus,
    Progress,
    is_port_free,
    list_candidate_ports,
)
from localnet.process import LocalProcess, ProcessFailed
from localnet.relaying import (
    add_transfer_path,
    get_transfer_path,
    read_paths,
    read_telemetry_port,
    relayer_program,
    write_relayer_home,
)
from localnet.topology import DEFAULT_VALIDATORS, ChainSpec, NodeSpec, make_topology
from relayer.config import PathSection

TELEMETRY_PORT: Final = 3001
LINK_TIMEOUT_S: Final = 300.0
SPOT_CHAIN: Final = "alpha-1"
"""Whose ETH the spot market trades."""
_LINK_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A process beside the nodes: the relayer, the feed player."""

    name: str
    state: str
    pid: int | None
    home: str
    log: str
    metrics: str


@dataclass(frozen=True, slots=True)
class LocalnetOptions:
    """How a network differs from the default one; tests want few validators and free ports."""

    validators: Mapping[str, int] | None = None
    has_links: bool = False
    timeout_commit_ms: int = 800
    genesis: GenesisOptions = field(default_factory=GenesisOptions)
    has_habitual_ports: bool = True


class Localnet:
    """The network of a folder with its relayer and feed."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.root = network.root
        self.relayer_home = self.root / "relayer"
        self.feed_control = self.root / "feed" / "control.json"
        run = self.root / "run"
        self.relayer = LocalProcess(
            "relayer",
            [relayer_program(), "--home", str(self.relayer_home), "start"],
            network.logs / "relayer.log",
            run / "relayer.pid",
        )
        targets = [
            f"{node.name}={get_feed_path(self.root, node)}"
            for chain in network.topology.chains
            if chain.kind == "hub"
            for node in chain.nodes
        ]
        self.feed = LocalProcess(
            "feed",
            [
                *(sys.executable, "-m", "localnet.feeds.player"),
                *("--control", str(self.feed_control)),
                *(word for target in targets for word in ("--target", target)),
            ],
            network.logs / "feed.log",
            run / "feed.pid",
        )

    @classmethod
    def create(
        cls,
        root: Path = DEFAULT_ROOT,
        options: LocalnetOptions | None = None,
        *,
        progress: Progress = lambda _: None,
    ) -> "Localnet":
        """Write a new network's homes; the root must not hold one yet.

        Raises FileExistsError, CometBFTNotFound.
        """
        options = options or LocalnetOptions()
        root = root.resolve()

        def app_config(node: NodeSpec) -> Mapping[str, Any]:
            config: dict[str, Any] = {"mempool": {"minimum_gas_prices": GAS_PRICE}}
            if topology.get_chain(node.chain_id).kind == "hub":
                config["feed"] = {"source": str(get_feed_path(root, node))}
            return config

        def app_state(chain: ChainSpec) -> Mapping[str, Any]:
            return make_app_state(chain, options.genesis)

        topology = make_topology(
            options.validators or DEFAULT_VALIDATORS,
            has_links=options.has_links,
            timeout_commit_ms=options.timeout_commit_ms,
        )
        network = Network.create(
            root,
            topology,
            cometbft=ensure_cometbft(progress),
            app_state=app_state,
            app_config=app_config,
            has_habitual_ports=options.has_habitual_ports,
        )
        made = cls(network)
        write_relayer_home(
            made.relayer_home,
            network.topology,
            telemetry_port=_choose_port(is_habitual=options.has_habitual_ports),
        )
        return made

    @classmethod
    def open(cls, root: Path = DEFAULT_ROOT) -> "Localnet":
        """The network a folder holds; raises FileNotFoundError with the remedy."""
        return cls(Network.open(root))

    # Life.

    def up(self, progress: Progress = lambda _: None, timeout_s: float = HEALTH_TIMEOUT_S) -> None:
        """Start what does not run, link the chains and let the councils register the channels.

        Idempotent. Raises ProcessFailed with the log's end, DecisionFailed.
        """
        self._mark_stopped(is_stopped=False)
        self.feed.start()
        self.network.up(progress, timeout_s)
        self._link(progress)
        self.relayer.start()
        progress("the relayer is started")
        for line in asyncio.run(self._register()):
            progress(line)

    def _link(self, progress: Progress) -> None:
        """Create the clients, connections and channels that are missing."""
        paths = read_paths(self.relayer_home)
        missing = {chain_id: path for chain_id, path in paths.items() if not path.is_linked}
        if not missing:
            return
        for chain_id, path in missing.items():
            progress(f"linking {path.a_chain} and {chain_id}: clients, connection, channel")
        self.relayer.stop()  # Two processes with one key would fight over its sequence.
        command = [relayer_program(), "--home", str(self.relayer_home), "link"]
        for path in missing.values():
            command += ["--path", path.name]
        _run_until_done(command, self.network.logs / "link.log")
        for chain_id, path in read_paths(self.relayer_home).items():
            if chain_id in missing:
                progress(f"linked {path.a_chain} {path.a_channel} and {chain_id} {path.b_channel}")

    def link_transfer(self, chain_id: str, progress: Progress = lambda _: None) -> PathSection:
        """Open a transfer channel (ICS-20) to a collateral chain, once; its path.

        The relayer pauses meanwhile. Raises KeyError for a chain without a margin path.
        """
        found = get_transfer_path(self.relayer_home, chain_id)
        name = found.name if found else add_transfer_path(self.relayer_home, chain_id)
        if found is None or not found.is_linked:
            self.relayer.stop()  # Two processes with one key would fight over its sequence.
            command = [relayer_program(), "--home", str(self.relayer_home), "link", "--path", name]
            _run_until_done(command, self.network.logs / "link.log")
            self.relayer.start()
            progress(f"linked {name}")
        found = get_transfer_path(self.relayer_home, chain_id)
        assert found is not None
        return found

    def open_spot(self, progress: Progress = lambda _: None) -> dict[str, str]:
        """Let ETH itself be traded on the hub: alpha's, over a transfer channel.

        The market, its denomination on the hub and the channel's two ends. Idempotent. Raises
        ProcessFailed, DecisionFailed.
        """
        path = self.link_transfer(SPOT_CHAIN, progress)
        denom = get_voucher(path.a_channel, LISTINGS[SPOT_CHAIN][1])

        async def register() -> str:
            async with open_chains(self.network.topology) as chains:
                return await register_spot(chains[path.a_chain], denom)

        return {
            "market": asyncio.run(register()),
            "denom": denom,
            "hub_channel": path.a_channel,
            f"{SPOT_CHAIN.rpartition('-')[0]}_channel": path.b_channel,
        }

    async def _register(self) -> list[str]:
        paths = read_paths(self.relayer_home)
        topology = self.network.topology
        hub_id = next(chain.chain_id for chain in topology.chains if chain.kind == "hub")
        async with open_chains(topology) as chains:
            spokes = {chain_id: chains[chain_id] for chain_id in paths}
            return await register_network(chains[hub_id], spokes, paths)

    def down(self, timeout_s: float = 10.0) -> None:
        """Stop every process; the homes stay."""
        self._mark_stopped(is_stopped=True)
        for service in self.services:
            service.request_stop()
        self.network.down(timeout_s)
        for service in self.services:
            service.stop(timeout_s)

    def remove(self) -> None:
        """Stop everything and delete the folder."""
        self.down()
        shutil.rmtree(self.root)

    def revive(self) -> list[str]:
        """Start again whatever died against orders; the names."""
        revived = []
        for service in () if self._stop_marker.exists() else self.services:
            if not service.is_running:
                service.start()
                revived.append(service.name)
        return revived + self.network.revive()

    def supervise(self, stop: threading.Event, progress: Progress, interval_s: float = 1.0) -> None:
        """Revive what dies until told to stop, or until another command takes the network down.

        A start that fails is tried again, slower.
        """
        wait_s = interval_s
        while not stop.wait(wait_s):
            wait_s = interval_s
            if self._stop_marker.exists():
                progress("another command stops the network")
                return
            try:
                for name in self.revive():
                    progress(f"{name} had died and is started again")
            except ProcessFailed as error:
                progress(str(error))
                wait_s = 3 * interval_s

    @property
    def services(self) -> tuple[LocalProcess, ...]:
        """The processes beside the nodes."""
        return (self.relayer, self.feed)

    @property
    def _stop_marker(self) -> Path:
        return self.root / "run" / "stopped"

    def _mark_stopped(self, *, is_stopped: bool) -> None:
        """Note for supervisors in other processes that what is down is to stay down."""
        if is_stopped:
            self._stop_marker.parent.mkdir(parents=True, exist_ok=True)
            self._stop_marker.touch()
        else:
            self._stop_marker.unlink(missing_ok=True)

    # Observation and play.

    def control_feed(self, control: FeedControl) -> None:
        """Tell the feed player what to play."""
        control.write(self.feed_control)

    def node_status(self) -> list[NodeStatus]:
        """Every node as it is now."""
        return self.network.status()

    def service_status(self) -> list[ServiceStatus]:
        """The relayer and the feed as they are now."""
        port = read_telemetry_port(self.relayer_home)
        homes = {"relayer": self.relayer_home, "feed": self.feed_control.parent}
        metrics = {"relayer": f"http://127.0.0.1:{port}/metrics"}
        return [
            ServiceStatus(
                name=service.name,
                state=_judge(service),
                pid=service.pid,
                home=str(homes[service.name]),
                log=str(service.log_path),
                metrics=metrics.get(service.name, ""),
            )
            for service in self.services
        ]

    def describe(self) -> dict[str, Any]:
        """Everything `mlocalnet status` says, for JSON."""
        ports = {node.name: asdict(node.ports) for node in self.network.topology.nodes}
        return {
            "root": str(self.root),
            "nodes": [{**asdict(row), "ports": ports[row.name]} for row in self.node_status()],
            "services": [asdict(row) for row in self.service_status()],
        }

    def find_logs(self, name: str) -> list[Path]:
        """The log files of a node, a service or `link`; raises KeyError with the known names."""
        found = sorted(self.network.logs.glob(f"{name}.log")) + sorted(
            self.network.logs.glob(f"{name}.*.log")
        )
        if not found:
            known = sorted({path.name.split(".")[0] for path in self.network.logs.glob("*.log")})
            raise KeyError(f"no log of {name!r}; there are {', '.join(known) or 'none yet'}")
        return found


def get_feed_path(root: Path, node: NodeSpec) -> Path:
    """The feed document of a hub validator."""
    return root / "feed" / f"{node.name}.json"


def _choose_port(*, is_habitual: bool) -> int:
    candidates: Iterable[int] = list_candidate_ports()
    if is_habitual:
        candidates = (TELEMETRY_PORT, *candidates)
    return next(port for port in candidates if is_port_free(port))


def _judge(service: LocalProcess) -> str:
    if service.is_paused:
        return "paused"
    return "running" if service.is_running else "stopped"


def _run_until_done(command: list[str], log_path: Path) -> None:
    """Run a command that may be repeated, a few times if need be; raises ProcessFailed."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(_LINK_ATTEMPTS):
        with log_path.open("ab") as log:
            done = subprocess.run(
                command, stdout=log, stderr=log, timeout=LINK_TIMEOUT_S, check=False
            )
        if done.returncode == 0:
            return
    tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-15:])
    raise ProcessFailed(f"{json.dumps(command)} failed; log {log_path}:\n{tail}")


def ensure_localnet(
    root: Path,
    options: LocalnetOptions | None = None,
    *,
    is_fresh: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Localnet:
    """The network of a folder, written if there is none; a fresh one replaces what is there."""
    if (root / "network.json").exists():
        found = Localnet.open(root)
        if not is_fresh:
            return found
        progress(f"removing the network in {found.root}")
        found.remove()
    return Localnet.create(root, options, progress=progress)
