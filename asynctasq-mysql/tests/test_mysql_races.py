"""Calls that run at once: no dead-lock reaches core, no copy is made, and no wait is cut short."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from asynctasq.contracts.capabilities.transactions import Row, Statement
from asynctasq.contracts.driver import Enqueued
from asynctasq.driverkit.sql import run_plan
from asynctasq.message import Delivery, Message, OnConflict, State, Unique, UniqueUntil, new_id
from asynctasq.settlement import (
    Complete,
    ErrorInfo,
    Fail,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
)
from asynctasq_mysql import MySQLDriver
from tests.drivers.opening import message, opened
from tests.servers.databases import mysql_connection

MakeDriver = Callable[..., MySQLDriver]

WORKERS = 16
MESSAGES = 1_600
ERROR = ErrorInfo("E", "message", "")


async def test_sixteen_workers_see_no_dead_lock_and_settle_each_message_once(
    make_driver: MakeDriver,
) -> None:
    done: Counter[bytes] = Counter()

    async def work(number: int) -> None:
        async with opened(make_driver()) as driver:
            while sum(done.values()) < MESSAGES:
                deliveries = await driver.reserve(
                    {"q": 20}, limit=20, owner=f"w{number}", lease=60.0
                )
                await driver.cancel([new_id()])
                await driver.extend(f"w{number}", [each.lease for each in deliveries], lease=60.0)
                settlements: list[Settlement] = [
                    Complete(each.lease, b"r")
                    if each.attempt or number % 3
                    else Retry(each.lease, 0.0, ERROR)
                    for each in deliveries
                ]
                answers = await driver.settle(settlements)
                assert answers == [Settled.DONE] * len(deliveries)
                done.update(each.lease.id for each in settlements if isinstance(each, Complete))

    async with opened(make_driver()) as driver:
        await driver.enqueue([message() for _ in range(MESSAGES)])
        await asyncio.gather(*map(work, range(WORKERS)))
        counts = await driver.count("q")
    assert (counts.ready, counts.scheduled, counts.leased) == (0, 0, 0)
    assert len(done) == MESSAGES
    assert set(done.values()) == {1}


async def test_keys_and_ids_in_any_order_do_not_lock_each_other_out(
    make_driver: MakeDriver,
) -> None:
    keys = [f"key {number}" for number in range(10)]
    rules = list(OnConflict)

    async def enqueue(driver: MySQLDriver, number: int) -> list[Enqueued]:
        turned = keys[number % 10 :] + keys[: number % 10]
        unique = [Unique(key, UniqueUntil.SETTLED, rules[number % 3]) for key in turned]
        return await driver.enqueue([message(delay=50.0, unique=each) for each in unique])

    async with opened(make_driver()) as driver, opened(make_driver()) as other:
        for number in range(0, 24, 8):
            await asyncio.gather(
                *(
                    enqueue(driver if each % 2 else other, each)
                    for each in range(number, number + 8)
                ),
                driver.purge("q", states=[]),
            )
        counts = await driver.count("q")
    assert counts.scheduled == len(keys)


async def test_an_id_is_known_while_it_is_completed(make_driver: MakeDriver) -> None:
    async with opened(make_driver()) as driver, opened(make_driver()) as other:
        for _ in range(20):
            known = message()
            await driver.enqueue([known])
            [delivery] = await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
            answers = await asyncio.gather(
                driver.settle([Complete(delivery.lease)]),
                *(other.enqueue([known]) for _ in range(8)),
            )
            assert answers[0] == [Settled.DONE]
            assert answers[1:] == [[Enqueued(known.id, False)]] * 8
        assert (await driver.count("q")).ready == 0


async def test_a_transaction_sees_a_queue_that_is_younger_than_its_snapshot(
    url: str, make_driver: MakeDriver
) -> None:
    async with opened(make_driver()) as driver, opened(make_driver()) as other:
        with mysql_connection(url) as connection, connection.cursor() as cursor:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")

            def execute(statement: Statement) -> Sequence[Row]:
                cursor.execute("".join(statement.parts))
                return cursor.fetchall() if cursor.description else ()

            await other.enqueue([message()])
            [answer] = run_plan(driver.plan_enqueue([message()]), execute)
            connection.commit()
        counts = await driver.count("q")
    assert answer.created
    assert counts.ready == 2


async def test_one_of_many_enqueues_of_an_id_creates_it(make_driver: MakeDriver) -> None:
    async with opened(make_driver()) as driver, opened(make_driver()) as other:
        for _ in range(10):
            chunk = [message() for _ in range(5)]
            answers = await asyncio.gather(
                *(each.enqueue(chunk) for each in (driver, other) * 4),
                *(each.enqueue(chunk[::-1]) for each in (driver, other) * 4),
            )
            created = [each.id for answer in answers for each in answer if each.created]
            assert sorted(created) == sorted(each.id for each in chunk)


async def test_a_wait_that_is_cancelled_breaks_no_connection(make_driver: MakeDriver) -> None:
    async with opened(make_driver(max_connections=1)) as driver:
        for _ in range(20):
            waiting = asyncio.create_task(driver.wait(["q"], timeout=60.0))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert (await driver.count("q")).ready == 0
        await driver.enqueue([message()])
        await asyncio.wait_for(driver.wait(["q"], timeout=60.0), 30.0)


async def test_every_call_works_with_a_single_connection(make_driver: MakeDriver) -> None:
    async with opened(make_driver(max_connections=1)) as driver:
        late = Message(new_id(), "q", "t", b"", expires=0.001)
        await driver.enqueue([late, message(), message(unique=Unique("k"))])
        driver.clock_offset += 1.0
        deliveries = await driver.reserve({"q": 9}, limit=9, owner="w", lease=60.0)
        assert len(deliveries) == 2
        settlements: list[Settlement] = [
            Fail(deliveries[0].lease, Reason.FAILED, ERROR),
            Release(deliveries[1].lease),
        ]
        assert await driver.settle(settlements) == [Settled.DONE] * 2
        assert await driver.requeue([deliveries[0].lease.id]) == [True]
        assert [each.state.value for each in driver.news()] == ["dead"]


async def test_an_id_that_was_dropped_for_its_key_may_come_again_in_its_chunk(
    make_driver: MakeDriver,
) -> None:
    holder, twice = message(unique=Unique("k")), new_id()
    dropped = Message(twice, "q", "first", b"", unique=Unique("k"))
    admitted = Message(twice, "q", "second", b"", unique=Unique("other"))
    async with opened(make_driver()) as driver:
        answers = await driver.enqueue([holder, dropped, admitted])
        assert answers == [
            Enqueued(holder.id, True),
            Enqueued(holder.id, False),
            Enqueued(twice, True),
        ]
        deliveries = await driver.reserve({"q": 9}, limit=9, owner="w", lease=60.0)
        assert [each.message for each in deliveries] == [holder, admitted]


async def test_a_message_that_another_of_its_chunk_postpones_stays_as_it_is(
    make_driver: MakeDriver,
) -> None:
    first = message(delay=100.0, unique=Unique("k"))
    later = message(delay=500.0, unique=Unique("k", on_conflict=OnConflict.EXTEND))
    async with opened(make_driver()) as driver:
        answers = await driver.enqueue([first, later])
        assert answers == [Enqueued(first.id, True), Enqueued(first.id, False)]
        driver.clock_offset += 200.0
        assert await driver.reserve({"q": 9}, limit=9, owner="w", lease=900.0) == []
        driver.clock_offset += 400.0
        [delivery] = await driver.reserve({"q": 9}, limit=9, owner="w", lease=900.0)
        assert delivery.message == first


async def test_a_dead_letter_that_was_requeued_without_its_key_does_not_hold_it(
    make_driver: MakeDriver,
) -> None:
    dead = message(unique=Unique("k"))
    async with opened(make_driver()) as driver:
        await driver.enqueue([dead])
        [delivery] = await driver.reserve({"q": 9}, limit=9, owner="w", lease=60.0)
        await driver.settle([Fail(delivery.lease, Reason.FAILED, ERROR)])
        assert await driver.requeue_edited(Message(dead.id, "q", "t", b""))
        [answer] = await driver.enqueue([message(unique=Unique("k"))])
        assert answer.created


async def test_who_reclaims_a_lease_gets_its_message_before_other_workers(
    make_driver: MakeDriver,
) -> None:
    rounds = 20

    async with AsyncExitStack() as stack:
        rivals = [await stack.enter_async_context(opened(make_driver())) for _ in range(4)]
        found: list[tuple[Delivery, MySQLDriver]] = []

        async def compete(driver: MySQLDriver, owner: str, number: int) -> None:
            while len(found) <= number:
                deliveries = await driver.reserve({"q": 9}, limit=9, owner=owner, lease=60.0)
                found.extend((each, driver) for each in deliveries)

        for number in range(rounds):
            await rivals[0].enqueue([message()])
            await rivals[0].reserve({"q": 1}, limit=1, owner="first", lease=0.05)
            await asyncio.gather(
                *(compete(driver, f"{each}", number) for each, driver in enumerate(rivals))
            )
            delivery, driver = found[-1]
            assert [(each.id, each.state) for each in driver.news()] == [
                (delivery.message.id, State.READY)
            ]
            assert await driver.settle([Complete(delivery.lease)]) == [Settled.DONE]
    assert len(found) == rounds


async def test_a_reserve_reclaims_leases_whatever_its_neighbors_reclaim(
    make_driver: MakeDriver, namespace: str
) -> None:
    over = asyncio.Event()

    async def reclaim(driver: MySQLDriver) -> int:
        """Let leases end, and return how many the next reserve gets."""
        await driver.reserve({"q": 9}, limit=9, owner=f"{new_id()!r}", lease=5.0)
        driver.clock_offset += 10.0
        deliveries = await driver.reserve({"q": 9}, limit=9, owner="w", lease=900.0)
        await driver.settle([Release(each.lease) for each in deliveries])
        return len(deliveries)

    async def neighbor(driver: MySQLDriver) -> None:
        """Reclaim leases again and again, with no lease that goes on: no row of its own is behind its scan."""
        await driver.enqueue([message(max_lost=1 << 30) for _ in range(5)])
        while not over.is_set():
            driver.clock_offset += 10.0
            await driver.reserve({"q": 9}, limit=9, owner=f"{new_id()!r}", lease=5.0)

    async with AsyncExitStack() as stack:
        names = [f"{namespace}-{number}" for number in range(3)]
        drivers = [await stack.enter_async_context(opened(make_driver(namespace=n))) for n in names]
        driver = await stack.enter_async_context(opened(make_driver()))  # its rows follow theirs
        neighbors = [asyncio.create_task(neighbor(each)) for each in drivers]
        await driver.enqueue([message(max_lost=1 << 30)])
        found = [await reclaim(driver) for _ in range(40)]
        over.set()
        await asyncio.gather(*neighbors)
    assert found == [1] * 40
