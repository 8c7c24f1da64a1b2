"""What the log says of an outage of the store."""

import pytest

from asynctasq import task
from asynctasq.errors import DriverUnavailable
from asynctasq.worker.outage import Outage, StoreRetries
from asynctasq.worker.timing import OutageTiming
from tests.worker.faulty_driver import Line
from tests.worker.stage import Stage, eventually

pytestmark = pytest.mark.sampled(2)


async def test_an_outage_gives_one_line_at_its_start_and_one_at_its_end(
    faulty: Stage, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="asynctasq")

    def count(text: str) -> int:
        return sum(text in message for message in caplog.messages)

    async with faulty.worker(heartbeat_interval=0.05):
        for method in ("reserve", "wait", "extend", "requests", "record_worker"):
            line.fail(method, 1000)
        await line.failed("extend", 3)
        await line.failed("reserve", 2)
        assert count("Could not reach the store") == 1
        line.restore()

        async def over() -> bool:
            return count("Reached the store again") == 1

        await eventually(over)
    assert count("Could not reach the store") == 1


def test_a_long_outage_is_reported_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="asynctasq")
    retries = StoreRetries("fetch messages", Outage())
    for _ in range(3):
        retries.note(DriverUnavailable("away"))
    assert len(caplog.messages) == 1
    retries = StoreRetries("fetch messages", Outage(OutageTiming(reminder=0.0)))
    for _ in range(2):
        retries.note(DriverUnavailable("away"))
    assert "for 0 s; retrying" in caplog.messages[-1]
    retries.reached()
    assert "Reached the store again" in caplog.messages[-1]


@task
async def nothing() -> None: ...


async def test_dispatches_that_are_repeated_give_one_line_together(
    faulty: Stage, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="asynctasq")
    await nothing().dispatch()
    line.fail("enqueue", 3)
    await nothing().dispatch()
    assert line.failures["enqueue"] == 3
    told = [message for message in caplog.messages if "to dispatch" in message]
    assert [message.partition(" to dispatch")[0] for message in told] == [
        "Could not reach the store",
        "Reached the store again",
    ]
