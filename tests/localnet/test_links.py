"""A peer link: bytes pass, wait while it is cut, and arrive whole when it heals."""

import asyncio

import pytest

from localnet.links import Link, read_cut
from localnet.network import is_port_free, list_candidate_ports
from localnet.topology import LinkSpec


async def play():
    """What an echoing peer's other end sees before, during and after a cut."""

    async def echo(reader, writer):
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    peer = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = next(p for p in list_candidate_ports() if is_port_free(p))
    link = Link(LinkSpec("a", "b", port), peer.sockets[0].getsockname()[1])
    server = await link.serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"before")
    seen = [await reader.readexactly(6)]
    link.set_cut(is_cut=True)
    writer.write(b"during")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    link.set_cut(is_cut=False)
    seen.append(await reader.readexactly(6))
    writer.write_eof()
    seen.append(await asyncio.wait_for(reader.read(), 5))
    writer.close()
    server.close()
    peer.close()
    return seen


def test_bytes_wait_while_the_link_is_cut():
    assert asyncio.run(play()) == [b"before", b"during", b""]


def test_the_control_file(tmp_path):
    control = tmp_path / "cut.json"
    assert read_cut(control) == set()
    control.write_text('[["a","b"]]')
    assert read_cut(control) == {("a", "b")}
