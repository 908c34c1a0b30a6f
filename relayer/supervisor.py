"""The supervisor: a scanner for each chain and a worker for each path, stopped cleanly.

One chain that is down holds up its own paths only. What a killed relayer left undone is derived
from chain state when it starts again.
"""

import asyncio
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from chain._pb.cosmos.bank.v1beta1 import query_pb2 as bank_query
from chain.client.comet import CometClient
from chain.client.wallet import Keyring, Wallet
from chain.errors import ChainError
from relayer.config import ChainSection, Config, ConfigError, record_link
from relayer.endpoint import Endpoint
from relayer.events import parse_block_results
from relayer.journal import Journal
from relayer.link import Linker, Report, sides_of
from relayer.packets import PathWorker
from relayer.submit import Submitter
from relayer.telemetry import Telemetry

SCAN_BLOCKS_MAX: Final = 2_000
"""After a long absence older blocks are left to clearing."""
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
            try:
                await self.scan()
            except (ChainError, TimeoutError) as error:
                log.warning("scan_failed", chain=self.endpoint.chain_id, why=str(error))
                await asyncio.sleep(pause_s)
            self.wake.clear()
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
        elif cursor > tip.height:
            log.warning("chain_restarted", chain=chain_id, cursor=cursor, height=tip.height)
            cursor = 0
        cursor = max(cursor, tip.height - SCAN_BLOCKS_MAX)
        sides = [
            (direction, direction.source if direction.source.chain_id == chain_id else None)
            for worker in self.workers
            for direction in worker.directions
        ]
        for height in range(cursor + 1, tip.height + 1):
            results = await self.endpoint.ask(
                "block_results", partial(CometClient.block_results, height=height)
            )
            packets = parse_block_results(results)
            self.journal.record_block(chain_id, height, packets.sent, packets.acknowledged)
            for direction, source in sides:
                for packet in packets.sent if source else ():
                    direction.note_sent(packet)
                for packet, _ in () if source else packets.acknowledged:
                    direction.note_acknowledged(packet)
        if tip.height > cursor:
            for worker in self.workers:
                worker.wake.set()

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
            except (ChainError, TimeoutError, StopAsyncIteration) as error:
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
                scanner = Scanner(endpoint, journal, concerned)
                group.create_task(scanner.run(), name=f"scan {chain_id}")
                group.create_task(self._watch_balance(chain_id), name=f"balance {chain_id}")
                if endpoint.section.use_websocket:
                    group.create_task(scanner.listen(), name=f"listen {chain_id}")
            for worker in workers:
                group.create_task(worker.run(), name=f"path {worker.path.name}")
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
