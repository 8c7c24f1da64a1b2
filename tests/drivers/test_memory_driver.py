"""What is particular to the memory driver; the rest is the conformance suite's."""

import asyncio
import multiprocessing
import os
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from asynctasq.conformance.harness import MOMENT
from asynctasq.contracts.capabilities import NEWS_KEPT, SCANNED_AT_ONCE, check_capabilities
from asynctasq.drivers.memory import MemoryDriver, MemorySettings, plugin
from asynctasq.drivers.memory.entry import Entry
from asynctasq.drivers.memory.order import Group, PriorityQueue, Queue, TimerQueue
from asynctasq.errors import DriverError
from asynctasq.message import Message, State, Unique, UniqueUntil, new_id
from asynctasq.settlement import Complete, Fail, Reason, Release, Settled

LONG = 30.0
"""Seconds: more than any wait here takes, less than the test's own time limit."""


def message(queue: str = "q", **fields: Any) -> Message:
    return Message(new_id(), queue, "task", b"body", **fields)


@pytest.fixture
async def driver() -> AsyncIterator[MemoryDriver]:
    driver = MemoryDriver()
    await driver.open()
    yield driver
    await driver.close()


async def test_flags_and_methods_agree() -> None:
    check_capabilities(MemoryDriver(), MemoryDriver.capabilities)


def test_plugin_makes_a_driver_from_its_settings() -> None:
    assert plugin.settings_class("memory") is MemorySettings
    driver = plugin.create_driver("memory", MemorySettings(namespace="shop"))
    assert isinstance(driver, MemoryDriver)
    assert "shop" in driver.description


async def test_an_unopened_driver_says_so() -> None:
    with pytest.raises(DriverError, match="not open"):
        await MemoryDriver().enqueue([message()])


async def test_instances_share_nothing_but_clones_share_all(driver: MemoryDriver) -> None:
    other, clone = MemoryDriver(), driver.clone()
    await other.open()
    await clone.open()
    await driver.enqueue([message()])
    clone.clock_offset = 5.0
    assert driver.clock_offset == 5.0
    assert (await clone.count("q")).ready == 1
    assert (await other.count("q")).ready == 0


async def test_messages_outlive_a_close(driver: MemoryDriver) -> None:
    await driver.enqueue([message()])
    await driver.close()
    await driver.open()
    assert (await driver.count("q")).ready == 1


async def test_a_chunk_with_a_bad_message_changes_nothing(driver: MemoryDriver) -> None:
    good, bad = message(), message(delay="soon")
    with pytest.raises(DriverError, match="delay"):
        await driver.enqueue([good, bad])
    assert (await driver.count("q")).ready == 0
    assert await driver.find([good.id]) == [None]


# Cost: what is counted is comparisons of places in a queue, and visits of messages.


@pytest.mark.parametrize("backlog", [1_000, 100_000])
async def test_a_reserve_looks_at_no_more_than_it_takes(
    backlog: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = MemoryDriver()
    await driver.open()
    await driver.enqueue([message() for _ in range(backlog)])
    looked_at = _count_reads(monkeypatch, Entry, "due_at")
    deliveries = await driver.reserve({"q": 100}, limit=100, owner="o", lease=30.0)
    assert len(deliveries) == 100
    assert looked_at() <= 200  # once to take it, once to deliver it
    await driver.enqueue([message() for _ in range(10)])
    assert looked_at() <= 200 + 10 * 4
    await driver.close()


@pytest.mark.parametrize("backlog", [1_000, 50_000])
@pytest.mark.parametrize("chosen", [{}, {"task": "rare"}, {"task": "ra*"}, {"owner": "nobody"}])
async def test_a_page_looks_at_no_more_messages_than_one_call_may(
    backlog: int, chosen: dict[str, str], driver: MemoryDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for start in range(0, backlog, 1000):
        await driver.enqueue([message() for _ in range(start, start + 1000)])
    rare = Message(new_id(), "q", "rare", b"body")
    await driver.enqueue([rare])
    await driver.reserve({"q": backlog // 3}, limit=backlog // 3, owner="o", lease=LONG)
    looked_at = _count_reads(monkeypatch, Entry, "place")
    page = await driver.browse(State.READY, **chosen)  # type: ignore[arg-type]  # only texts
    assert looked_at() <= backlog // 3 + 2 * SCANNED_AT_ONCE  # leftovers are skipped once
    before = looked_at()
    await driver.browse(State.READY, cursor=page.cursor, **chosen)  # type: ignore[arg-type]  # only texts
    assert looked_at() - before <= 2 * SCANNED_AT_ONCE
    if "task" in chosen:
        assert [item.message for item in page.items] == [rare]
    assert len(page.items) <= 100


async def test_a_page_of_dead_letters_looks_at_no_more_than_one_call_may(
    driver: MemoryDriver,
) -> None:
    count = SCANNED_AT_ONCE + 500
    await driver.enqueue([message() for _ in range(count)])
    deliveries = await driver.reserve({"q": count}, limit=count, owner="o", lease=LONG)
    await driver.settle([Fail(d.lease, Reason.FAILED) for d in deliveries])
    page = await driver.dead_letters(task="other")
    assert page.items == []
    assert page.cursor is not None
    page = await driver.dead_letters(task="other", cursor=page.cursor)
    assert (page.items, page.cursor) == ([], None)


async def test_news_that_nobody_reads_are_bounded(driver: MemoryDriver) -> None:
    await driver.enqueue([message(expires=1.0) for _ in range(NEWS_KEPT + 5)])
    driver.clock_offset += 2.0
    await driver.reserve({"q": 1}, limit=1, owner="o", lease=LONG)
    news = driver.news()
    assert len(news) == NEWS_KEPT
    assert {each.reason for each in news} == {Reason.EXPIRED}
    assert driver.news() == []


def _count_reads(monkeypatch: pytest.MonkeyPatch, cls: type, name: str) -> Callable[[], int]:
    reads = 0
    default = getattr(cls, name)

    def read(entry: object) -> object:
        nonlocal reads
        reads += 1
        return vars(entry).get(name, default)

    def write(entry: object, value: object) -> None:
        vars(entry)[name] = value

    monkeypatch.setattr(cls, name, property(read, write))
    return lambda: reads


async def test_what_was_cancelled_or_settled_leaves_nothing_behind(driver: MemoryDriver) -> None:
    driver.clock_offset = 0.0
    for _ in range(30):
        chunk = [message(expires=1e6, delay=delay) for delay in (0.0, 1e6) for _ in range(50)]
        await driver.enqueue(chunk)
        await driver.cancel([m.id for m in chunk])
        chunk = [message(expires=1e6, unique=_period_key(n)) for n in range(50)]
        await driver.enqueue(chunk)
        deliveries = await driver.reserve({"q": 50}, limit=50, owner="o", lease=30.0)
        await driver.settle([Complete(d.lease, b"r", 0.0) for d in deliveries])
        driver.clock_offset += 7_200.0
    await driver.reserve({"q": 50}, limit=50, owner="o", lease=30.0)
    store = driver.inspect()
    assert not store.entries
    assert not store.outcomes.kept
    assert not store.keys.holds
    for timers in (store.scheduled, store.expiring, store.outcomes.ends, store.keys.ends):
        assert timers.slots <= 150
    listings = [store.dead, *(group.scheduled for group in store.groups)]
    assert sum(len(each.places) for each in (*listings, store.groups[0].ready)) <= 300
    assert store.queues["q"].lane_slots <= 150


def _period_key(number: int) -> Unique:
    return Unique(f"key-{number}", UniqueUntil.PERIOD, period=7_000.0)


async def test_outcomes_beyond_the_limit_are_forgotten_first_in_time() -> None:
    driver = MemoryDriver(outcome_limit=10)
    await driver.open()
    messages = [message() for _ in range(25)]
    await driver.enqueue(messages)
    deliveries = await driver.reserve({"q": 25}, limit=25, owner="o", lease=30.0)
    for delivery in deliveries:
        await driver.settle([Complete(delivery.lease, b"r")])
    await driver.reserve({"q": 25}, limit=25, owner="o", lease=30.0)
    outcomes = await driver.results([d.message.id for d in deliveries])
    assert [outcome is not None for outcome in outcomes] == [False] * 15 + [True] * 10


async def test_dead_letters_beyond_the_limit_or_their_time_are_dropped_oldest_first() -> None:
    driver = MemoryDriver(dead_letter_limit=10, dead_letter_ttl=100.0)
    await driver.open()
    await driver.enqueue([message() for _ in range(25)])
    deliveries = await driver.reserve({"q": 25}, limit=25, owner="o", lease=30.0)
    for delivery in deliveries:
        await driver.settle([Fail(delivery.lease, Reason.FAILED)])
    await driver.reserve({"q": 25}, limit=25, owner="o", lease=30.0)
    kept = (await driver.dead_letters()).items
    assert [letter.message.id for letter in kept] == [d.message.id for d in deliveries[:14:-1]]
    driver.clock_offset = 101.0
    await driver.reserve({"q": 25}, limit=25, owner="o", lease=30.0)
    assert (await driver.dead_letters()).items == []


def test_what_arrives_out_of_turn_finds_its_place() -> None:
    lane = PriorityQueue()
    entries = []
    for due_at in (5.0, 7.0, 1.0, 6.0, 9.0, 2.0):
        entry = Entry(message(), Group(0, Queue("q"), "task"), Queue("q"), 0.0)
        entry.due_at = due_at
        entry.state = State.READY
        entries.append(entry)
        lane.push(entry)
    entries[3].state = State.CANCELLED
    first = lane.first()
    assert first is not None
    assert first.due_at == 1.0
    taken = []
    while (next_entry := lane.take()) is not None:
        taken.append(next_entry.due_at)
    assert taken == [1.0, 2.0, 5.0, 7.0, 9.0]


def test_a_timer_queue_drops_leftovers() -> None:
    current = set(range(1_000))
    timers = TimerQueue[int](lambda _time, item: item in current)
    for item in range(1_000):
        timers.add(float(item), item)
    for item in range(0, 1_000, 4):
        current.discard(item)
        timers.dropped()
    assert timers.next_time() == 1.0
    for item in range(1, 1_000, 2):
        current.discard(item)
        timers.dropped()
    assert timers.slots < 500
    assert timers.take(1e9) == 2
    assert timers.take(5.0) is None


# Threads and event loops.


async def test_many_threads_deliver_each_message_once(driver: MemoryDriver) -> None:
    total, threads = 4_000, 4
    ids = [new_id() for _ in range(total)]

    def produce_and_consume(number: int) -> list[bytes]:
        return asyncio.run(run(number))

    async def run(number: int) -> list[bytes]:
        clone = driver.clone()
        await clone.open()
        mine = ids[number::threads]
        done: list[bytes] = []
        for start in range(0, len(mine), 50):
            chunk = mine[start : start + 50]
            await clone.enqueue([Message(i, "q", "task", b"") for i in chunk])
            deliveries = await clone.reserve(
                {"q": 40}, limit=40, owner=f"owner-{number}", lease=60.0
            )
            settled = await clone.settle(
                [
                    Release(d.lease) if n % 5 == 0 else Complete(d.lease)
                    for n, d in enumerate(deliveries)
                ]
            )
            assert set(settled) <= {Settled.DONE}
            done += [d.message.id for n, d in enumerate(deliveries) if n % 5]
        await clone.close()
        return done

    with ThreadPoolExecutor(threads) as pool:
        done = [i for part in pool.map(produce_and_consume, range(threads)) for i in part]
    counts = await driver.count("q")
    assert len(done) == len(set(done))
    assert (counts.ready, counts.leased) == (total - len(done), 0)


async def test_an_enqueue_wakes_a_waiter_on_another_loop(driver: MemoryDriver) -> None:
    waiting = threading.Event()

    async def wait_and_take() -> int:
        clone = driver.clone()
        await clone.open()
        asyncio.get_running_loop().call_soon(waiting.set)
        await clone.wait(["q"], timeout=LONG)
        taken = await clone.reserve({"q": 1}, limit=1, owner="o", lease=30.0)
        await clone.close()
        return len(taken)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(asyncio.run, wait_and_take())
        await asyncio.to_thread(waiting.wait, LONG)
        await driver.enqueue([message()])
        assert await asyncio.wrap_future(future) == 1


async def test_a_waiter_whose_loop_was_closed_disturbs_nobody(driver: MemoryDriver) -> None:
    loop = asyncio.new_event_loop()
    clone = driver.clone()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_abandon_a_wait, loop, clone).result()
    await driver.enqueue([message()])
    assert (await driver.count("q")).ready == 1


def _abandon_a_wait(loop: asyncio.AbstractEventLoop, driver: MemoryDriver) -> None:
    async def begin() -> None:
        await driver.open()
        driver.inspect().waiting_for_work.add(["q"])

    loop.run_until_complete(begin())
    loop.close()


async def test_every_kind_of_change_wakes_a_waiter(driver: MemoryDriver) -> None:
    async def woken_by(change: Callable[[], Any]) -> None:
        waiting = asyncio.create_task(driver.wait(["q"], timeout=LONG))
        await asyncio.sleep(0)
        assert not waiting.done()
        await change()
        async with asyncio.timeout(LONG / 2):
            await waiting

    async def take() -> Any:
        return (await driver.reserve({"q": 1}, limit=1, owner="o", lease=500.0))[0]

    async def step(seconds: float) -> None:
        driver.clock_offset += seconds

    await woken_by(lambda: driver.enqueue([message()]))
    delivery = await take()
    await woken_by(lambda: driver.settle([Release(delivery.lease)]))
    delivery = await take()
    await woken_by(lambda: step(501.0))  # the lease ends
    await driver.reserve(
        {"empty": 1}, limit=1, owner="other", lease=MOMENT
    )  # no pause after the jump
    await driver.reserve({"empty": 1}, limit=1, owner="other", lease=500.0)
    delivery = await take()
    await driver.settle([Release(delivery.lease, 1_000.0)])
    await woken_by(lambda: step(1_001.0))  # the message falls due
    delivery = await take()
    await driver.settle([Fail(delivery.lease, Reason.FAILED)])
    await woken_by(lambda: driver.requeue([delivery.message.id]))
    await driver.pause("q")
    await woken_by(lambda: driver.resume("q"))


async def test_a_wait_returns_when_something_falls_due_and_at_its_end(
    driver: MemoryDriver,
) -> None:
    await driver.enqueue([message("other")])
    await driver.wait(["q"], timeout=0.01)
    await driver.enqueue([message(delay=0.02)])
    await driver.wait(["q"], timeout=LONG)
    assert (await driver.count("q")).ready == 1
    await driver.wait(["q"], timeout=LONG)


async def test_closing_ends_a_wait(driver: MemoryDriver) -> None:
    waiting = asyncio.create_task(driver.wait(["q"], timeout=LONG))
    await asyncio.sleep(0)
    await driver.close()
    async with asyncio.timeout(LONG / 2):
        await waiting


async def test_a_cancelled_wait_leaves_no_waiter(driver: MemoryDriver) -> None:
    for wait in (driver.wait(["q"], timeout=LONG), driver.wait_results([b"x"], timeout=LONG)):
        waiting = asyncio.create_task(wait)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert not driver.inspect().waiting_for_work.waiters
    assert not driver.inspect().waiting_for_results.waiters


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing to inherit without fork")
def test_a_forked_child_inherits_no_messages() -> None:
    driver = MemoryDriver()

    async def prepare() -> None:
        await driver.open()
        await driver.enqueue([message()])

    async def ready() -> int:
        clone = driver.clone()
        await clone.open()
        return (await clone.count("q")).ready or 0

    asyncio.run(prepare())
    context = multiprocessing.get_context("fork")
    child = context.Process(target=lambda: os._exit(asyncio.run(ready())))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert asyncio.run(ready()) == 1
