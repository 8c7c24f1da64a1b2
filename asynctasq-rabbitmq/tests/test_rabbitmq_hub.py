"""The hub: a thread that keeps leases while the event loop of a worker is blocked."""

import asyncio
import os
import threading
import time
from collections.abc import Callable

import pytest

from asynctasq.errors import DriverError
from asynctasq.message import Delivery, Lease
from asynctasq.settlement import (
    Complete,
    ErrorInfo,
    Fail,
    LeaseState,
    Reason,
    Release,
    Retry,
    Settled,
)
from asynctasq_rabbitmq import RabbitMQDriver
from tests.drivers.opening import opened
from tests.drivers.receiving import completed, delivered, ids, letter, received

MakeDriver = Callable[..., RabbitMQDriver]


async def test_a_blocked_event_loop_loses_no_lease(make_driver: MakeDriver) -> None:
    async with (
        opened(make_driver(heartbeat=1)) as worker,
        opened(make_driver(heartbeat=2)) as other,
    ):
        await worker.enqueue([letter()])
        [run] = await received(worker, 1)
        time.sleep(2.5)  # noqa: ASYNC251 - blocks the loop for more than two heartbeats, as a task may
        assert await other.reserve({"mail": 1}, limit=1, owner="other", lease=30.0) == []
        states = await worker.extend("worker", [run.lease], lease=30.0)
        assert states == [LeaseState.HELD]
        assert await completed(worker, [run]) == [Settled.DONE]


async def test_drivers_of_a_process_share_a_thread_that_ends_with_the_last(
    make_driver: MakeDriver,
) -> None:
    def hubs() -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each.name.startswith("asynctasq-rabbit")]

    driver = make_driver()
    async with opened(driver), opened(driver.clone()):
        assert len(hubs()) == 1
    assert hubs() == []


async def test_a_delivery_is_settled_through_a_clone_in_another_thread(
    make_driver: MakeDriver,
) -> None:
    async with opened(make_driver()) as driver:
        await driver.enqueue([letter()])
        [run] = await received(driver, 1)

        async def settle(delivery: Delivery) -> list[Settled]:
            async with opened(driver.clone()) as clone:
                return await clone.settle([Complete(delivery.lease)])

        assert await asyncio.to_thread(asyncio.run, settle(run)) == [Settled.DONE]
        assert await completed(driver, [run]) == [Settled.LOST]


async def test_messages_that_no_worker_takes_go_to_another_process(
    make_driver: MakeDriver,
) -> None:
    # Other settings make another hub, as another process has.
    async with opened(make_driver(heartbeat=10)) as idle, opened(make_driver()) as busy:
        await idle.reserve({"mail": 10}, limit=10, owner="idle", lease=30.0)
        sent = [letter() for _ in range(10)]
        await busy.enqueue(sent)  # all delivered to the idle process, which asks for none
        runs = await received(busy, 10)
        assert delivered(runs) == ids(sent)
        assert {run.lost for run in runs} == {0}
        await completed(busy, runs)


async def test_a_worker_that_dies_is_counted(make_driver: MakeDriver) -> None:
    for queue_type in ("classic", "quorum"):
        queue = f"mail-{queue_type}"
        first = make_driver(queue_type=queue_type, heartbeat=10)
        async with opened(make_driver(queue_type=queue_type)) as second:
            async with opened(first):
                await first.enqueue([letter(queue, max_lost=1)])
                await received(first, 1, queue=queue)
            [again] = await received(second, 1, queue=queue)
            assert (again.lost, again.attempt, again.resumed) == (1, 0, True)
        async with opened(first):
            await first.wait([queue], timeout=0.5)
            assert await first.reserve({queue: 1}, limit=1, owner="w", lease=30.0) == []
            counts = await first.count(queue)
            assert (counts.ready, counts.dead) == (0, 1)


async def test_a_lease_that_nobody_extends_ends_without_a_call(make_driver: MakeDriver) -> None:
    async with opened(make_driver(heartbeat=10)) as stuck, opened(make_driver()) as other:
        await stuck.enqueue([letter()])
        await received(stuck, 1, lease=0.5)
        [again] = await received(other, 1)
        assert again.lost == 1
        await completed(other, [again])


async def test_a_token_of_another_process_settles_nothing(make_driver: MakeDriver) -> None:
    async with opened(make_driver()) as driver:
        sent = letter()
        await driver.enqueue([sent])
        [run] = await received(driver, 1)
        assert await driver.settle([Complete(Lease(sent.id, "1"))]) == [Settled.LOST]
        assert await driver.extend("x", [run.lease], lease=30.0) == [LeaseState.LOST]
        await completed(driver, [run])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_a_forked_child_must_open_a_clone(make_driver: MakeDriver) -> None:
    async with opened(make_driver()) as driver:
        await driver.enqueue([letter()])
        child = os.fork()
        if not child:
            os._exit(_use_in_child(driver))
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        runs = await received(driver, 2)
        await completed(driver, runs)


def _use_in_child(driver: RabbitMQDriver) -> int:
    """Return 0 if the driver is refused in a forked child, and a clone works there."""

    async def use() -> int:
        try:
            await driver.enqueue([letter()])
        except DriverError as error:
            if "clone" not in str(error):
                return 2
        else:
            return 3
        async with opened(driver.clone()) as clone:
            await clone.enqueue([letter()])
        return 0

    try:
        return asyncio.new_event_loop().run_until_complete(use())
    except BaseException:  # noqa: BLE001 - the exit code tells the parent
        return 4


async def test_a_chunk_with_a_message_that_is_too_large_is_refused_whole(
    make_driver: MakeDriver,
) -> None:
    async with opened(make_driver(max_message_bytes=20_000)) as driver:
        small, large = letter(), letter(body=bytes(20_000))
        with pytest.raises(DriverError, match="at most 20000 bytes"):
            await driver.enqueue([small, large])
        await driver.enqueue([small])
        assert delivered(await received(driver, 1)) == [small.id]


async def test_a_message_of_the_largest_size_can_be_released_retried_and_buried(
    make_driver: MakeDriver,
) -> None:
    error = ErrorInfo("shop.OutOfStock", "\u20ac" * 3000, "\U0001f600" * 6000)
    async with opened(make_driver(max_message_bytes=20_000)) as driver:
        size = await _enqueued_largest(driver, 20_000)
        assert size > 17_000
        [run] = await received(driver, 1)
        assert await driver.settle([Release(run.lease)]) == [Settled.DONE]
        [run] = await received(driver, 1)
        assert await driver.settle([Retry(run.lease, 0.0, error)]) == [Settled.DONE]
        [run] = await received(driver, 1)
        assert (run.attempt, len(run.message.body)) == (1, size)
        fail = Fail(run.lease, Reason.FAILED, error)
        assert await driver.settle([fail]) == [Settled.DONE]
        assert (await driver.count("mail")).dead == 1


async def _enqueued_largest(driver: RabbitMQDriver, size: int) -> int:
    """Enqueue a message of the largest size that is accepted, and return the size of its body."""
    while True:
        try:
            await driver.enqueue([letter(body=bytes(size))])
        except DriverError:
            size -= 1
        else:
            return size
