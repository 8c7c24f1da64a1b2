"""`App.tasks`: counting, cancelling, moving and reordering all tasks that match."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from asynctasq import App, State
from asynctasq.contracts.capabilities import Capability
from asynctasq.errors import CapabilityMissing
from asynctasq.message import id_to_text
from asynctasq.operations import BulkCounts
from asynctasq.operations.batches import BATCH
from asynctasq.settlement import Complete
from tests.operations.staging import bury, enqueue, message, reserve
from tests.stores import Store


@pytest_asyncio.fixture
async def app(store: Store) -> AsyncIterator[App]:
    """Yield an app on each kind of store."""
    url = "memory" if store.url == "memory://" else store.url
    async with App({"driver": url}) as made:
        yield made


async def names(app: App, queue: str) -> list[str]:
    return sorted([each.id async for each in app.tasks.each(queue=queue)])


@pytest.mark.every_store
async def test_tasks_that_match_are_moved(app: App) -> None:
    moved = await enqueue(app, *(message(app, task="shop:pay") for _ in range(3)))
    moved += await enqueue(app, message(app, task="shop:ship", delay=600.0))
    kept = await enqueue(app, message(app, task="mail:send"))
    assert await app.tasks.count(queue="default", task="shop:*") == 4
    assert await app.tasks.count(queue="default") == 5
    for done in (4, 0):
        counts = await app.tasks.move_all("slow", queue="default", task="shop:*")
        assert counts == BulkCounts(done)
    assert await names(app, "slow") == sorted(moved)
    assert await names(app, "default") == kept


@pytest.mark.every_store
async def test_each_task_gets_its_priority_once(app: App) -> None:
    await enqueue(app, *(message(app) for _ in range(BATCH + 5)))
    seen: list[BulkCounts] = []
    counts = await app.tasks.reprioritize_all(9, queue="default", on_progress=seen.append)
    assert counts == seen[-1] == BulkCounts(BATCH + 5)
    found = [each async for each in app.tasks.each(queue="default")]
    assert {each.message.priority for each in found if each.message} == {9}
    assert len(found) == BATCH + 5
    assert await app.tasks.reprioritize_all(9, queue="default") == BulkCounts()


@pytest.mark.every_store
async def test_tasks_that_match_are_cancelled(app: App) -> None:
    running = await enqueue(app, message(app))
    await reserve(app)
    await enqueue(app, message(app), message(app, delay=60.0))
    kept = await enqueue(app, message(app, queue="mail"))
    for done in (2, 0):
        assert await app.tasks.cancel_all(queue="default") == BulkCounts(done)
    assert [each.id async for each in app.tasks.each()] == [*running, *kept]
    for interrupted in (1, 0):
        counts = await app.tasks.cancel_all([State.RUNNING], queue="default")
        assert counts == BulkCounts(interrupted=interrupted)


async def test_the_rate_bounds_each_batch(app: App) -> None:
    await enqueue(app, *(message(app) for _ in range(7)))
    seen: list[BulkCounts] = []
    await app.tasks.move_all("slow", queue="default", per_second=30.0, on_progress=seen.append)
    assert [each.done for each in seen] == [3, 6, 7]


@pytest.mark.every_store
async def test_a_task_that_is_dispatched_meanwhile_is_not_touched(app: App) -> None:
    await enqueue(app, *(message(app) for _ in range(BATCH * 2)))
    late: list[asyncio.Task[list[str]]] = []

    def dispatch(_: BulkCounts) -> None:
        late.append(asyncio.create_task(enqueue(app, message(app, queue="default"))))

    counts = await app.tasks.cancel_all(queue="default", on_progress=dispatch)
    assert counts == BulkCounts(BATCH * 2)
    ids = [await each for each in late]
    assert await names(app, "default") == sorted(one for [one] in ids)


async def test_a_cancellation_ends_after_the_batch(app: App) -> None:
    await enqueue(app, *(message(app) for _ in range(BATCH * 2)))
    seen: list[BulkCounts] = []
    moving: asyncio.Task[Any]

    def stop(counts: BulkCounts) -> None:
        seen.append(counts)
        moving.cancel()

    moving = asyncio.create_task(app.tasks.move_all("slow", queue="default", on_progress=stop))
    with pytest.raises(asyncio.CancelledError):
        await moving
    assert seen == [BulkCounts(BATCH)]
    assert await app.tasks.count(queue="slow") == BATCH
    assert await app.tasks.move_all("slow", queue="default") == BulkCounts(BATCH)


async def test_what_began_meanwhile_is_skipped(app: App) -> None:
    await enqueue(app, *(message(app) for _ in range(BATCH + 1)))
    reserved: list[Any] = []
    driver: Any = await app.driver()
    browse = driver.browse

    async def after_a_reserve(*args: Any, **options: Any) -> Any:
        page = await browse(*args, **options)
        if not reserved:
            reserved.append(await reserve(app, limit=2))
        return page

    driver.browse = after_a_reserve
    try:
        counts = await app.tasks.move_all("slow", queue="default")
    finally:
        del driver.browse
    assert counts == BulkCounts(BATCH - 1, skipped=2)


async def test_edit_changes_tasks_that_wait(app: App) -> None:
    [waiting] = await enqueue(app, message(app))
    [dead] = await bury(app, message(app, queue="mail"))
    assert await app.tasks.edit([waiting, dead], priority=8, queue="slow") == [True, False]
    found = await app.tasks.get(waiting)
    assert found.info.message
    assert (found.info.queue, found.info.message.priority) == ("slow", 8)


async def test_wrong_calls_are_refused(app: App) -> None:
    for call, what in (
        (app.tasks.cancel_all(), "Pass a condition"),
        (app.tasks.cancel_all(everything=True, queue="default"), "cannot be combined"),
        (app.tasks.cancel_all([State.DEAD], queue="default"), "states must be of"),
        (app.tasks.cancel_all([], queue="default"), "states must be of"),
        (app.tasks.move_all("slow", [State.RUNNING], queue="default"), "states must be of"),
        (app.tasks.move_all("so slow", queue="default"), "name of a queue"),
        (app.tasks.move_all("slow", queue="default", per_second=0.0), "per_second must be"),
        (app.tasks.reprioritize_all(10, queue="default"), "priority must be between"),
    ):
        with pytest.raises(ValueError, match=what):
            await call


async def test_a_driver_that_cannot_is_named(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = await app.driver()
    monkeypatch.setattr(type(driver), "capabilities", driver.capabilities & ~Capability.MOVE)
    with pytest.raises(CapabilityMissing, match="needs the capability MOVE"):
        await app.tasks.move_all("slow", queue="default")


@pytest.mark.every_store
async def test_tasks_that_move_while_others_run_are_delivered_once(app: App) -> None:
    ids = await enqueue(app, *(message(app) for _ in range(BATCH * 2)))
    driver = await app.driver()
    seen: list[str] = []

    async def work() -> None:
        while len(seen) < len(ids):
            deliveries = [*await reserve(app, "default", 7), *await reserve(app, "slow", 7)]
            seen.extend(id_to_text(each.message.id) for each in deliveries)
            await driver.settle([Complete(each.lease) for each in deliveries])
            await asyncio.sleep(0)

    working = asyncio.create_task(work())
    counts = await app.tasks.move_all("slow", queue="default")
    async with asyncio.timeout(60.0):
        await working
    assert sorted(seen) == sorted(ids)
    assert counts.failed == 0
