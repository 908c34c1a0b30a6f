"""The smallest IBC application: it echoes, refuses, or runs what a test asks; for core's tests."""

from collections.abc import Callable
from dataclasses import dataclass, field

from chain.errors import ChainError
from chain.ibc.errors import InvalidChannelState
from chain.ibc.router import ChannelOpening, Packet
from chain.runtime.context import Context
from chain.runtime.module import Module

PORT = "echo"
VERSION = "echo-1"
STORE = "echo"


class EchoRefused(ChainError):
    """A packet whose data asks for a refusal."""

    codespace = "echo"
    code = 2
    summary = "refused"


Script = Callable[[Context], None]


@dataclass
class EchoApplication:
    """Counts what happens to it in the store `echo`; data `refuse` is refused, `later` async.

    A test may set a hook to run inside a callback, before it returns.
    """

    hook: Script | None = None
    is_closing_allowed: bool = True
    scripts: list[Script] = field(default_factory=list)

    def _count(self, ctx: Context, what: str) -> None:
        store = ctx.kv(STORE)
        key = what.encode()
        count = int.from_bytes(store.get(key) or b"", "big")
        store.set(key, (count + 1).to_bytes(8, "big"))
        ctx.emit("echo", {"what": what})
        if self.hook is not None:
            self.hook(ctx)

    def on_chan_open_init(self, ctx: Context, opening: ChannelOpening) -> str:
        self._count(ctx, "open_init")
        return opening.version or VERSION

    def on_chan_open_try(self, ctx: Context, opening: ChannelOpening) -> str:
        self._count(ctx, "open_try")
        return opening.version

    def on_chan_open_ack(self, ctx: Context, *channel: str) -> None:
        del channel
        self._count(ctx, "open_ack")

    def on_chan_open_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        del port_id, channel_id
        self._count(ctx, "open_confirm")

    def on_chan_close_init(self, ctx: Context, port_id: str, channel_id: str) -> None:
        del port_id, channel_id
        if not self.is_closing_allowed:
            raise InvalidChannelState("this application keeps its channels")
        self._count(ctx, "close_init")

    def on_chan_close_confirm(self, ctx: Context, port_id: str, channel_id: str) -> None:
        del port_id, channel_id
        self._count(ctx, "close_confirm")

    def on_recv_packet(self, ctx: Context, packet: Packet, relayer: str) -> bytes:
        del relayer
        self._count(ctx, "recv")
        if packet.data == b"refuse":
            raise EchoRefused("told to refuse by a value that differs on every node")
        if packet.data == b"later":
            return b""
        return b"echo:" + packet.data

    def error_acknowledgement(self, error: ChainError) -> bytes:
        return f"error:{error.codespace}/{error.code}: {error.summary}".encode()

    def on_acknowledgement_packet(
        self, ctx: Context, packet: Packet, acknowledgement: bytes, relayer: str
    ) -> None:
        del packet, relayer
        self._count(ctx, "ack_error" if acknowledgement.startswith(b"error:") else "ack")

    def on_timeout_packet(self, ctx: Context, packet: Packet, relayer: str) -> None:
        del packet, relayer
        self._count(ctx, "timeout")

    def run_scripts(self, ctx: Context) -> None:
        """Run what the test queued for this block, each script once."""
        queued, self.scripts = self.scripts, []
        for script in queued:
            script(ctx)

    def module(self) -> Module:
        """The module that owns the store and runs the scripts at the start of each block."""
        return Module(name="echo", stores=(STORE,), begin_block=self.run_scripts)


def get_count(ctx: Context, what: str) -> int:
    """How often something happened, as the store has it."""
    return int.from_bytes(ctx.kv(STORE).get(what.encode()) or b"", "big")
