"""What the pytest plugin hands to tests: a network, its chains, nodes and relayer, with faults."""

import signal
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from chain.client.errors import NodeUnavailable, NotFound, QueryRefused
from chain.client.sync import SyncMarginClient
from localnet.deployment import Localnet, LocalnetOptions
from localnet.faults import Faults
from localnet.feeds.control import FeedControl
from localnet.genesis import GenesisOptions
from localnet.network import HEALTH_TIMEOUT_S
from localnet.process import LocalProcess, Part, wait_until
from localnet.topology import ChainSpec

M = TypeVar("M", bound=Message)
TEST_COMMIT_MS: Final = 400
WAIT_S: Final = 120.0
_WISHES: Final = ("validators", "has_links", "timeout_commit_ms", "market_time_scale")


class NodeHandle:
    """One node: its application and its CometBFT."""

    def __init__(self, localnet: "LocalnetHandle", name: str) -> None:
        self.name = name
        self._network = localnet.localnet.network
        self._faults = Faults(self._network)

    def kill(self, part: Part = "both") -> None:
        """SIGKILL of `app`, `cometbft` or `both`."""
        self._faults.kill(self.name, part)

    def pause(self, part: Part = "both") -> None:
        """Freeze: sockets stay open and silent."""
        self._faults.pause(self.name, part)

    def resume(self, part: Part = "both") -> None:
        """Undo `pause`."""
        self._faults.resume(self.name, part)

    def stop(self) -> None:
        """Stop in good order until `restart`."""
        self._network.get_node(self.name).stop()

    def restart(self) -> None:
        """Bring both processes up again, whatever is left of them."""
        self._faults.restart(self.name)

    @property
    def height(self) -> int | None:
        """The last height it has, None when it does not answer."""
        return self._network.get_node_height(self.name)


class ChainHandle:
    """One chain of the network."""

    def __init__(self, localnet: "LocalnetHandle", spec: ChainSpec) -> None:
        self.chain_id = spec.chain_id
        self.nodes = tuple(NodeHandle(localnet, node.name) for node in spec.nodes)
        self._network = localnet.localnet.network
        self._spec = spec

    @property
    def height(self) -> int:
        """The greatest height any node has; 0 when none answers."""
        return self._network.get_height(self.chain_id) or 0

    def wait_blocks(self, count: int = 1, timeout_s: float = HEALTH_TIMEOUT_S) -> int:
        """Wait for more blocks; the height then. Raises ProcessFailed with the log's end."""
        target = self.height + count
        self._network.wait_for_height(self.chain_id, target, timeout_s)
        return target

    def get_app_hash(self, node: NodeHandle, height: int) -> str:
        """The app hash in the header a node has at a height."""
        block = self._network.ask_rpc(node.name, "block", height=str(height))
        app_hash: str = block["block"]["header"]["app_hash"]
        return app_hash

    @contextmanager
    def client(self, node: int = 0) -> Iterator[SyncMarginClient]:
        """A gRPC client of one of its nodes."""
        address = self._spec.nodes[node].grpc_address
        with SyncMarginClient.connect(f"grpc+http://{address}") as client:
            yield client

    def query(self, path: str, request: Message, response: type[M]) -> M:
        """One query of the first node: `/package.Service/Method`."""
        with self.client() as client:
            return client.query(path, request, response)

    def wait_for(
        self, condition: Callable[[SyncMarginClient], object], timeout_s: float = WAIT_S
    ) -> None:
        """Ask the first node until the condition is true; what does not exist yet is not true.

        Raises TimeoutError.
        """
        with self.client() as client:

            def is_true() -> bool:
                try:
                    return bool(condition(client))
                except (NotFound, QueryRefused, NodeUnavailable):
                    return False

            if not wait_until(is_true, timeout_s):
                raise TimeoutError(f"{self.chain_id}: not true within {timeout_s:g} s")

    def kill(self, node: int = 0, part: Part = "both") -> None:
        """SIGKILL of one of its nodes."""
        self.nodes[node].kill(part)

    def pause(self, node: int = 0, part: Part = "both") -> None:
        """Freeze one of its nodes."""
        self.nodes[node].pause(part)

    def resume(self, node: int = 0, part: Part = "both") -> None:
        """Undo `pause`."""
        self.nodes[node].resume(part)

    def restart(self, node: int = 0) -> None:
        """Bring one of its nodes up again."""
        self.nodes[node].restart()

    @contextmanager
    def partition(self, *groups: Collection[int]) -> Iterator[None]:
        """Cut the links between groups of its nodes, by index, for the length of a block.

        Needs a network with `has_links=True`; raises NoLinks.
        """
        named = [[self.nodes[index].name for index in group] for group in groups]
        with Faults(self._network).partitioned(*named):
            yield


class ServiceHandle:
    """A process beside the nodes."""

    def __init__(self, process: LocalProcess) -> None:
        self._process = process

    @property
    def is_running(self) -> bool:
        """Whether it is alive, paused included."""
        return self._process.is_running

    @property
    def log(self) -> str:
        """The end of its log."""
        return self._process.read_log_tail()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def pause(self) -> None:
        """Freeze."""
        self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._process.send(signal.SIGCONT)

    def restart(self) -> None:
        """Stop what is left of it and start it."""
        self._process.stop()
        self._process.start()


class RelayerHandle(ServiceHandle):
    """The relayer: `partition` cuts it off from all chains."""

    @contextmanager
    def partition(self) -> Iterator[None]:
        """No packet moves inside the block: the relayer is frozen, its connections stay open."""
        self.pause()
        try:
            yield
        finally:
            self.resume()


class FeedHandle(ServiceHandle):
    """The price feed of every validator."""

    def __init__(self, localnet: Localnet) -> None:
        super().__init__(localnet.feed)
        self._localnet = localnet

    def control(self, control: FeedControl) -> None:
        """Tell it what to play, and whose feed is to fail."""
        self._localnet.control_feed(control)


class LocalnetHandle:
    """A network for tests, on free ports in a folder of its own."""

    def __init__(self, localnet: Localnet) -> None:
        self.localnet = localnet
        self.root: Path = localnet.root
        self.chains: Mapping[str, ChainHandle] = {
            spec.chain_id: ChainHandle(self, spec) for spec in localnet.network.topology.chains
        }
        self.relayer = RelayerHandle(localnet.relayer)
        self.feed = FeedHandle(localnet)

    @classmethod
    def create(cls, root: Path, wishes: Mapping[str, Any]) -> "LocalnetHandle":
        """A network written into an empty folder; raises ValueError for an unknown wish."""
        unknown = sorted(set(wishes) - set(_WISHES))
        if unknown:
            raise ValueError(f"the localnet marker takes {', '.join(_WISHES)}, not {unknown[0]!r}")
        genesis = GenesisOptions()
        if "market_time_scale" in wishes:
            genesis = GenesisOptions(market_time_scale=wishes["market_time_scale"])
        options = LocalnetOptions(
            validators=wishes.get("validators"),
            has_links=wishes.get("has_links", False),
            timeout_commit_ms=wishes.get("timeout_commit_ms", TEST_COMMIT_MS),
            genesis=genesis,
            has_habitual_ports=False,
        )
        return cls(Localnet.create(root, options))

    @property
    def hub(self) -> ChainHandle:
        """The hub."""
        topology = self.localnet.network.topology
        return next(self.chains[spec.chain_id] for spec in topology.chains if spec.kind == "hub")

    @property
    def nodes(self) -> Mapping[str, NodeHandle]:
        """Every node by name."""
        return {node.name: node for chain in self.chains.values() for node in chain.nodes}

    def up(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """Start what does not run, link and register."""
        self.localnet.up(progress)

    def revive(self) -> list[str]:
        """Bring back whatever died; the names."""
        return self.localnet.revive()

    def kill(self, name: str, part: Part = "both") -> None:
        """SIGKILL of a node by name."""
        self.nodes[name].kill(part)

    def pause(self, name: str, part: Part = "both") -> None:
        """Freeze a node by name."""
        self.nodes[name].pause(part)

    def resume(self, name: str, part: Part = "both") -> None:
        """Undo `pause`."""
        self.nodes[name].resume(part)

    def restart(self, name: str) -> None:
        """Bring a node up again by name."""
        self.nodes[name].restart()

    @contextmanager
    def partition(self, *groups: Collection[str]) -> Iterator[None]:
        """Cut the links between groups of nodes, by name, for the length of a block."""
        with Faults(self.localnet.network).partitioned(*groups):
            yield

    def down(self) -> None:
        """Stop every process."""
        self.localnet.down()
