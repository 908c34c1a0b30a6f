"""Turns at a resource that serves one at a time: urgent work first, each in order of arrival."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class PriorityLock:
    """A lock whose urgent waiters go before all others; waiters of one kind keep their order."""

    def __init__(self) -> None:
        self._is_taken = False
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._patient: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self, *, is_urgent: bool) -> AsyncIterator[None]:
        """Hold the lock for the length of a block."""
        await self._acquire(self._urgent if is_urgent else self._patient)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, queue: "deque[asyncio.Future[None]]") -> None:
        if not self._is_taken:
            self._is_taken = True
            return
        waiter = asyncio.get_running_loop().create_future()
        queue.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._release()  # The turn came together with the cancellation: hand it on.
            raise

    def _release(self) -> None:
        for queue in (self._urgent, self._patient):
            while queue:
                waiter = queue.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    return
        self._is_taken = False
