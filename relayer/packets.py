"""The packet worker: keeps both directions of one channel moving.

It knows outstanding packets from events and reads them anew from commitments now and then, so that
neither a missed event nor a restart can leave a packet behind. New packets go first; what is older
waits in a lane of its own that takes a bounded share of every round.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Final

import structlog
from google.protobuf.message import Message

from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.channel.v1 import query_pb2 as channel_query
from chain.client.comet import BlockResults, CometClient
from chain.client.errors import NodeUnavailable, NotFound, QueryRefused, RpcError
from chain.errors import ChainError
from chain.ibc import host
from relayer.clients import build_updates, fetch_client
from relayer.config import PathSection
from relayer.events import BlockPackets, parse_block_results, parse_events
from relayer.journal import Journal
from relayer.link import Side, prepare_proofs
from relayer.messages import Prover
from relayer.plan import (
    DirectionPlan,
    DirectionSnapshot,
    RelayLimits,
    Tip,
    is_client_refresh_due,
    is_timed_out,
    plan_direction,
)

LIVE_WINDOW: Final = 200
"""So many of the newest outstanding packets are live; older ones are backlog."""
BATCHES_PER_ROUND: Final = 8
"""Transactions of one kind that a round may start in one direction."""
RETRY_PAUSE_S: Final = 1
"""Pause before packets of a failed batch are looked at again."""
BACKLOG_SHARE: Final = 60
"""Backlog packets looked at in one round."""
PAGE_ROWS: Final = 500
LOOKUPS_PER_ROUND: Final = 20
"""Searches of a node's index in one round, for packets the journal has never seen."""

log = structlog.get_logger("relayer.packets")


class Direction:
    """Packets that one side sends and the other receives."""

    def __init__(
        self, path: PathSection, source: Side, destination: Side, journal: Journal
    ) -> None:
        self.path = path
        self.source = source
        self.destination = destination
        self.journal = journal
        self.outstanding: set[int] = set()
        self.in_flight: set[int] = set()
        self.needs_clearing = True
        self._batches: set[asyncio.Task[None]] = set()
        self._filtered: set[int] = set()
        self._labels = (source.chain_id, destination.chain_id, source.channel, source.port)
        self._telemetry = source.endpoint.telemetry

    def note_sent(self, packet: channel_pb2.Packet) -> None:
        """An event says that this direction has a new packet."""
        if (packet.source_port, packet.source_channel) == (self.source.port, self.source.channel):
            self.outstanding.add(packet.sequence)
            self._telemetry.send_packet_events.labels(*self._labels).inc()

    def note_acknowledged(self, packet: channel_pb2.Packet) -> None:
        """An event says that the destination wrote an acknowledgement."""
        end = (packet.destination_port, packet.destination_channel)
        if end == (self.destination.port, self.destination.channel):
            self._telemetry.acknowledgement_events.labels(*self._labels).inc()

    async def clear(self) -> None:
        """Read the outstanding sequences from the source's commitments: the source of truth."""
        found: set[int] = set()
        key = b""
        while True:
            answer = await self.source.endpoint.query(
                "/ibc.core.channel.v1.Query/PacketCommitments",
                channel_query.QueryPacketCommitmentsRequest(
                    port_id=self.source.port,
                    channel_id=self.source.channel,
                    pagination=pagination_pb2.PageRequest(key=key, limit=PAGE_ROWS),
                ),
                channel_query.QueryPacketCommitmentsResponse,
            )
            found.update(row.sequence for row in answer.commitments)
            key = answer.pagination.next_key
            if not key:
                break
        fresh = found - self.outstanding
        if fresh:
            self._telemetry.cleared_packets.labels(*self._labels).inc(len(fresh))
        for sequence in self.outstanding - found:
            self._forget(sequence)
        self.outstanding = found
        self.needs_clearing = False
        self._telemetry.backlog_latest_update_timestamp.labels(*self._labels).set(time.time())

    def settle(self, sequences: Sequence[int]) -> None:
        """Packets whose final transaction is in a block."""
        for sequence in sequences:
            self.outstanding.discard(sequence)
            self._forget(sequence)

    def _forget(self, sequence: int) -> None:
        sent = self.journal.get_packet(
            self.source.chain_id, self.source.port, self.source.channel, sequence
        )
        if sent is not None:
            self.journal.forget(self.source.chain_id, self.destination.chain_id, sent[1])

    def _lanes(self) -> list[int]:
        """Sequences to look at now: all live ones, and a bounded share of the backlog."""
        waiting = sorted(self.outstanding - self.in_flight)
        if self.path.ordering == "ordered":
            return waiting[:LIVE_WINDOW]
        return sorted({*waiting[-LIVE_WINDOW:], *waiting[:BACKLOG_SHARE]})

    async def take_snapshot(
        self, source_tip: Tip, destination_tip: Tip
    ) -> DirectionSnapshot | None:
        """What both chains say of the packets to look at; None when none is outstanding."""
        sequences = self._lanes()
        labels = self._labels
        self._telemetry.backlog_size.labels(*labels).set(len(self.outstanding))
        self._telemetry.backlog_oldest_sequence.labels(*labels).set(
            min(self.outstanding, default=0)
        )
        if not sequences:
            return None
        unreceived = await self.destination.endpoint.query(
            "/ibc.core.channel.v1.Query/UnreceivedPackets",
            channel_query.QueryUnreceivedPacketsRequest(
                port_id=self.destination.port,
                channel_id=self.destination.channel,
                packet_commitment_sequences=sequences,
            ),
            channel_query.QueryUnreceivedPacketsResponse,
        )
        not_received = frozenset(unreceived.sequences)
        packets, acknowledgements = await self._contents(
            sequences, not_received, source_tip.height - 1, destination_tip.height - 1
        )
        end = await self._destination_end()
        return DirectionSnapshot(
            source=source_tip,
            destination=destination_tip,
            commitments=frozenset(sequences),
            packets=packets,
            unreceived=not_received,
            acknowledgements=acknowledgements,
            in_flight=frozenset(self.in_flight),
            is_ordered=self.path.ordering == "ordered",
            next_sequence_receive=await self._next_sequence_receive(),
            is_destination_closed=end is not None and end.state == channel_pb2.STATE_CLOSED,
        )

    async def _destination_end(self) -> channel_pb2.Channel | None:
        path = host.channel_path(self.destination.port, self.destination.channel)
        found = await self.destination.endpoint.query_state(path, 0, prove=False)
        return channel_pb2.Channel.FromString(found.value) if found.value else None

    async def _next_sequence_receive(self) -> int:
        if self.path.ordering != "ordered":
            return 1
        path = host.next_sequence_recv_path(self.destination.port, self.destination.channel)
        found = await self.destination.endpoint.query_state(path, 0, prove=False)
        return int.from_bytes(found.value or b"", "big") or 1

    async def _contents(
        self,
        sequences: Sequence[int],
        not_received: frozenset[int],
        source_height: int,
        destination_height: int,
    ) -> tuple[dict[int, channel_pb2.Packet], dict[int, bytes]]:
        """Packets and acknowledgements from the journal, else from the nodes' indexes.

        What a block above the given heights wrote is left out: no header proves it yet.
        """
        packets: dict[int, channel_pb2.Packet] = {}
        acknowledgements: dict[int, bytes] = {}
        lookups = LOOKUPS_PER_ROUND
        source, destination = self.source, self.destination
        for sequence in sequences:
            sent = self.journal.get_packet(source.chain_id, source.port, source.channel, sequence)
            if sent is None and lookups:
                lookups -= 1
                sent = await search_packet(source, sequence)
            if sent is None or sent[0] > source_height:
                continue
            packets[sequence] = sent[1]
            if sequence in not_received:
                continue
            written = self.journal.get_acknowledgement(
                destination.chain_id, destination.port, destination.channel, sequence
            )
            if written is None and lookups:
                lookups -= 1
                written = await search_acknowledgement(destination, sequence)
            if written is not None and written[0] <= destination_height:
                acknowledgements[sequence] = written[1]
        return packets, acknowledgements

    async def relay(self, source_tip: Tip, destination_tip: Tip) -> bool:
        """Start what this direction owes, in batches of their own; True when something is owed.

        Batches run beside later rounds, so that a packet never waits for another's block; what they
        carry is in flight until they end.
        """
        snapshot = await self.take_snapshot(source_tip, destination_tip)
        if snapshot is None:
            return False
        batch = self.destination.endpoint.section.max_msg_num - 1
        plan = plan_direction(
            snapshot, RelayLimits(self.path.data_bytes_max), batch * BATCHES_PER_ROUND
        )
        self._report_skipped(plan, snapshot)
        for start in range(0, len(plan.receive), batch):
            packets = plan.receive[start : start + batch]
            self._start(packets, self._relay_receive(packets))
        for start in range(0, len(plan.acknowledge), batch):
            acknowledged = plan.acknowledge[start : start + batch]
            self._start([packet for packet, _ in acknowledged], self._relay_acks(acknowledged))
        expired = (*plan.timeout, *plan.timeout_on_close)[:batch]
        if expired:
            closed = frozenset(packet.sequence for packet in plan.timeout_on_close)
            self._start(expired, self._relay_timeouts(expired, closed))
        return not plan.is_empty

    async def drain(self) -> None:
        """Wait for the batches that are under way."""
        await asyncio.gather(*self._batches, return_exceptions=True)

    def _report_skipped(self, plan: DirectionPlan, snapshot: DirectionSnapshot) -> None:
        """Log and count, once each, the packets that a limit keeps back; others only wait."""
        for sequence, reason in plan.skipped:
            packet = snapshot.packets.get(sequence)
            is_large = packet is not None and len(packet.data) > self.path.data_bytes_max
            if is_large and sequence not in self._filtered:
                self._filtered.add(sequence)
                log.warning("filtered", path=self.path.name, sequence=sequence, why=reason)
                self._telemetry.filtered_packets.labels(*self._labels).inc()
            elif not is_large:
                log.debug("waiting", path=self.path.name, sequence=sequence, why=reason)

    def _start(
        self, packets: Sequence[channel_pb2.Packet], batch: Coroutine[None, None, None]
    ) -> None:
        sequences = {packet.sequence for packet in packets}
        self.in_flight |= sequences
        task = asyncio.create_task(self._run_batch(sequences, batch))
        self._batches.add(task)
        task.add_done_callback(self._batches.discard)

    async def _run_batch(self, sequences: set[int], batch: Coroutine[None, None, None]) -> None:
        try:
            await batch
        except (ChainError, TimeoutError) as failure:
            self.needs_clearing = True
            log.warning("relay_failed", path=self.path.name, why=str(failure))
            # What failed now would fail again at once: let the chains move on first.
            await asyncio.sleep(RETRY_PAUSE_S)
        finally:
            self.in_flight -= sequences

    async def _relay_receive(self, packets: Sequence[channel_pb2.Packet]) -> None:
        """Bring packets from the source to the destination."""
        prover, updates = await prepare_proofs(self.destination, self.source)
        signer = self.destination.submitter.address
        proven = await gather_proven(
            [(packet, prover.receive(packet, signer)) for packet in packets]
        )
        await self._send(self.destination, updates, proven)
        self._telemetry.receive_packets_confirmed.labels(*self._labels).inc(len(proven))

    async def _relay_acks(self, acknowledged: Sequence[tuple[channel_pb2.Packet, bytes]]) -> None:
        """Bring acknowledgements from the destination back to the source."""
        prover, updates = await prepare_proofs(self.source, self.destination)
        signer = self.source.submitter.address
        proven = await gather_proven(
            [(packet, prover.acknowledge(packet, ack, signer)) for packet, ack in acknowledged]
        )
        await self._send(self.source, updates, proven)
        self.settle([packet.sequence for packet, _ in proven])
        self._telemetry.acknowledgment_packets_confirmed.labels(*self._labels).inc(len(proven))

    async def _relay_timeouts(
        self, packets: Sequence[channel_pb2.Packet], closed: frozenset[int]
    ) -> None:
        """Bring proofs that packets were never received back to the source."""
        prover, updates = await prepare_proofs(self.source, self.destination)
        prover, updates = await self._prover_after(packets, prover, updates)
        signer = self.source.submitter.address
        is_ordered = self.path.ordering == "ordered"
        proven = await gather_proven(
            [
                (
                    packet,
                    prover.timeout_on_close(packet, signer, is_ordered=is_ordered)
                    if packet.sequence in closed
                    else prover.timeout(packet, signer, is_ordered=is_ordered),
                )
                for packet in packets
            ]
        )
        await self._send(self.source, updates, proven)
        self.settle([packet.sequence for packet, _ in proven])
        self._telemetry.timeout_packets_confirmed.labels(*self._labels).inc(len(proven))

    async def _prover_after(
        self,
        packets: Sequence[channel_pb2.Packet],
        prover: Prover,
        updates: list[Message],
    ) -> tuple[Prover, list[Message]]:
        """A prover whose header has passed the timeouts: a client of another's may stand before."""
        header = await self.destination.endpoint.ask(
            "header", lambda client: client.header(prover.height + 1)
        )
        time_ns = header.time.seconds * 1_000_000_000 + header.time.nanos
        proven = Tip(self.destination.endpoint.revision, header.height, time_ns)
        if all(is_timed_out(packet, proven) for packet in packets):
            return prover, updates
        tip = await self.destination.endpoint.latest()
        view = await fetch_client(self.source.endpoint, self.source.client)
        fresh = await build_updates(
            view, self.destination.endpoint, tip.height, self.source.submitter.address
        )
        return Prover(self.destination.endpoint, tip.height - 1), list(fresh)

    async def _send(
        self,
        side: Side,
        updates: Sequence[Message],
        proven: Sequence[tuple[channel_pb2.Packet, Message]],
    ) -> None:
        if not proven:
            return
        sequences = {packet.sequence for packet, _ in proven}
        await side.submitter.submit([*updates, *(message for _, message in proven)])
        log.info(
            "relayed",
            path=self.path.name,
            to=side.chain_id,
            kinds=sorted({type(message).__name__ for _, message in proven}),
            sequences=sorted(sequences),
        )


async def gather_proven(
    owed: Sequence[tuple[channel_pb2.Packet, Coroutine[None, None, Message]]],
) -> list[tuple[channel_pb2.Packet, Message]]:
    """Messages whose proofs could be had; one that changed meanwhile waits for another round."""
    answers = await asyncio.gather(*(proving for _, proving in owed), return_exceptions=True)
    proven = []
    for (packet, _), answer in zip(owed, answers, strict=True):
        if isinstance(answer, QueryRefused | NotFound):
            log.info("proof_unavailable", sequence=packet.sequence, why=str(answer))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            proven.append((packet, answer))
    return proven


async def search_packet(source: Side, sequence: int) -> tuple[int, channel_pb2.Packet] | None:
    """A sent packet and its height, from the index of transactions, then of blocks."""
    query = (
        f"send_packet.packet_src_channel='{source.channel}' AND "
        f"send_packet.packet_src_port='{source.port}' AND send_packet.packet_sequence='{sequence}'"
    )
    for height, results in await search_events(source, query):
        for packet in results.sent:
            end = (packet.source_port, packet.source_channel, packet.sequence)
            if end == (source.port, source.channel, sequence):
                return height, packet
    return None


async def search_acknowledgement(destination: Side, sequence: int) -> tuple[int, bytes] | None:
    """A written acknowledgement and its height from the destination's index; None if not there."""
    query = (
        f"write_acknowledgement.packet_dst_channel='{destination.channel}' AND "
        f"write_acknowledgement.packet_dst_port='{destination.port}' AND "
        f"write_acknowledgement.packet_sequence='{sequence}'"
    )
    for height, results in await search_events(destination, query):
        for packet, acknowledgement in results.acknowledged:
            end = (packet.destination_port, packet.destination_channel, packet.sequence)
            if end == (destination.port, destination.channel, sequence):
                return height, acknowledgement
    return None


async def search_events(side: Side, query: str) -> list[tuple[int, BlockPackets]]:
    """Heights and packets of the transactions, else of the blocks, that an index finds."""
    try:
        page = await side.endpoint.ask("tx_search", lambda client: client.tx_search(query))
        if page.txs:
            return [
                (tx.height, parse_events(tx.result.events)) for tx in page.txs if not tx.result.code
            ]
        blocks, _ = await side.endpoint.ask(
            "block_search", lambda client: client.block_search(query)
        )
        heights = [block.block.header.height for block in blocks]
        found = [
            (height, parse_block_results(await fetch_results(side, height))) for height in heights
        ]
    except RpcError as error:
        log.warning("index_unavailable", chain=side.chain_id, why=str(error))
        return []
    return found


async def fetch_results(side: Side, height: int) -> BlockResults:
    """Results of the block at a height."""

    async def call(client: CometClient) -> BlockResults:
        return await client.block_results(height)

    return await side.endpoint.ask("block_results", call)


class PathWorker:
    """Both directions of one path, and the refreshing of its two clients."""

    def __init__(self, path: PathSection, a: Side, b: Side, journal: Journal) -> None:
        self.path = path
        self.a = a
        self.b = b
        self.directions = (Direction(path, a, b, journal), Direction(path, b, a, journal))
        self.wake = asyncio.Event()
        self._cleared_height = 0

    async def run(self) -> None:
        """Relay until cancelled; a chain that does not answer is asked again, others go on."""
        pause_s = (
            min(self.a.endpoint.section.poll_interval_ms, self.b.endpoint.section.poll_interval_ms)
            / 1000
        )
        failures = 0
        while True:
            try:
                await self.relay_once()
                failures = 0
            except (NodeUnavailable, TimeoutError) as error:
                failures += 1
                log.warning("chain_unavailable", path=self.path.name, why=str(error))
            except ChainError as error:
                failures += 1
                log.warning("round_failed", path=self.path.name, why=str(error))
            except Exception:
                # A bug met on one path must not stop the others; it is logged whole and retried.
                failures += 1
                log.exception("bug", path=self.path.name)
            self.wake.clear()
            try:
                # Back off while something is wrong: no busy loop on an empty balance.
                async with asyncio.timeout(pause_s * min(2**failures, 32)):
                    await self.wake.wait()
            except TimeoutError:
                continue

    async def relay_once(self) -> None:
        """One round: clear if due, relay both directions, refresh clients."""
        tip_a, tip_b = await asyncio.gather(self.a.endpoint.latest(), self.b.endpoint.latest())
        interval = self.path.clear_interval_blocks
        if interval and tip_a.height >= self._cleared_height + interval:
            self._cleared_height = tip_a.height
            for direction in self.directions:
                direction.needs_clearing = True
        for direction in self.directions:
            if direction.needs_clearing:
                await direction.clear()
        await asyncio.gather(
            self.directions[0].relay(tip_a, tip_b),
            self.directions[1].relay(tip_b, tip_a),
            self._refresh(self.a, self.b, tip_a),
            self._refresh(self.b, self.a, tip_b),
        )

    async def _refresh(self, host_side: Side, reference: Side, host_tip: Tip) -> None:
        """Update the client on one side when its heartbeat or a third of its life has passed."""
        view = await fetch_client(host_side.endpoint, host_side.client)
        now_ns = max(host_tip.time_ns, view.consensus_time_ns)
        labels = (host_side.chain_id, host_side.client, reference.chain_id)
        telemetry = host_side.endpoint.telemetry
        period_ns = view.trusting_period_ns
        telemetry.client_trusting_period_seconds.labels(*labels).set(period_ns // 1_000_000_000)
        telemetry.client_expiration_seconds.labels(*labels).set(
            (view.consensus_time_ns + period_ns - now_ns) // 1_000_000_000
        )
        heartbeat_ns = self.path.heartbeat_s * 1_000_000_000
        if not is_client_refresh_due(view.consensus_time_ns, now_ns, period_ns, heartbeat_ns):
            return
        view.validate_usable(now_ns)
        tip = await reference.endpoint.latest()
        if tip.height <= view.latest_height.revision_height:
            return
        updates = await build_updates(
            view, reference.endpoint, tip.height, host_side.submitter.address
        )
        await host_side.submitter.submit(updates)
        telemetry.client_updates_submitted.labels(host_side.chain_id, host_side.client).inc(
            len(updates)
        )
