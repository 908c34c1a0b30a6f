"""One direction of a channel: packets that one side sends and the other receives, kept moving.

Outstanding packets are known from events and read anew from commitments now and then, so that
neither a missed event nor a restart can leave one behind. Live packets go first; what is older
waits in a lane of its own with a bounded share of what is in flight.
"""

import asyncio
import heapq
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Final

import structlog
from google.protobuf.message import Message

from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.channel.v1 import query_pb2 as channel_query
from chain.client.errors import NotFound, QueryRefused
from chain.errors import ChainError
from chain.ibc import host
from relayer.clients import ClientUnusable, build_updates, fetch_client
from relayer.config import PathSection
from relayer.journal import Journal
from relayer.link import Preparer
from relayer.lookup import Lookup
from relayer.messages import Prover
from relayer.plan import (
    DirectionPlan,
    DirectionSnapshot,
    RelayLimits,
    Tip,
    is_timed_out,
    plan_direction,
)
from relayer.side import Side
from relayer.submit import BudgetSpent, FundsMissing, SubmissionFailed

LIVE_S: Final = 30
"""A packet is live for so long after its last event; then it is backlog."""
LIVE_IN_FLIGHT_MAX: Final = 600
BACKLOG_IN_FLIGHT_MAX: Final = 150
"""Backlog packets under way at once in one direction: what is live must find room in blocks."""
BACKLOG_PAUSE_S: Final = 5
"""A backlog packet that is owed nothing is looked at again after so long."""
RETRY_PAUSE_S: Final = 1
"""Pause before packets of a batch that no node took are looked at again."""
POSTPONED_S_MAX: Final = 300
"""Longest pause between two tries of a packet whose message fails."""
CLEAR_PAUSE_S: Final = 5
"""Commitments are not read more often than this."""
UNUSABLE_PAUSE_S: Final = 10
PATIENCE_BLOCKS: Final = (3, 6)
"""Blocks to leave a packet to another relayer, drawn at random after losing a race to it."""
PATIENCE_S_MAX: Final = 300
"""After so long the race is run again: the other relayer may be gone."""
PAGE_ROWS: Final = 500
LOOKUPS_MAX: Final = 50
"""Sequences of one search of a node's index."""

log = structlog.get_logger("relayer.packets")


class Direction:
    """Packets that one side sends and the other receives.

    `on_change` is called when there may be something new to relay.
    """

    def __init__(
        self,
        path: PathSection,
        source: Side,
        destination: Side,
        journal: Journal,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self.source = source
        self.destination = destination
        self.journal = journal
        self.outstanding: set[int] = set()
        self.in_flight: set[int] = set()
        self.needs_clearing = True
        self.lookup = Lookup(source, destination, journal, on_change)
        self.to_destination = Preparer(destination, source)
        self.to_source = Preparer(source, destination)
        self._on_change = on_change
        self._batches: set[asyncio.Task[None]] = set()
        self._clearing: asyncio.Task[None] | None = None
        self._cleared_s = 0.0
        self._settled: set[int] = set()
        self._backlog_in_flight: set[int] = set()
        self._noted_s: dict[int, float] = {}
        self._retry_s: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        self._filtered: set[int] = set()
        self._paused_until_s = 0.0
        self._patience_s = 0.0
        self._patience_until_s = 0.0
        self._owed_since_s: dict[tuple[str, int], float] = {}
        self._labels = (source.chain_id, destination.chain_id, source.channel, source.port)
        self._telemetry = source.endpoint.telemetry

    # What is outstanding.

    def is_sent_here(self, packet: channel_pb2.Packet) -> bool:
        """Whether this direction carries the packet."""
        return (packet.source_port, packet.source_channel) == (
            self.source.port,
            self.source.channel,
        )

    def is_received_here(self, packet: channel_pb2.Packet) -> bool:
        """Whether this direction's destination end receives the packet."""
        return (packet.destination_port, packet.destination_channel) == (
            self.destination.port,
            self.destination.channel,
        )

    def note_sent(self, packet: channel_pb2.Packet) -> None:
        """An event says that this direction has a new packet."""
        self.outstanding.add(packet.sequence)
        self._noted_s[packet.sequence] = time.monotonic()
        self._telemetry.send_packet_events.labels(*self._labels).inc()

    def note_acknowledged(self, packet: channel_pb2.Packet) -> None:
        """An event says that the destination wrote an acknowledgement."""
        if packet.sequence in self.outstanding:
            self._noted_s[packet.sequence] = time.monotonic()
            self._retry_s.pop(packet.sequence, None)
        self._telemetry.acknowledgement_events.labels(*self._labels).inc()

    def start_clearing(self) -> None:
        """Clear beside the rounds if it is due, so that live packets do not wait for it."""
        if not self.needs_clearing or time.monotonic() < self._cleared_s + CLEAR_PAUSE_S:
            return
        if self._clearing is None or self._clearing.done():
            self._clearing = asyncio.create_task(self._clear_quietly())

    async def _clear_quietly(self) -> None:
        try:
            await self.clear()
        except (ChainError, TimeoutError) as error:
            log.warning("clearing_failed", path=self.path.name, why=str(error))

    async def clear(self) -> None:
        """Read the outstanding sequences from the source's commitments: the source of truth."""
        self._cleared_s = time.monotonic()
        self._settled.clear()
        known = set(self.outstanding)
        found = await self._query_commitments()
        self.needs_clearing = False
        # What an event brought just now may be younger than the commitments of a lagging node.
        young_s = time.monotonic() - LIVE_S
        gone = {s for s in known - found if self._noted_s.get(s, 0.0) < young_s}
        fresh = found - self.outstanding - self._settled
        self.outstanding |= fresh
        self.settle(gone)
        if fresh:
            self._telemetry.cleared_packets.labels(*self._labels).inc(len(fresh))
            log.info("cleared", path=self.path.name, of=self.source.chain_id, packets=len(fresh))
            self._on_change()
        self.journal.forget_settled(
            self.source.chain_id,
            self.destination.chain_id,
            self.source.port,
            self.source.channel,
            self.outstanding,
        )
        self._telemetry.backlog_latest_update_timestamp.labels(*self._labels).set(time.time())

    async def _query_commitments(self) -> set[int]:
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
                return found

    def settle(self, sequences: Iterable[int]) -> None:
        """Packets whose final transaction is in a block."""
        for sequence in sequences:
            self._settled.add(sequence)
            self.outstanding.discard(sequence)
            for memory in (self._noted_s, self._retry_s, self._failures):
                memory.pop(sequence, None)
            for kind in ("receive", "finish"):
                self._owed_since_s.pop((kind, sequence), None)
            sent = self.journal.get_packet(
                self.source.chain_id, self.source.port, self.source.channel, sequence
            )
            if sent is not None:
                self.journal.forget(self.source.chain_id, self.destination.chain_id, sent[1])

    def _lanes(self) -> tuple[list[int], list[int]]:
        """Sequences to look at now, the oldest first: live ones, and a share of the backlog."""
        now_s = time.monotonic()
        ready = [
            sequence
            for sequence in self.outstanding - self.in_flight
            if self._retry_s.get(sequence, 0.0) <= now_s
        ]
        if self.path.ordering == "ordered":
            # One batch at a time: the next one proves what this one leaves.
            return ([] if self.in_flight else heapq.nsmallest(LIVE_IN_FLIGHT_MAX, ready)), []
        young_s = now_s - LIVE_S
        live = [s for s in ready if self._noted_s.get(s, 0.0) >= young_s]
        backlog = [s for s in ready if self._noted_s.get(s, 0.0) < young_s]
        live_room = LIVE_IN_FLIGHT_MAX - len(self.in_flight) + len(self._backlog_in_flight)
        backlog_room = BACKLOG_IN_FLIGHT_MAX - len(self._backlog_in_flight)
        return (
            heapq.nsmallest(max(0, live_room), live),
            heapq.nsmallest(max(0, backlog_room), backlog),
        )

    # What is owed.

    async def take_snapshot(
        self, source_tip: Tip, destination_tip: Tip, sequences: Sequence[int]
    ) -> DirectionSnapshot:
        """What both chains say of the packets of these sequences."""
        unreceived, end, next_sequence = await asyncio.gather(
            self.destination.endpoint.query(
                "/ibc.core.channel.v1.Query/UnreceivedPackets",
                channel_query.QueryUnreceivedPacketsRequest(
                    port_id=self.destination.port,
                    channel_id=self.destination.channel,
                    packet_commitment_sequences=sequences,
                ),
                channel_query.QueryUnreceivedPacketsResponse,
            ),
            self._destination_end(),
            self._next_sequence_receive(),
        )
        not_received = frozenset(unreceived.sequences)
        packets, acknowledgements = self._contents(
            sequences, not_received, source_tip.height - 1, destination_tip.height - 1
        )
        return DirectionSnapshot(
            source=source_tip,
            destination=destination_tip,
            commitments=frozenset(sequences),
            packets=packets,
            unreceived=not_received,
            acknowledgements=acknowledgements,
            in_flight=frozenset(self.in_flight),
            is_ordered=self.path.ordering == "ordered",
            next_sequence_receive=next_sequence,
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

    def _contents(
        self,
        sequences: Sequence[int],
        not_received: frozenset[int],
        source_height: int,
        destination_height: int,
    ) -> tuple[dict[int, channel_pb2.Packet], dict[int, bytes]]:
        """Packets and acknowledgements from the journal; a search is started for the others.

        What a block above the given heights wrote is left out: no header proves it yet.
        """
        packets: dict[int, channel_pb2.Packet] = {}
        acknowledgements: dict[int, bytes] = {}
        missing: tuple[list[int], list[int]] = [], []
        source, destination = self.source, self.destination
        for sequence in sequences:
            sent = self.journal.get_packet(source.chain_id, source.port, source.channel, sequence)
            if sent is None:
                missing[0].append(sequence)
            elif sent[0] <= source_height:
                packets[sequence] = sent[1]
            if sequence in not_received:
                continue
            written = self.journal.get_acknowledgement(
                destination.chain_id, destination.port, destination.channel, sequence
            )
            if written is None:
                missing[1].append(sequence)
            elif written[0] <= destination_height:
                acknowledgements[sequence] = written[1]
        self.lookup.want(missing[0][:LOOKUPS_MAX], missing[1][:LOOKUPS_MAX])
        return packets, acknowledgements

    async def relay(self, source_tip: Tip, destination_tip: Tip) -> None:
        """Start what this direction owes, in batches of their own.

        Batches run beside later rounds, so that a packet never waits for another's block; what they
        carry is in flight until they end.
        """
        labels = self._labels
        self._telemetry.backlog_size.labels(*labels).set(len(self.outstanding))
        self._telemetry.backlog_oldest_sequence.labels(*labels).set(
            min(self.outstanding, default=0)
        )
        if time.monotonic() < self._paused_until_s:
            return
        live, backlog = self._lanes()
        if not live and not backlog:
            return
        snapshot = await self.take_snapshot(source_tip, destination_tip, live + backlog)
        limits = RelayLimits(self.path.data_bytes_max)
        plan = plan_direction(snapshot, limits, len(live) + len(backlog))
        self._report_skipped(plan, snapshot, frozenset(backlog))
        for lane, is_urgent in ((frozenset(live), True), (frozenset(backlog), False)):
            if not self.destination.submitter.is_paused:
                self._start_receives(plan, lane, source_tip, is_urgent=is_urgent)
            if not self.source.submitter.is_paused:
                self._start_finals(plan, lane, destination_tip, is_urgent=is_urgent)

    def _start_receives(
        self, plan: DirectionPlan, lane: frozenset[int], tip: Tip, *, is_urgent: bool
    ) -> None:
        """Start the batches of one lane that go to the destination."""
        size = self.destination.endpoint.section.max_msg_num - 1
        received = [p for p in plan.receive if p.sequence in lane and self._is_turn(p)]
        for batch in _split(received, size):
            self._start(
                batch, self._relay_receive(batch, tip, is_urgent=is_urgent), is_urgent=is_urgent
            )

    def _start_finals(
        self, plan: DirectionPlan, lane: frozenset[int], tip: Tip, *, is_urgent: bool
    ) -> None:
        """Start the batches of one lane that go back to the source."""
        size = self.source.endpoint.section.max_msg_num - 1
        acknowledged = [
            (p, ack)
            for p, ack in plan.acknowledge
            if p.sequence in lane and self._is_turn(p, "finish")
        ]
        for start in range(0, len(acknowledged), size):
            part = acknowledged[start : start + size]
            work = self._relay_acks(part, tip, is_urgent=is_urgent)
            self._start([packet for packet, _ in part], work, is_urgent=is_urgent)
        closed = frozenset(packet.sequence for packet in plan.timeout_on_close)
        expired = [
            p
            for p in (*plan.timeout, *plan.timeout_on_close)
            if p.sequence in lane and self._is_turn(p, "finish")
        ]
        for batch in _split(expired, size):
            work = self._relay_timeouts(batch, closed, tip, is_urgent=is_urgent)
            self._start(batch, work, is_urgent=is_urgent)

    def _is_turn(self, packet: channel_pb2.Packet, kind: str = "receive") -> bool:
        """Whether to relay a packet now; after a lost race it is left to others for some blocks."""
        now_s = time.monotonic()
        if now_s > self._patience_until_s:
            self._patience_s = 0.0
        since_s = self._owed_since_s.setdefault((kind, packet.sequence), now_s)
        return now_s >= since_s + self._patience_s

    def look_again(self) -> None:
        """Let packets that only wait be looked at in the next round, not after their pause."""
        self._retry_s = {s: at_s for s, at_s in self._retry_s.items() if s in self._failures}

    async def drain(self) -> None:
        """Wait for the batches that are under way."""
        await asyncio.gather(*self._batches, return_exceptions=True)

    def _report_skipped(
        self, plan: DirectionPlan, snapshot: DirectionSnapshot, backlog: frozenset[int]
    ) -> None:
        """Log and count, once each, the packets that a limit keeps back; others only wait."""
        again_s = time.monotonic() + BACKLOG_PAUSE_S
        for sequence, reason in plan.skipped:
            packet = snapshot.packets.get(sequence)
            is_large = packet is not None and len(packet.data) > self.path.data_bytes_max
            if is_large and sequence not in self._filtered:
                self._filtered.add(sequence)
                log.warning("filtered", path=self.path.name, sequence=sequence, why=reason)
                self._telemetry.filtered_packets.labels(*self._labels).inc()
            elif not is_large:
                log.debug("waiting", path=self.path.name, sequence=sequence, why=reason)
            if is_large or sequence in backlog:
                # Others of the backlog take its place until then.
                self._retry_s[sequence] = again_s

    # Batches.

    def _start(
        self,
        packets: Sequence[channel_pb2.Packet],
        batch: Coroutine[None, None, None],
        *,
        is_urgent: bool,
    ) -> None:
        sequences = {packet.sequence for packet in packets}
        self.in_flight |= sequences
        if not is_urgent:
            self._backlog_in_flight |= sequences
        task = asyncio.create_task(self._run_batch(sequences, batch))
        self._batches.add(task)
        task.add_done_callback(self._batches.discard)

    async def _run_batch(self, sequences: set[int], batch: Coroutine[None, None, None]) -> None:
        try:
            await batch
        except (FundsMissing, BudgetSpent) as failure:
            log.debug("not_paid", path=self.path.name, why=str(failure))
        except ClientUnusable as failure:
            self._paused_until_s = time.monotonic() + UNUSABLE_PAUSE_S
            log.critical("client_unusable", path=self.path.name, why=str(failure))
        except SubmissionFailed as failure:
            self._postpone(sequences, str(failure))
        except (ChainError, TimeoutError) as failure:
            self.needs_clearing = True
            log.warning("relay_failed", path=self.path.name, why=str(failure))
            # What failed now would fail again at once: let the chains move on first.
            await asyncio.sleep(RETRY_PAUSE_S)
        except Exception:
            self._telemetry.task_failures.labels(f"path {self.path.name}").inc()
            log.exception("batch_failed", path=self.path.name)
            self._postpone(sequences, "unexpected exception")
        finally:
            self.in_flight -= sequences
            self._backlog_in_flight -= sequences
            self._on_change()

    def _postpone(self, sequences: Iterable[int], reason: str) -> None:
        """Try packets again later, each time twice as late; commitments say if they are settled."""
        self.needs_clearing = True
        now_s = time.monotonic()
        for sequence in sequences:
            count = self._failures[sequence] = self._failures.get(sequence, 0) + 1
            pause_s = min(2 ** min(count - 1, 10), POSTPONED_S_MAX)
            self._retry_s[sequence] = now_s + pause_s
            self._telemetry.postponed_packets.labels(*self._labels).inc()
        log.warning(
            "postponed", path=self.path.name, sequences=sorted(sequences), why=reason[:1_000]
        )

    async def _relay_receive(
        self, packets: Sequence[channel_pb2.Packet], tip: Tip, *, is_urgent: bool
    ) -> None:
        """Bring packets from the source to the destination."""
        prover, updates = await self.to_destination.prepare(tip)
        signer = self.destination.submitter.address
        proven = await gather_proven(
            [(packet, prover.receive(packet, signer)) for packet in packets]
        )
        done = await self._send(self.destination, updates, proven, is_urgent=is_urgent)
        self._telemetry.receive_packets_confirmed.labels(*self._labels).inc(len(done))

    async def _relay_acks(
        self, acknowledged: Sequence[tuple[channel_pb2.Packet, bytes]], tip: Tip, *, is_urgent: bool
    ) -> None:
        """Bring acknowledgements from the destination back to the source."""
        prover, updates = await self.to_source.prepare(tip)
        signer = self.source.submitter.address
        proven = await gather_proven(
            [(packet, prover.acknowledge(packet, ack, signer)) for packet, ack in acknowledged]
        )
        done = await self._send(self.source, updates, proven, is_urgent=is_urgent)
        self.settle(done)
        self._telemetry.acknowledgment_packets_confirmed.labels(*self._labels).inc(len(done))

    async def _relay_timeouts(
        self,
        packets: Sequence[channel_pb2.Packet],
        closed: frozenset[int],
        tip: Tip,
        *,
        is_urgent: bool,
    ) -> None:
        """Bring proofs that packets were never received back to the source."""
        prover, updates = await self.to_source.prepare(tip)
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
        done = await self._send(self.source, updates, proven, is_urgent=is_urgent)
        self.settle(done)
        self._telemetry.timeout_packets_confirmed.labels(*self._labels).inc(len(done))

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
        *,
        is_urgent: bool,
    ) -> set[int]:
        """Submit messages; the sequences that are in blocks. The others are tried again later."""
        if not proven:
            return set()
        confirmed = await side.submitter.submit(
            [*updates, *(message for _, message in proven)], is_urgent=is_urgent
        )
        in_blocks = {id(message) for part in confirmed for message in part.messages}
        done = {packet.sequence for packet, message in proven if id(message) in in_blocks}
        left_out = {packet.sequence for packet, _ in proven} - done
        if left_out:
            self._postpone(left_out, "left out of a batch")
        redundant = sum(part.redundant for part in confirmed)
        self._judge_race(len(done), redundant, side)
        log.info(
            "relayed",
            path=self.path.name,
            to=side.chain_id,
            kinds=sorted({type(message).__name__ for _, message in proven}),
            sequences=sorted(done),
            redundant=redundant,
        )
        return done

    def _judge_race(self, count: int, redundant: int, side: Side) -> None:
        """Give way to a relayer that was faster; take over from one that delivers no more."""
        if 2 * redundant >= count > 0:
            blocks = random.SystemRandom().uniform(*PATIENCE_BLOCKS)
            self._patience_s = blocks * side.endpoint.block_interval_s
            self._patience_until_s = time.monotonic() + PATIENCE_S_MAX
            log.info("others_relay", path=self.path.name, patience_s=round(self._patience_s, 1))
        elif redundant == 0:
            self._patience_s = 0.0


def _split(packets: Sequence[channel_pb2.Packet], size: int) -> list[list[channel_pb2.Packet]]:
    return [list(packets[start : start + size]) for start in range(0, len(packets), size)]


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
