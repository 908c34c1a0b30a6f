"""Faults on purpose in a running network: kills, pauses and partitions, and their inverses."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from localnet.network import Network
from localnet.process import Part


class NoLinks(RuntimeError):
    """The network was made without links, so its peers cannot be parted."""


class Faults:
    """What can go wrong with a network's nodes."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def kill(self, name: str, part: Part = "both") -> None:
        """SIGKILL of a node or of one of its processes."""
        self._network.get_node(name).kill(part)

    def restart(self, name: str) -> None:
        """Both processes of a node up again."""
        self._network.restart(name)

    def pause(self, name: str, part: Part = "both") -> None:
        """Freeze a node: its sockets stay open and silent."""
        self._network.get_node(name).pause(part)

    def resume(self, name: str, part: Part = "both") -> None:
        """Undo `pause`."""
        self._network.get_node(name).resume(part)

    def partition(self, *groups: Collection[str]) -> None:
        """Cut every link between nodes of different groups; nodes in no group are a group of one.

        Replaces an earlier partition. Raises NoLinks, or KeyError for an unknown node.
        """
        side: dict[str, int] = {}
        for number, group in enumerate(groups):
            for name in group:
                self._network.get_node(name)
                side[name] = number
        chains = self._network.topology.chains
        links = [link for chain in chains for link in chain.links]
        if not links:
            raise NoLinks("this network has no links: make its topology with has_links=True")
        touched = {self._network.get_node(name).spec.chain_id for name in side}
        cut = [
            [link.dialer, link.listener]
            for link in links
            if self._network.get_node(link.dialer).spec.chain_id in touched
            and (link.dialer not in side or side[link.dialer] != side.get(link.listener))
        ]
        self._write_cut(cut)

    def heal(self) -> None:
        """Undo `partition`."""
        self._write_cut([])

    @contextmanager
    def partitioned(self, *groups: Collection[str]) -> Iterator[None]:
        """A partition for the length of a block."""
        self.partition(*groups)
        try:
            yield
        finally:
            self.heal()

    def _write_cut(self, cut: list[list[str]]) -> None:
        control = self._network.links_control
        control.parent.mkdir(parents=True, exist_ok=True)
        draft = control.with_suffix(".new")
        draft.write_text(json.dumps(cut))
        draft.replace(control)
