"""Proxies between peers, one process a network: while a link is cut, bytes wait and nobody is told.

Runs as `python -m localnet.links --manifest M --control C`. C is a JSON list of the cut links, each
`[dialer, listener]`; it is replaced as a whole and read 20 times a second. A cut of less than
CometBFT's pong timeout (45 s) heals without a reconnection; a longer one is healed by the dialer's
next attempt.
"""

import argparse
import asyncio
import json
import signal
from contextlib import suppress
from pathlib import Path

from localnet.topology import LinkSpec, Topology

_CONTROL_POLL_S = 0.05
_READ_BYTES = 65536


class Link:
    """One listening port whose traffic to a peer passes an open gate."""

    def __init__(self, spec: LinkSpec, target_port: int) -> None:
        self.spec = spec
        self._target_port = target_port
        self._gate = asyncio.Event()
        self._gate.set()

    def set_cut(self, *, is_cut: bool) -> None:
        """Close or open the gate."""
        if is_cut:
            self._gate.clear()
        else:
            self._gate.set()

    async def serve(self) -> asyncio.Server:
        """Listen on the link's port."""
        return await asyncio.start_server(self._forward, "127.0.0.1", self.spec.port)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._gate.wait()
            peer_reader, peer_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, peer_writer))
                tasks.create_task(self._pump(peer_reader, writer))
        finally:
            for end in (writer, peer_writer):
                with suppress(OSError):
                    end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                await self._gate.wait()
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()


def read_cut(control: Path) -> set[tuple[str, str]]:
    """The (dialer, listener) pairs a control file cuts; none without a file."""
    try:
        return {(dialer, listener) for dialer, listener in json.loads(control.read_text())}
    except FileNotFoundError:
        return set()


async def run(topology: Topology, control: Path) -> None:
    """Serve all links of a topology until SIGTERM."""
    links = [
        Link(spec, topology.get_node(spec.listener).ports.p2p)
        for chain in topology.chains
        for spec in chain.links
    ]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    servers = [await link.serve() for link in links]
    while not stop.is_set():
        cut = read_cut(control)
        for link in links:
            link.set_cut(is_cut=(link.spec.dialer, link.spec.listener) in cut)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _CONTROL_POLL_S)
    for server in servers:
        server.close()


def main() -> None:
    """The command line of the links process."""
    parser = argparse.ArgumentParser(description="Proxies between the peers of a local network.")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--control", type=Path, required=True)
    arguments = parser.parse_args()
    topology = Topology.from_json(arguments.manifest.read_text())
    asyncio.run(run(topology, arguments.control))


if __name__ == "__main__":
    main()
