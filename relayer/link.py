"""Linking a path: creates what is missing of clients, connection and channel, step by step."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from google.protobuf.message import Message

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.channel.v1 import tx_pb2 as channel_tx
from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain._pb.ibc.core.connection.v1 import tx_pb2 as connection_tx
from chain.ibc import host
from relayer.clients import build_updates, fetch_client
from relayer.config import PathSection
from relayer.endpoint import Endpoint
from relayer.events import find_attribute
from relayer.handshake import Ends, Step, compute_next_step
from relayer.headers import fetch_signed_header
from relayer.messages import Prover, create_client
from relayer.orphans import find_channel, find_connection, find_unused_client
from relayer.plan import Tip
from relayer.side import Side
from relayer.submit import Confirmed, Submitter

Report = Callable[[str], None]

log = structlog.get_logger("relayer.link")


def sides_of(
    path: PathSection, endpoints: dict[str, Endpoint], submitters: dict[str, Submitter]
) -> tuple[Side, Side]:
    """Both ends of a configured path."""
    a = Side(
        endpoints[path.a_chain],
        submitters[path.a_chain],
        path.a_port,
        path.a_client,
        path.a_connection,
        path.a_channel,
    )
    b = Side(
        endpoints[path.b_chain],
        submitters[path.b_chain],
        path.b_port,
        path.b_client,
        path.b_connection,
        path.b_channel,
    )
    return a, b


async def prepare_proofs(
    destination: Side, source: Side, tip: Tip | None = None
) -> tuple[Prover, list[Message]]:
    """A prover of the source's newest provable state, and the updates that make it verifiable.

    The state after block h is proven by header h+1, so h is one below the newest block, `tip`.
    """
    tip = tip or await source.endpoint.latest()
    view = await fetch_client(destination.endpoint, destination.client)
    view.validate_usable(tip.time_ns)
    if view.latest_height.revision_height >= tip.height:
        # Another relayer was faster: its header proves the state before it.
        return Prover(source.endpoint, view.latest_height.revision_height - 1), []
    updates = await build_updates(view, source.endpoint, tip.height, destination.submitter.address)
    return Prover(source.endpoint, tip.height - 1), list(updates)


class Preparer:
    """Provers of a source's newest state for one destination: one a block, shared by batches."""

    def __init__(self, destination: Side, source: Side) -> None:
        self.destination = destination
        self.source = source
        self._height = 0
        self._task: asyncio.Task[tuple[Prover, list[Message]]] | None = None

    async def prepare(self, tip: Tip) -> tuple[Prover, list[Message]]:
        """As prepare_proofs, for a tip of the source."""
        task = self._task
        if task is None or self._height != tip.height or has_failed(task):
            task = asyncio.create_task(prepare_proofs(self.destination, self.source, tip))
            self._height, self._task = tip.height, task
        return await asyncio.shield(task)


def has_failed(task: "asyncio.Task[tuple[Prover, list[Message]]]") -> bool:
    """Whether a task ended without a result."""
    return task.done() and (task.cancelled() or task.exception() is not None)


class Linker:
    """Creates a path between two sides; every step starts from what both chains say."""

    def __init__(self, path: PathSection, a: Side, b: Side, report: Report) -> None:
        self.path = path
        self.a = a
        self.b = b
        self._report = report
        self._record: Callable[[dict[str, str]], None] = lambda _: None

    async def link(self, record: Callable[[dict[str, str]], None]) -> dict[str, str]:
        """Create what is missing and return all six ids; each is recorded as soon as it exists."""
        self._record = record
        await asyncio.gather(
            self._ensure_client(self.a, self.b), self._ensure_client(self.b, self.a)
        )
        await self._shake("connection", self._connection_ends, self._connection_step)
        await self._shake("channel", self._channel_ends, self._channel_step)
        return self._ids()

    def _ids(self) -> dict[str, str]:
        """The ids as the configuration names them."""
        return {
            "a_client": self.a.client,
            "b_client": self.b.client,
            "a_connection": self.a.connection,
            "b_connection": self.b.connection,
            "a_channel": self.a.channel,
            "b_channel": self.b.channel,
        }

    async def _ensure_client(self, side: Side, reference: Side) -> None:
        if side.client:
            return
        tip = await reference.endpoint.latest()
        signed = await fetch_signed_header(reference.endpoint, tip.height)
        message = create_client(
            reference.endpoint.section, signed.header, tip.revision, side.submitter.address
        )
        side.client = await find_unused_client(side.endpoint, reference.endpoint, message)
        if side.client:
            self._record(self._ids())
            self._report(f"{side.chain_id}: took up unused {side.client} of {reference.chain_id}")
            return
        confirmed = await submit_one(side, [message])
        side.client = require_id(confirmed, "create_client", "client_id")
        self._record(self._ids())
        self._report(f"{side.chain_id}: created {side.client} of {reference.chain_id}")

    async def _shake(
        self,
        what: str,
        ends: Callable[[], Awaitable[Ends]],
        step: Callable[[Step], Awaitable[None]],
    ) -> None:
        while True:
            next_step = compute_next_step(await ends())
            if next_step is Step.DONE:
                return
            await step(next_step)
            self._record(self._ids())
            self._report(f"{what}: {next_step.value} done")

    async def _connection_end(self, side: Side) -> connection_pb2.ConnectionEnd | None:
        if not side.connection:
            return None
        path = host.connection_path(side.connection)
        found = await side.endpoint.query_state(path, 0, prove=False)
        return connection_pb2.ConnectionEnd.FromString(found.value) if found.value else None

    async def _connection_ends(self) -> Ends:
        for side, other in ((self.a, self.b), (self.b, self.a)):
            if not side.connection:
                side.connection = await find_connection(side, other)
        a, b = await asyncio.gather(self._connection_end(self.a), self._connection_end(self.b))
        if b is None and a is not None and a.counterparty.connection_id:
            self.b.connection = a.counterparty.connection_id
            b = await self._connection_end(self.b)
        return Ends(a.state if a else 0, b.state if b else 0)

    async def _connection_step(self, step: Step) -> None:
        a, b = self.a, self.b
        prefix = commitment_pb2.MerklePrefix
        if step is Step.INIT_A:
            init = connection_tx.MsgConnectionOpenInit(
                client_id=a.client,
                counterparty=connection_pb2.Counterparty(
                    client_id=b.client,
                    prefix=prefix(key_prefix=b.endpoint.section.store_prefix.encode()),
                ),
                version=connection_version(),
                signer=a.submitter.address,
            )
            confirmed = await submit_one(a, [init])
            a.connection = require_id(confirmed, "connection_open_init", "connection_id")
            await a.endpoint.wait_for_height(confirmed.height + 1)
            return
        destination, source = (a, b) if step is Step.ACK_A else (b, a)
        prover, updates = await prepare_proofs(destination, source)
        proof = await prover.prove(host.connection_path(source.connection))
        signer = destination.submitter.address
        message: Message
        if step is Step.TRY_B:
            message = connection_tx.MsgConnectionOpenTry(
                client_id=b.client,
                counterparty=connection_pb2.Counterparty(
                    client_id=a.client,
                    connection_id=a.connection,
                    prefix=prefix(key_prefix=a.endpoint.section.store_prefix.encode()),
                ),
                counterparty_versions=[connection_version()],
                proof_init=proof,
                proof_height=prover.proof_height,
                signer=signer,
            )
        elif step is Step.ACK_A:
            message = connection_tx.MsgConnectionOpenAck(
                connection_id=a.connection,
                counterparty_connection_id=b.connection,
                version=connection_version(),
                proof_try=proof,
                proof_height=prover.proof_height,
                signer=signer,
            )
        else:
            message = connection_tx.MsgConnectionOpenConfirm(
                connection_id=b.connection,
                proof_ack=proof,
                proof_height=prover.proof_height,
                signer=signer,
            )
        confirmed = await submit_one(destination, [*updates, message])
        if step is Step.TRY_B:
            b.connection = require_id(confirmed, "connection_open_try", "connection_id")
        await destination.endpoint.wait_for_height(confirmed.height + 1)

    async def _channel_end(self, side: Side) -> channel_pb2.Channel | None:
        if not side.channel:
            return None
        path = host.channel_path(side.port, side.channel)
        found = await side.endpoint.query_state(path, 0, prove=False)
        return channel_pb2.Channel.FromString(found.value) if found.value else None

    async def _channel_ends(self) -> Ends:
        is_ordered = self.path.ordering == "ordered"
        order = channel_pb2.ORDER_ORDERED if is_ordered else channel_pb2.ORDER_UNORDERED
        for side, other in ((self.a, self.b), (self.b, self.a)):
            if not side.channel:
                side.channel = await find_channel(side, other, self.path.version, order)
        a, b = await asyncio.gather(self._channel_end(self.a), self._channel_end(self.b))
        if b is None and a is not None and a.counterparty.channel_id:
            self.b.channel = a.counterparty.channel_id
            b = await self._channel_end(self.b)
        return Ends(a.state if a else 0, b.state if b else 0)

    def _channel(self, side: Side, other: Side, state: int) -> channel_pb2.Channel:
        ordered = self.path.ordering == "ordered"
        return channel_pb2.Channel(
            state=channel_pb2.State.Name(state),
            ordering=channel_pb2.ORDER_ORDERED if ordered else channel_pb2.ORDER_UNORDERED,
            counterparty=channel_pb2.Counterparty(port_id=other.port, channel_id=other.channel),
            connection_hops=[side.connection],
            version=self.path.version,
        )

    async def _channel_step(self, step: Step) -> None:
        a, b = self.a, self.b
        if step is Step.INIT_A:
            init = channel_tx.MsgChannelOpenInit(
                port_id=a.port,
                channel=self._channel(a, b, channel_pb2.STATE_INIT),
                signer=a.submitter.address,
            )
            confirmed = await submit_one(a, [init])
            a.channel = require_id(confirmed, "channel_open_init", "channel_id")
            await a.endpoint.wait_for_height(confirmed.height + 1)
            return
        destination, source = (a, b) if step is Step.ACK_A else (b, a)
        prover, updates = await prepare_proofs(destination, source)
        proof = await prover.prove(host.channel_path(source.port, source.channel))
        signer = destination.submitter.address
        message: Message
        if step is Step.TRY_B:
            message = channel_tx.MsgChannelOpenTry(
                port_id=b.port,
                channel=self._channel(b, a, channel_pb2.STATE_TRYOPEN),
                counterparty_version=self.path.version,
                proof_init=proof,
                proof_height=prover.proof_height,
                signer=signer,
            )
        elif step is Step.ACK_A:
            message = channel_tx.MsgChannelOpenAck(
                port_id=a.port,
                channel_id=a.channel,
                counterparty_channel_id=b.channel,
                counterparty_version=self.path.version,
                proof_try=proof,
                proof_height=prover.proof_height,
                signer=signer,
            )
        else:
            message = channel_tx.MsgChannelOpenConfirm(
                port_id=b.port,
                channel_id=b.channel,
                proof_ack=proof,
                proof_height=prover.proof_height,
                signer=signer,
            )
        confirmed = await submit_one(destination, [*updates, message])
        if step is Step.TRY_B:
            b.channel = require_id(confirmed, "channel_open_try", "channel_id")
        await destination.endpoint.wait_for_height(confirmed.height + 1)


def connection_version() -> connection_pb2.Version:
    """The one connection version there is, with both orderings (ICS-03)."""
    return connection_pb2.Version(identifier="1", features=["ORDER_ORDERED", "ORDER_UNORDERED"])


async def submit_one(side: Side, messages: Sequence[Message]) -> Confirmed:
    """Messages that must succeed together, in one transaction."""
    return (await side.submitter.submit(messages))[0]


def require_id(confirmed: Confirmed, event_type: str, key: str) -> str:
    """An id that a transaction emitted; its absence means another kind of chain."""
    value = find_attribute(confirmed.events, event_type, key)
    if value is None:
        raise LookupError(f"transaction {confirmed.tx_hash} emitted no {event_type}.{key}")
    return value
