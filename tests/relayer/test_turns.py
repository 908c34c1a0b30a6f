"""Turns at a lock: urgent waiters first, and none lost when one is cancelled."""

import asyncio

from relayer.turns import PriorityLock


def test_urgent_waiters_go_first_each_kind_in_order():
    async def play():
        lock, order = PriorityLock(), []

        async def take(name, *, is_urgent):
            async with lock.turn(is_urgent=is_urgent):
                order.append(name)

        async with lock.turn(is_urgent=False):
            waiters = [
                asyncio.create_task(take(name, is_urgent=name.startswith("u")))
                for name in ("p1", "u1", "p2", "u2")
            ]
            await asyncio.sleep(0)
            assert order == []
        await asyncio.gather(*waiters)
        return order

    assert asyncio.run(play()) == ["u1", "u2", "p1", "p2"]


def test_a_cancelled_waiter_hands_its_turn_on():
    async def play():
        lock, order = PriorityLock(), []

        async def take(name):
            async with lock.turn(is_urgent=True):
                order.append(name)

        async with lock.turn(is_urgent=True):
            first, second = asyncio.create_task(take("first")), asyncio.create_task(take("second"))
            await asyncio.sleep(0)
            first.cancel()
        await asyncio.wait_for(second, 1)
        async with lock.turn(is_urgent=False):
            order.append("free")
        return order

    assert asyncio.run(play()) == ["second", "free"]
