"""Looking packets up in a node's index, beside the rounds, so that live packets never wait."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from chain.client.comet import BlockResults, CometClient
from chain.client.errors import RpcError
from chain.errors import ChainError
from relayer.events import parse_block_results
from relayer.journal import Journal
from relayer.side import Side

FORGET_S: Final = 60
"""What was not found is searched again after so long."""

log = structlog.get_logger("relayer.lookup")


class Lookup:
    """Finds packets and acknowledgements that no event brought, and puts them into the journal.

    A block that holds one holds others: all of its packets are taken.
    """

    def __init__(
        self, source: Side, destination: Side, journal: Journal, on_found: Callable[[], None]
    ) -> None:
        self.source = source
        self.destination = destination
        self.journal = journal
        self._on_found = on_found
        self._missed_s: dict[tuple[str, int], float] = {}
        self._task: asyncio.Task[None] | None = None

    def want(self, packets: Iterable[int], acknowledgements: Iterable[int]) -> None:
        """Start looking for these sequences, unless a search is under way already."""
        if self._task is not None and not self._task.done():
            return
        packets, acknowledgements = list(packets), list(acknowledgements)
        if packets or acknowledgements:
            self._task = asyncio.create_task(self.find(packets, acknowledgements))

    async def wait(self) -> None:
        """Wait for the search that is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def find(self, packets: Iterable[int], acknowledgements: Iterable[int]) -> None:
        """Look for these sequences; a node that keeps no index is reported, not raised."""
        try:
            found = [await self._find_packet(sequence) for sequence in packets]
            found += [await self._find_acknowledgement(sequence) for sequence in acknowledgements]
        except (ChainError, TimeoutError) as error:
            log.warning("lookup_failed", chain=self.source.chain_id, why=str(error))
            return
        if any(found):
            self._on_found()

    async def _find_packet(self, sequence: int) -> bool:
        side = self.source
        if self.journal.get_packet(side.chain_id, side.port, side.channel, sequence):
            return False  # An earlier block of this search held it.
        return await self._take_block(
            side,
            f"send_packet.packet_src_channel='{side.channel}' AND "
            f"send_packet.packet_src_port='{side.port}' AND "
            f"send_packet.packet_sequence='{sequence}'",
            sequence,
        )

    async def _find_acknowledgement(self, sequence: int) -> bool:
        side = self.destination
        if self.journal.get_acknowledgement(side.chain_id, side.port, side.channel, sequence):
            return False
        return await self._take_block(
            side,
            f"write_acknowledgement.packet_dst_channel='{side.channel}' AND "
            f"write_acknowledgement.packet_dst_port='{side.port}' AND "
            f"write_acknowledgement.packet_sequence='{sequence}'",
            sequence,
        )

    async def _take_block(self, side: Side, query: str, sequence: int) -> bool:
        """Put the packets of the block that matches into the journal; whether there is one."""
        missed = (side.chain_id, sequence)
        if self._missed_s.get(missed, 0.0) > time.monotonic() - FORGET_S:
            return False
        heights = await search_heights(side, query)
        for height in heights:
            results = parse_block_results(await fetch_results(side, height))
            self.journal.record_found(side.chain_id, height, results.sent, results.acknowledged)
        if not heights:
            self._missed_s[missed] = time.monotonic()
        return bool(heights)


async def search_heights(side: Side, query: str) -> list[int]:
    """Heights whose transactions, else whose block hooks, emitted matching events."""
    try:
        page = await side.endpoint.ask("tx_search", lambda client: client.tx_search(query))
        if page.txs:
            return sorted({tx.height for tx in page.txs if not tx.result.code})
        blocks, _ = await side.endpoint.ask(
            "block_search", lambda client: client.block_search(query)
        )
    except RpcError as error:
        log.warning("index_unavailable", chain=side.chain_id, why=str(error))
        return []
    return [block.block.header.height for block in blocks]


async def fetch_results(side: Side, height: int) -> BlockResults:
    """Results of the block at a height."""

    async def call(client: CometClient) -> BlockResults:
        return await client.block_results(height)

    return await side.endpoint.ask("block_results", call)
