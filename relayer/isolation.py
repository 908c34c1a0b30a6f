"""Isolation of tasks: what one of them does not expect stops it for a moment, never the others."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from relayer.telemetry import Telemetry

PAUSE_S_MAX: Final = 30

log = structlog.get_logger("relayer.isolation")


async def run_isolated(
    name: str, work: Callable[[], Awaitable[None]], telemetry: Telemetry
) -> None:
    """Run a task that never ends; after an unexpected exception it is started again, slower."""
    pause_s = 1
    while True:
        try:
            await work()
        except Exception:
            # A bug met by one task must not take the process: it is logged whole and counted.
            telemetry.task_failures.labels(name).inc()
            log.exception("task_failed", task=name, again_in_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_S_MAX)
