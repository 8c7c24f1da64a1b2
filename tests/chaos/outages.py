"""Two outages of a store, the second while the pause after the first is on."""

from typing import Any

from asynctasq.message import Message, new_id
from asynctasq.settlement import LeaseState

LEASE = 30.0


async def check_two_outages_end_no_lease(driver: Any) -> None:
    """Check that a worker keeps its lease if it renews between two outages."""
    await driver.open()
    try:
        await driver.enqueue([Message(new_id(), "q", "t", b"x", max_lost=0)])
        [got] = await driver.reserve({"q": 1}, limit=1, owner="w", lease=LEASE)

        async def is_held() -> bool:
            await driver.reserve({"nothing": 1}, limit=1, owner="other", lease=LEASE)
            [state] = await driver.extend("w", [got.lease], lease=LEASE)
            return bool(state is LeaseState.HELD)

        assert await is_held()
        for seconds in (200.0, 6.0, 200.0, -200.0, 6.0, 200.0):
            driver.clock_offset += seconds
            assert await is_held(), f"the clock moved by {seconds} s"
    finally:
        await driver.close()
