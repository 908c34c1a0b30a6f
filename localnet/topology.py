"""Which chains and nodes a local network has and on which ports: plain data, nothing is started
here.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import combinations
from typing import Any, Final, Literal, Self

Kind = Literal["hub", "spoke"]

DEFAULT_VALIDATORS: Final[Mapping[str, int]] = {"hub-1": 4, "alpha-1": 2, "beta-1": 2}
VALIDATOR_POWER: Final = 10
_PORT_STRIDE = 10


@dataclass(frozen=True, slots=True)
class NodePorts:
    """The loopback ports of one node; the defaults are the ones Cosmos users know by heart."""

    p2p: int = 26656
    rpc: int = 26657
    abci: int = 26658
    cometbft_metrics: int = 26660
    app_metrics: int = 26661
    rest: int = 1317
    grpc: int = 9090

    def shifted(self, offset: int) -> Self:
        """All ports moved up."""
        return type(self)(*(getattr(self, f.name) + offset for f in fields(self)))


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One validator: a CometBFT process and its application."""

    name: str
    chain_id: str
    index: int
    power: int
    ports: NodePorts

    @property
    def rpc_url(self) -> str:
        """CometBFT's RPC."""
        return f"http://127.0.0.1:{self.ports.rpc}"

    @property
    def grpc_address(self) -> str:
        """host:port of the gRPC services."""
        return f"127.0.0.1:{self.ports.grpc}"

    @property
    def rest_url(self) -> str:
        """The REST gateway."""
        return f"http://127.0.0.1:{self.ports.rest}"


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """A proxied peer connection: `dialer` reaches `listener` by `port`, where it can be cut."""

    dialer: str
    listener: str
    port: int


@dataclass(frozen=True, slots=True)
class ChainSpec:
    """One chain. With links, peers reach each other through proxies only, and can be parted."""

    chain_id: str
    kind: Kind
    nodes: tuple[NodeSpec, ...]
    links: tuple[LinkSpec, ...] = ()
    timeout_commit_ms: int = 800
    block_bytes_max: int = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Topology:
    """All chains of a local network, the hub first."""

    chains: tuple[ChainSpec, ...]

    @property
    def nodes(self) -> tuple[NodeSpec, ...]:
        """Every node, chain by chain."""
        return tuple(node for chain in self.chains for node in chain.nodes)

    def get_chain(self, chain_id: str) -> ChainSpec:
        """The chain; raises KeyError with the known ones."""
        for chain in self.chains:
            if chain.chain_id == chain_id:
                return chain
        raise KeyError(f"no chain {chain_id!r}; there are {[c.chain_id for c in self.chains]}")

    def get_node(self, name: str) -> NodeSpec:
        """The node; raises KeyError with the known ones."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(f"no node {name!r}; there are {[n.name for n in self.nodes]}")

    def to_json(self) -> str:
        """The manifest's text; `from_json` reads it back equal."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """A topology from its manifest; raises ValueError when it is not one."""
        try:
            return cls(tuple(_parse_chain(chain) for chain in json.loads(text)["chains"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a topology manifest: {error}") from error


def _parse_chain(data: dict[str, Any]) -> ChainSpec:
    nodes = [NodeSpec(**{**n, "ports": NodePorts(**n["ports"])}) for n in data["nodes"]]
    links = tuple(LinkSpec(**link) for link in data["links"])
    return ChainSpec(**{**data, "nodes": tuple(nodes), "links": links})


def make_topology(
    validators: Mapping[str, int] = DEFAULT_VALIDATORS,
    *,
    hubs: Sequence[str] = ("hub-1",),
    has_links: bool = False,
    timeout_commit_ms: int = 800,
) -> Topology:
    """A topology of chain id → number of validators, on the habitual ports, ten apart a node."""
    chains = []
    ordinal = 0
    link_port = NodePorts().shifted(_PORT_STRIDE * sum(validators.values())).p2p
    for chain_id, count in validators.items():
        nodes = []
        for index in range(count):
            ports = NodePorts().shifted(_PORT_STRIDE * ordinal)
            nodes.append(NodeSpec(f"{chain_id}-v{index}", chain_id, index, VALIDATOR_POWER, ports))
            ordinal += 1
        links = []
        for listener, dialer in combinations(nodes, 2) if has_links else ():
            links.append(LinkSpec(dialer.name, listener.name, link_port))
            link_port += 1
        kind: Kind = "hub" if chain_id in hubs else "spoke"
        chains.append(ChainSpec(chain_id, kind, tuple(nodes), tuple(links), timeout_commit_ms))
    return Topology(tuple(chains))


def allocate_ports(
    topology: Topology, is_free: Callable[[int], bool], candidates: Iterator[int]
) -> Topology:
    """The same topology with every port that is taken replaced by the next free candidate.

    No port is given twice. Raises RuntimeError when the candidates run out.
    """
    given: set[int] = set()

    def claim(wanted: int) -> int:
        port: int | None = wanted
        while port is None or port in given or not is_free(port):
            port = next(candidates, None)
            if port is None:
                raise RuntimeError("no free port left for the local network")
        given.add(port)
        return port

    chains = []
    for chain in topology.chains:
        nodes = tuple(
            replace(
                node,
                ports=NodePorts(*(claim(getattr(node.ports, f.name)) for f in fields(NodePorts))),
            )
            for node in chain.nodes
        )
        links = tuple(replace(link, port=claim(link.port)) for link in chain.links)
        chains.append(replace(chain, nodes=nodes, links=links))
    return Topology(tuple(chains))
