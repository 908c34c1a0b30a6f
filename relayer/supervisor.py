"""The supervisor: a scanner for each chain and a worker for each path, stopped cleanly.

One chain that is down holds up its own paths only. What a killed relayer left undone is derived
from chain state when it starts again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from chain._pb.cosmos.bank.v1beta1 import query_pb2 as bank_query
from chain.client.comet import BlockResults, CometClient
from chain.client.errors import NotFound, RpcError
from chain.client.wallet import Keyring, Wallet
from chain.errors import ChainError
from relayer.config import ChainSection, Config, ConfigError, record_link
from relayer.endpoint import HEIGHT_LAG_MAX, Endpoint
from relayer.events import parse_block_results, parse_client_updates
from relayer.isolation import run_isolated
from relayer.journal import Journal
from relayer.link import Linker, Report, sides_of
from relayer.misbehaviour import Accepted
from relayer.submit import Submitter
from relayer.telemetry import Telemetry
from relayer.worker import PathWorker

SCAN_BLOCKS_MAX: Final = 2_000
"""After a long absence older blocks are left to clearing."""
SCAN_BLOCKS_AT_ONCE: Final = 8
EXECUTION_PAUSE_S: Final = 0.05
BALANCE_INTERVAL_S: Final = 30
RECONNECT_PAUSE_S: Final = 2
SILENCE_S_MAX: Final = 30
"""A websocket that says nothing for so long is connected anew."""

log = structlog.get_logger("relayer.supervisor")


def open_wallet(keyring: Keyring, section: ChainSection) -> Wallet:
    """The key that pays on a chain, its address in the chain's own prefix."""
    wallet = keyring.open(section.key_name)
    return Wallet.from_private_key(wallet.private_key, section.account_prefix)


class Scanner:
    """Reads every block of one chain in order into the journal and wakes its workers."""

    def __init__(self, endpoint: Endpoint, journal: Journal, workers: list[PathWorker]) -> None:
        self.endpoint = endpoint
        self.journal = journal
        self.workers = workers
        self.wake = asyncio.Event()

    async def run(self) -> None:
        """Scan until cancelled; polling is the source of truth, the websocket only wakes it."""
        pause_s = self.endpoint.section.poll_interval_ms / 1000
        while True:
            self.wake.clear()
            try:
                await self.scan()
            except RpcError as error:
                log.warning("scan_failed", chain=self.endpoint.chain_id, why=str(error))
                await self._skip_pruned()
            except (ChainError, TimeoutError) as error:
                log.warning("scan_failed", chain=self.endpoint.chain_id, why=str(error))
                await asyncio.sleep(pause_s)
            try:
                async with asyncio.timeout(pause_s):
                    await self.wake.wait()
            except TimeoutError:
                continue

    async def scan(self) -> None:
        """Record every block since the cursor."""
        chain_id = self.endpoint.chain_id
        tip = await self.endpoint.latest()
        cursor = self.journal.get_cursor(chain_id)
        if cursor == 0:
            # Older packets are found by clearing; their contents by the node's index.
            cursor = max(0, tip.height - 1)
        elif cursor > tip.height + HEIGHT_LAG_MAX:
            log.warning("chain_restarted", chain=chain_id, cursor=cursor, height=tip.height)
            cursor = max(0, tip.height - 1)
        cursor = max(cursor, tip.height - SCAN_BLOCKS_MAX)
        for start in range(cursor + 1, tip.height + 1, SCAN_BLOCKS_AT_ONCE):
            heights = range(start, min(start + SCAN_BLOCKS_AT_ONCE, tip.height + 1))
            found = await asyncio.gather(
                *(self._fetch(height) for height in heights), return_exceptions=True
            )
            for height, results in zip(heights, found, strict=True):
                if isinstance(results, NotFound) and height == tip.height:
                    # The block is stored and still being executed.
                    await asyncio.sleep(EXECUTION_PAUSE_S)
                    self.wake.set()
                    break
                if isinstance(results, BaseException):
                    raise results
                self._record(height, results)
            for worker in self.workers:
                worker.wake.set()

    async def _fetch(self, height: int) -> BlockResults:
        return await self.endpoint.ask(
            "block_results", partial(CometClient.block_results, height=height)
        )

    def _record(self, height: int, results: BlockResults) -> None:
        """Keep what a block says of our channels and clients; others' packets are not ours."""
        chain_id = self.endpoint.chain_id
        packets = parse_block_results(results)
        sent, acknowledged = [], []
        directions = [direction for worker in self.workers for direction in worker.directions]
        noted = []
        for direction in directions:
            if direction.source.chain_id == chain_id:
                mine = [packet for packet in packets.sent if direction.is_sent_here(packet)]
                sent += mine
                noted += [partial(direction.note_sent, packet) for packet in mine]
            if direction.destination.chain_id == chain_id:
                written = [
                    item for item in packets.acknowledged if direction.is_received_here(item[0])
                ]
                acknowledged += written
                noted += [partial(direction.note_acknowledged, packet) for packet, _ in written]
        self.journal.record_block(chain_id, height, sent, acknowledged)
        for note in noted:
            note()
        for client_id, client_height in parse_client_updates(results):
            for worker in self.workers:
                worker.note_client_update(chain_id, client_id, Accepted(client_height, height))
        self.endpoint.telemetry.scanned_height.labels(chain_id).set(height)

    async def _skip_pruned(self) -> None:
        """Move the cursor past blocks that the node has pruned; clearing finds their packets."""
        chain_id = self.endpoint.chain_id
        try:
            status = await self.endpoint.ask("status", lambda client: client.status())
        except (ChainError, TimeoutError) as error:
            log.warning("scan_failed", chain=chain_id, why=str(error))
            return
        if self.journal.get_cursor(chain_id) + 1 < status.earliest_height:
            log.warning("blocks_pruned", chain=chain_id, to=status.earliest_height)
            self.journal.record_block(chain_id, status.earliest_height, [], [])
            for worker in self.workers:
                for direction in worker.directions:
                    direction.needs_clearing = True

    async def listen(self) -> None:
        """Wake the scanner at new blocks; a silent or broken websocket is connected anew."""
        chain_id = self.endpoint.chain_id
        while True:
            try:
                async with self.endpoint.client.subscribe("tm.event='NewBlockHeader'") as events:
                    while True:
                        async with asyncio.timeout(SILENCE_S_MAX):
                            await anext(events)
                        self.wake.set()
            except (ChainError, TimeoutError, StopAsyncIteration, OSError) as error:
                self.endpoint.telemetry.ws_reconnects.labels(chain_id).inc()
                log.info("websocket_lost", chain=chain_id, why=str(error))
                await asyncio.sleep(RECONNECT_PAUSE_S)


class Relayer:
    """All of one relayer process: its chains, keys, journal and metrics."""

    def __init__(self, config: Config, config_path: Path, keyring: Keyring) -> None:
        self.config = config
        self.config_path = config_path
        self.telemetry = Telemetry()
        self.endpoints = {
            section.id: Endpoint(section, self.telemetry) for section in config.chains
        }
        self.submitters = {
            section.id: Submitter(self.endpoints[section.id], open_wallet(keyring, section))
            for section in config.chains
        }

    async def aclose(self) -> None:
        """Close all connections."""
        for endpoint in self.endpoints.values():
            await endpoint.aclose()

    async def link(self, name: str, report: Report) -> dict[str, str]:
        """Create what a path lacks; each id is written into the configuration as it is made."""
        path = self.config.get_path(name)
        a, b = sides_of(path, self.endpoints, self.submitters)
        linker = Linker(path, a, b, report)

        def record(ids: dict[str, str]) -> None:
            record_link(self.config_path, name, ids)

        return await linker.link(record)

    def build_workers(self, journal: Journal, names: tuple[str, ...] = ()) -> list[PathWorker]:
        """A worker for each path named (all by default); raises ConfigError for an unlinked one."""
        workers = []
        for path in self.config.paths:
            if names and path.name not in names:
                continue
            if not path.is_linked:
                raise ConfigError(
                    f"path {path.name!r} is not linked; run `mrelay link --path {path.name}`"
                )
            a, b = sides_of(path, self.endpoints, self.submitters)
            workers.append(PathWorker(path, a, b, journal))
        return workers

    async def run(self, journal: Journal, workers: list[PathWorker]) -> None:
        """Relay the paths of the workers until cancelled."""
        if self.config.telemetry.enabled:
            self.telemetry.serve(self.config.telemetry.host, self.config.telemetry.port)
        async with asyncio.TaskGroup() as group:
            for chain_id, endpoint in self.endpoints.items():
                concerned = [w for w in workers if chain_id in (w.path.a_chain, w.path.b_chain)]
                if not concerned:
                    continue
                scanner = Scanner(endpoint, journal, concerned)
                works: dict[str, Callable[[], Awaitable[None]]] = {
                    f"scan {chain_id}": scanner.run,
                    f"balance {chain_id}": partial(self._watch_balance, chain_id),
                }
                if endpoint.section.use_websocket:
                    works[f"listen {chain_id}"] = scanner.listen
                for name, work in works.items():
                    group.create_task(run_isolated(name, work, self.telemetry), name=name)
            for worker in workers:
                name = f"path {worker.path.name}"
                group.create_task(run_isolated(name, worker.run, self.telemetry), name=name)
            self.telemetry.workers.labels("packet").set(len(workers))
            self.telemetry.workers.labels("scan").set(len(self.endpoints))
            log.info("relaying", paths=[worker.path.name for worker in workers])

    async def query_balance(self, chain_id: str) -> int:
        """What the relayer's key can still pay on a chain, in atomic units of the fee denom."""
        section = self.endpoints[chain_id].section
        answer = await self.endpoints[chain_id].query(
            "/cosmos.bank.v1beta1.Query/Balance",
            bank_query.QueryBalanceRequest(
                address=self.submitters[chain_id].address, denom=section.fee_denom
            ),
            bank_query.QueryBalanceResponse,
        )
        return int(answer.balance.amount or 0)

    async def _watch_balance(self, chain_id: str) -> None:
        section = self.endpoints[chain_id].section
        labels = (chain_id, self.submitters[chain_id].address, section.fee_denom)
        while True:
            try:
                balance = await self.query_balance(chain_id)
                self.telemetry.wallet_balance.labels(*labels).set(balance)
                if balance == 0:
                    log.error("balance_empty", chain=chain_id, address=labels[1], denom=labels[2])
            except (ChainError, TimeoutError) as error:
                log.warning("balance_unknown", chain=chain_id, why=str(error))
            await asyncio.sleep(BALANCE_INTERVAL_S)
