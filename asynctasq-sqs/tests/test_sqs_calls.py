"""Calls to SQS per task, and of an idle worker."""

import asyncio
from collections.abc import Callable

import pytest

from asynctasq.message import Message, new_id
from asynctasq.settlement import Complete
from asynctasq_sqs import SQSDriver
from tests.servers.sqs_proxy import sqs_proxy

MakeDriver = Callable[..., SQSDriver]


def messages(count: int) -> list[Message]:
    return [Message(new_id(), "default", "shop.ship", b"body") for _ in range(count)]


@pytest.mark.full
async def test_calls_of_a_thousand_tasks(url: str, make_driver: MakeDriver) -> None:
    async with sqs_proxy(url) as proxy:
        first = make_driver()
        await first.open()
        await first.enqueue(messages(1))
        [delivery] = await first.reserve({"default": 1}, limit=1, owner="w", lease=60.0)
        await first.settle([Complete(delivery.lease)])
        await first.close()

        driver = make_driver(endpoint_url=proxy.url)
        await driver.open()
        await driver.enqueue(messages(1000))
        assert proxy.calls.total() == 101, proxy.calls
        done = 0
        while done < 1000:
            deliveries = await driver.reserve({"default": 100}, limit=100, owner="w", lease=60.0)
            await driver.settle([Complete(each.lease) for each in deliveries])
            done += len(deliveries)
        assert proxy.calls.total() <= 320, proxy.calls
        await driver.close()


@pytest.mark.full
async def test_an_idle_worker_makes_one_long_poll_after_another(
    url: str, make_driver: MakeDriver
) -> None:
    """With polls of 1 s, 3 s are as many receives as a minute is with polls of 20 s."""
    async with sqs_proxy(url) as proxy:
        driver = make_driver(endpoint_url=proxy.url)
        await driver.open()
        await driver.enqueue(messages(1))
        [delivery] = await driver.reserve({"default": 10}, limit=10, owner="w", lease=60.0)
        await driver.settle([Complete(delivery.lease)])
        await driver.wait(["default"], timeout=1.5)
        before, end = proxy.calls["ReceiveMessage"], asyncio.get_running_loop().time() + 3.0
        while (left := end - asyncio.get_running_loop().time()) > 0:
            await driver.wait(["default"], timeout=min(left, 0.3))
            assert not await driver.reserve({"default": 10}, limit=10, owner="w", lease=60.0)
        assert proxy.calls["ReceiveMessage"] - before <= 4  # the last one is under way
        await driver.close()


async def test_a_message_in_a_cancelled_wait_is_delivered(
    url: str, make_driver: MakeDriver
) -> None:
    driver, other = make_driver(), make_driver()
    await driver.open()
    await other.open()
    await driver.enqueue([])
    waiting = asyncio.create_task(driver.wait(["default"], timeout=60.0))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await other.enqueue(messages(1))
    await driver.wait(["default"], timeout=10.0)
    [delivery] = await driver.reserve({"default": 10}, limit=10, owner="w", lease=60.0)
    assert (delivery.attempt, delivery.lost, delivery.resumed) == (0, 0, False)
    await driver.close()
    await other.close()


async def test_close_gives_back_what_a_long_poll_brings(url: str, make_driver: MakeDriver) -> None:
    driver, other = make_driver(), make_driver()
    await driver.open()
    await other.open()
    await other.enqueue(messages(1))
    await driver.wait(["default"], timeout=10.0)
    await driver.close()
    [delivery] = await other.reserve({"default": 10}, limit=10, owner="w", lease=60.0)
    assert (delivery.attempt, delivery.lost, delivery.resumed) == (0, 0, False)
    await other.close()


@pytest.mark.full
async def test_memory_does_not_grow(url: str, make_driver: MakeDriver) -> None:
    import tracemalloc

    driver = make_driver()
    await driver.open()

    async def work(rounds: int) -> None:
        for _ in range(rounds):
            await driver.enqueue(messages(100))
            done = 0
            while done < 100:
                deliveries = await driver.reserve(
                    {"default": 100}, limit=100, owner="w", lease=60.0
                )
                await driver.settle([Complete(each.lease) for each in deliveries])
                done += len(deliveries)

    await work(5)
    tracemalloc.start()
    await work(1)
    before, _ = tracemalloc.get_traced_memory()
    await work(25)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 500_000
    await driver.close()
