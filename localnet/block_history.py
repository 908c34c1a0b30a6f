"""Events of a chain's blocks over a range of heights, with block times."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chain.client.comet_json import parse_time_ns
from localnet.clients import Chain

_PARALLEL = 8
_HEADERS_PER_CALL = 20


@dataclass(frozen=True, slots=True)
class BlockEvent:
    """One event: where, when (block time, ns) and what."""

    chain_id: str
    height: int
    time_ns: int
    kind: str
    values: Mapping[str, str]


class BlockHistory:
    """The named events of a chain from one height to another, and the times of all its blocks."""

    def __init__(
        self, chain_id: str, times_ns: Mapping[int, int], events: Sequence[BlockEvent]
    ) -> None:
        self.chain_id = chain_id
        self.times_ns = dict(times_ns)
        self.events = tuple(events)

    @classmethod
    async def read(
        cls, chain: Chain, first: int, last: int, kinds: frozenset[str]
    ) -> "BlockHistory":
        """Read the blocks of a range, both ends included."""
        limit = asyncio.Semaphore(_PARALLEL)
        times = await _read_times(chain, first, last)
        events: dict[int, list[BlockEvent]] = {}

        async def read_block(height: int) -> None:
            async with limit:
                events[height] = [
                    BlockEvent(chain.chain_id, height, times[height], kind, values)
                    for kind, values in await chain.block_events(height)
                    if kind in kinds
                ]

        await asyncio.gather(*(read_block(height) for height in range(first, last + 1)))
        ordered = [event for height in sorted(events) for event in events[height]]
        return cls(chain.chain_id, times, ordered)

    def find(self, kind: str, **values: str) -> list[BlockEvent]:
        """The events of a kind with these attribute values, oldest first."""
        return [
            event
            for event in self.events
            if event.kind == kind
            and all(event.values.get(key) == value for key, value in values.items())
        ]

    def count_blocks(self, start_ns: int, end_ns: int) -> int:
        """How many blocks came after one moment and not after another."""
        return sum(1 for time_ns in self.times_ns.values() if start_ns < time_ns <= end_ns)


async def _read_times(chain: Chain, first: int, last: int) -> dict[int, int]:
    """Block times of a range, as many headers a call as CometBFT gives."""
    times: dict[int, int] = {}
    for low in range(first, last + 1, _HEADERS_PER_CALL):
        high = min(last, low + _HEADERS_PER_CALL - 1)
        page = await chain.ask_rpc("blockchain", minHeight=str(low), maxHeight=str(high))
        for meta in page["block_metas"]:
            times[int(meta["header"]["height"])] = parse_time_ns(meta["header"]["time"])
    return times
