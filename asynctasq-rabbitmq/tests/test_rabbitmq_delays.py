"""Delays at the broker: never early, and no message waits for one in front of it."""

import asyncio
import random
import time
from collections.abc import Callable

import pytest

from asynctasq.message import Delivery
from asynctasq.settlement import ErrorInfo, Release, Retry
from asynctasq_rabbitmq import RabbitMQDriver, names
from tests.drivers.opening import opened
from tests.drivers.receiving import completed, letter

MakeDriver = Callable[..., RabbitMQDriver]
FRONT = 1000.0


@pytest.mark.parametrize(
    ("queue_type", "count", "longest"),
    [
        ("classic", 40, 1.5),
        pytest.param("classic", 300, 4.0, marks=pytest.mark.full),
        pytest.param("quorum", 300, 4.0, marks=pytest.mark.full),
    ],
)
async def test_of_random_delays_none_is_early_and_none_waits_for_a_longer_one(
    make_driver: MakeDriver, queue_type: str, count: int, longest: float
) -> None:
    choose = random.Random(14)
    async with opened(make_driver(queue_type=queue_type)) as driver:
        await driver.enqueue([letter(delay=FRONT)])
        sent = [letter(delay=choose.uniform(0.05, longest)) for _ in range(count)]
        began = time.time()
        await driver.enqueue(sent)
        seen: dict[bytes, float] = {}
        async with asyncio.timeout(60):
            while len(seen) < len(sent):
                runs = await driver.reserve({"mail": 400}, limit=400, owner="w", lease=30.0)
                now = time.time()
                seen.update({run.message.id: now for run in runs})
                await completed(driver, runs)
                if not runs:
                    await driver.wait(["mail"], timeout=1.0)
    early = [each for each in sent if seen[each.id] < began + each.delay]
    assert early == []
    assert {each.id for each in sent} == set(seen)


async def test_a_message_beyond_the_longest_level_is_delayed_again(
    make_driver: MakeDriver,
) -> None:
    exchange, key = names.delay_route("classic", 100 * names.LONGEST, "shop.q.mail")
    assert exchange == names.level("classic", names.LEVELS - 1)
    assert key == "1." * names.LEVELS + "shop~q~mail"


@pytest.mark.parametrize(
    "seconds, digits", [(0.25, "1"), (0.74, "10"), (1.0, "100"), (60, "11110000")]
)
def test_a_delay_is_written_in_binary_digits(seconds: float, digits: str) -> None:
    exchange, key = names.delay_route("classic", seconds, "a.q.b")
    assert exchange.endswith(f".{len(digits) - 1}")
    assert key.replace(".", "").lstrip("0") == f"{digits}a~q~b"


async def test_retries_and_releases_keep_their_counts_and_times(make_driver: MakeDriver) -> None:
    error = ErrorInfo("shop.Closed", "closed", "")
    async with opened(make_driver()) as driver:
        await driver.enqueue([letter(), letter()])
        first, second = await driver.reserve({"mail": 2}, limit=2, owner="w", lease=30.0)
        at = time.time()
        await driver.settle(
            [Retry(first.lease, 0.6, error), Release(second.lease, 0.6, mismatched=True)]
        )
        seen: list[Delivery] = []
        while len(seen) < 2:
            await driver.wait(["mail"], timeout=2.0)
            seen += await driver.reserve({"mail": 2}, limit=2, owner="w", lease=30.0)
        assert time.time() >= at + 0.6
        counts = {run.message.id: (run.attempt, run.lost, run.resumed) for run in seen}
        assert counts == {
            first.message.id: (1, 0, True),
            second.message.id: (0, 0, True),
        }
        [mismatched] = [run for run in seen if run.message.id == second.message.id]
        assert mismatched.mismatched_for >= 0.6
        await completed(driver, seen)


async def test_a_delay_is_refused_if_delays_are_off(make_driver: MakeDriver) -> None:
    driver = make_driver(delays="off")
    assert driver.longest_delay == 0.0
    async with opened(driver):
        with pytest.raises(Exception, match="delays must be 'levels'"):
            await driver.enqueue([letter(delay=60.0)])
