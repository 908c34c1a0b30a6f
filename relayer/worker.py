"""The worker of a path: rounds over both directions, the refreshing and watching of its clients."""

import asyncio
from typing import Final

import structlog

from chain.client.errors import NodeUnavailable
from chain.errors import ChainError
from relayer.clients import ClientUnusable, build_updates, fetch_client
from relayer.config import PathSection
from relayer.isolation import run_isolated
from relayer.journal import Journal
from relayer.misbehaviour import Accepted, Watch
from relayer.packets import Direction
from relayer.plan import is_client_refresh_due
from relayer.side import Side

REFRESH_PAUSE_S: Final = 2
UNUSABLE_PAUSE_S: Final = 30
"""A frozen or expired client is looked at, and complained of, this often."""

log = structlog.get_logger("relayer.worker")


class PathWorker:
    """Both directions of one path, and the care of its two clients."""

    def __init__(self, path: PathSection, a: Side, b: Side, journal: Journal) -> None:
        self.path = path
        self.a = a
        self.b = b
        self.wake = asyncio.Event()
        self.directions = (
            Direction(path, a, b, journal, self.wake.set),
            Direction(path, b, a, journal, self.wake.set),
        )
        self.watches = (Watch(a, b), Watch(b, a))
        self._cleared_height = 0

    def note_client_update(self, chain_id: str, client_id: str, accepted: Accepted) -> None:
        """An event says that a client on a chain got a height."""
        for watch in self.watches:
            if (watch.host.chain_id, watch.host.client) == (chain_id, client_id):
                watch.note_update(accepted)

    async def run(self) -> None:
        """Relay until cancelled; the rounds and the care of each client do not stop each other."""
        telemetry = self.a.endpoint.telemetry
        name = self.path.name
        async with asyncio.TaskGroup() as group:
            group.create_task(run_isolated(f"rounds {name}", self._run_rounds, telemetry))
            for side, reference in ((self.a, self.b), (self.b, self.a)):

                async def refresh(side: Side = side, reference: Side = reference) -> None:
                    await self._keep_fresh(side, reference)

                group.create_task(run_isolated(f"refresh {side.client}", refresh, telemetry))
            for watch in self.watches:
                group.create_task(run_isolated(f"watch {watch.host.client}", watch.run, telemetry))

    async def _run_rounds(self) -> None:
        """One round after the other; a chain that does not answer is asked again, others go on."""
        pause_s = (
            min(self.a.endpoint.section.poll_interval_ms, self.b.endpoint.section.poll_interval_ms)
            / 1000
        )
        failures = 0
        while True:
            self.wake.clear()
            try:
                await self.relay_once()
                failures = 0
            except (NodeUnavailable, TimeoutError) as error:
                failures += 1
                log.warning("chain_unavailable", path=self.path.name, why=str(error))
            except ChainError as error:
                failures += 1
                log.warning("round_failed", path=self.path.name, why=str(error))
            try:
                # Back off while something is wrong, never beyond a few seconds.
                async with asyncio.timeout(pause_s * min(2**failures, 16)):
                    if failures:
                        await asyncio.sleep(pause_s)
                    await self.wake.wait()
            except TimeoutError:
                continue

    async def relay_once(self) -> None:
        """One round: relay both directions, and begin to clear when it is due."""
        tip_a, tip_b = await asyncio.gather(self.a.endpoint.latest(), self.b.endpoint.latest())
        interval = self.path.clear_interval_blocks
        if interval and tip_a.height >= self._cleared_height + interval:
            self._cleared_height = tip_a.height
            for direction in self.directions:
                direction.needs_clearing = True
        for direction in self.directions:
            direction.start_clearing()
        outcomes = await asyncio.gather(
            self.directions[0].relay(tip_a, tip_b),
            self.directions[1].relay(tip_b, tip_a),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _keep_fresh(self, host_side: Side, reference: Side) -> None:
        """Refresh one client when it is due, until cancelled."""
        while True:
            pause_s = REFRESH_PAUSE_S
            try:
                await self.refresh(host_side, reference)
            except ClientUnusable as error:
                log.critical("client_unusable", path=self.path.name, why=str(error))
                pause_s = UNUSABLE_PAUSE_S
            except (ChainError, TimeoutError) as error:
                log.warning("refresh_failed", client=host_side.client, why=str(error))
                pause_s = REFRESH_PAUSE_S
            await asyncio.sleep(pause_s)

    async def refresh(self, host_side: Side, reference: Side) -> None:
        """Update the client on one side when its heartbeat or a third of its life has passed."""
        view, host_tip = await asyncio.gather(
            fetch_client(host_side.endpoint, host_side.client), host_side.endpoint.latest()
        )
        now_ns = max(host_tip.time_ns, view.consensus_time_ns)
        labels = (host_side.chain_id, host_side.client, reference.chain_id)
        telemetry = host_side.endpoint.telemetry
        period_ns = view.trusting_period_ns
        left_ns = 0 if view.is_frozen else view.consensus_time_ns + period_ns - now_ns
        telemetry.client_trusting_period_seconds.labels(*labels).set(period_ns // 1_000_000_000)
        telemetry.client_expiration_seconds.labels(*labels).set(left_ns // 1_000_000_000)
        view.validate_usable(now_ns)
        heartbeat_ns = self.path.heartbeat_s * 1_000_000_000
        if not is_client_refresh_due(view.consensus_time_ns, now_ns, period_ns, heartbeat_ns):
            return
        if host_side.submitter.is_paused:
            return
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
