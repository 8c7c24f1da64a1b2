"""Connections that are cut and frozen, and consumers that the broker ends: no message is lost, no worker goes deaf."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import aio_pika
import pytest

from asynctasq.conformance import TcpProxy
from asynctasq.errors import DriverUnavailable
from asynctasq.settlement import Complete, ErrorInfo, LeaseState, Retry, Settled, Settlement
from asynctasq_rabbitmq import RabbitMQDriver, names
from tests.drivers.opening import opened
from tests.drivers.receiving import completed, delivered, enqueued, ids, letter, received

MakeDriver = Callable[..., RabbitMQDriver]
MakeProxy = Callable[[str], TcpProxy]
ERROR = ErrorInfo("shop.Closed", "closed", "")


@pytest.fixture
def proxy(url: str, asynctasq_proxy: MakeProxy) -> TcpProxy:
    """Return a proxy before the broker."""
    return asynctasq_proxy(url)


@pytest.fixture
def behind(proxy: TcpProxy, namespace: str) -> RabbitMQDriver:
    """Return a driver whose connections pass the proxy."""
    return RabbitMQDriver(
        proxy.url, namespace=namespace, queue_type="classic", heartbeat=1, timeout=3.0
    )


@pytest.mark.parametrize("way", ["cut", "reset"])
async def test_a_worker_receives_again_after_its_connections_ended(
    behind: RabbitMQDriver, proxy: TcpProxy, way: str
) -> None:
    async with opened(behind) as driver:
        first = letter()
        await driver.enqueue([first])
        [run] = await received(driver, 1)
        getattr(proxy, way)()
        [again] = await received(driver, 1)
        assert (again.message.id, again.lost) == (first.id, 1)
        assert await driver.extend("worker", [run.lease, again.lease], lease=30.0) == [
            LeaseState.LOST,
            LeaseState.HELD,
        ]
        assert await completed(driver, [run]) == [Settled.LOST]
        assert await completed(driver, [again]) == [Settled.DONE]
        waiting = asyncio.create_task(driver.wait(["mail"], timeout=30.0))
        getattr(proxy, way)()
        second = letter()
        await enqueued(driver, [second])
        with suppress(DriverUnavailable):
            await waiting  # ends with the connection, or receives over the next one
        [last] = await received(driver, 1)
        assert last.message.id == second.id
        await completed(driver, [last])


async def test_an_acknowledgement_that_the_broker_may_not_have_read_is_unknown(
    behind: RabbitMQDriver, proxy: TcpProxy
) -> None:
    async with opened(behind) as driver:
        await driver.enqueue([letter(), letter()])
        first, second = await received(driver, 2)
        proxy.freeze()
        settling = asyncio.create_task(
            driver.settle([Complete(first.lease), Retry(second.lease, 0.0, ERROR)])
        )
        await asyncio.sleep(0)  # the call has begun
        proxy.reset()
        with pytest.raises(DriverUnavailable):
            await settling
        proxy.thaw()
        again = await received(driver, 2)
        assert delivered(again) == sorted([first.message.id, second.message.id])
        ends: list[Settlement] = [Complete(first.lease), Retry(second.lease, 0.0, ERROR)]
        assert await driver.settle(ends) == [Settled.LOST] * 2
        await completed(driver, again)


@pytest.mark.full
async def test_a_frozen_connection_is_given_up_and_its_messages_go_to_others(
    behind: RabbitMQDriver, proxy: TcpProxy, make_driver: MakeDriver
) -> None:
    async with opened(behind) as frozen, opened(make_driver()) as other:
        await other.enqueue([letter()])
        await received(frozen, 1)
        proxy.freeze()
        [again] = await received(other, 1)  # the broker misses two heartbeats
        assert again.lost == 1
        with pytest.raises(DriverUnavailable):
            await frozen.enqueue([letter()])
        proxy.thaw()
        await completed(other, [again])


async def test_a_refused_connection_is_unavailable_and_comes_back(
    behind: RabbitMQDriver, proxy: TcpProxy
) -> None:
    async with opened(behind) as driver:
        proxy.refuse()
        for _ in range(2):
            with pytest.raises(DriverUnavailable):
                await driver.enqueue([letter()])
            with pytest.raises(DriverUnavailable):
                await driver.reserve({"mail": 1}, limit=1, owner="w", lease=30.0)
        proxy.accept()
        await driver.enqueue([letter()])
        await completed(driver, await received(driver, 1))


async def test_a_consumer_that_the_broker_ends_is_declared_again(
    make_driver: MakeDriver, url: str, namespace: str
) -> None:
    async with opened(make_driver()) as driver, await aio_pika.connect(url) as other:
        await driver.enqueue([letter()])
        await completed(driver, await received(driver, 1))
        channel = await other.channel()
        waiting = asyncio.create_task(driver.wait(["mail"], timeout=30.0))
        await channel.queue_delete(names.work_queue(namespace, "mail"))
        await waiting
        sent = letter()
        await driver.enqueue([sent])  # to a queue that it believes to exist
        [run] = await received(driver, 1)
        assert run.message.id == sent.id
        await completed(driver, [run])


async def test_while_connections_end_all_the_time_no_message_is_lost(
    behind: RabbitMQDriver, proxy: TcpProxy, make_driver: MakeDriver
) -> None:
    choose = random.Random(7)
    sent = [letter(max_lost=1000) for _ in range(200)]
    done: set[bytes] = set()
    retried: set[bytes] = set()

    async def disturb() -> None:
        while True:
            await asyncio.sleep(choose.uniform(0.05, 0.3))
            choose.choice([proxy.cut, proxy.reset])()

    async def work(driver: RabbitMQDriver, owner: str) -> None:
        while len(done) < len(sent):
            try:
                runs = await driver.reserve({"mail": 20}, limit=20, owner=owner, lease=30.0)
                for run in runs:
                    if run.message.id not in retried and choose.random() < 0.3:
                        [answer] = await driver.settle([Retry(run.lease, 0.0, ERROR)])
                        if answer is Settled.DONE:
                            retried.add(run.message.id)
                    else:
                        done.add(run.message.id)  # its effects; the answer below may be lost
                        await completed(driver, [run])
                if not runs:
                    await driver.wait(["mail"], timeout=0.2)
            except DriverUnavailable:
                await asyncio.sleep(0.02)

    async with opened(behind) as first, opened(make_driver()) as second:
        disturbing = asyncio.create_task(disturb())
        try:
            async with asyncio.timeout(90):
                await asyncio.gather(
                    enqueued(first, sent), work(first, "first"), work(second, "second")
                )
        finally:
            disturbing.cancel()
            await asyncio.wait([disturbing])
        assert sorted(done) == ids(sent)


async def test_a_message_that_lost_its_queue_while_it_was_delayed_is_kept(
    make_driver: MakeDriver, url: str, namespace: str
) -> None:
    async with opened(make_driver()) as driver, await aio_pika.connect(url) as other:
        sent = letter("gone", delay=0.5)
        await driver.enqueue([sent])
        channel = await other.channel()
        await channel.queue_delete(names.work_queue(namespace, "gone"))
        kept = await channel.get_queue(names.UNDELIVERED)
        async with asyncio.timeout(30):
            while True:  # the queue is that of the broker, and may have messages of other tests
                found = await kept.get(fail=False)
                if found is None:
                    await asyncio.sleep(0.05)
                elif (found.message_id or "").replace("-", "") == sent.id.hex():
                    break
        await found.ack()


async def test_each_message_is_delivered_once_to_several_consumers(make_driver: MakeDriver) -> None:
    async with opened(make_driver()) as first, opened(make_driver(heartbeat=10)) as second:
        sent = [letter() for _ in range(200)]
        await first.enqueue(sent)
        runs = [*await received(first, 50), *await received(second, 50)]
        while len(runs) < len(sent):
            for driver in (first, second):
                runs += await driver.reserve({"mail": 50}, limit=50, owner="w", lease=30.0)
        assert delivered(runs) == ids(sent)
