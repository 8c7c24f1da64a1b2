"""Workers and dispatchers publish what happens to tasks, and `App.events` returns it."""

import asyncio
import signal
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from asynctasq import Reject, Retry, Snooze, State, Worker, current_task, task
from asynctasq.conformance.harness import let_tidy
from asynctasq.contracts.capabilities import Capability
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.operations import Event, EventKind, EventStream
from tests.stores import Store
from tests.worker import killable_worker
from tests.worker.faulty_driver import Line
from tests.worker.killable_worker import app_on, hangs
from tests.worker.stage import PATIENCE, Stage, probe
from tests.worker.test_worker_kills import Fleet, fleet

__all__ = ["fleet"]

ENDS = {"completed", "dead", "cancelled"}


@pytest.fixture(autouse=True)
def _has_events(request: pytest.FixtureRequest) -> None:
    """Skip stores that have no events."""
    for name in ("store", "durable_store"):
        if name in request.fixturenames:
            found: Store = request.getfixturevalue(name)
            if Capability.EVENTS not in found.capabilities:
                pytest.skip("the driver has no events")


@task(name="shop:adds", queue="sums")
async def adds(number: int) -> int:
    return number + 1


@task(name="shop:retries")
async def retries() -> None:
    if not current_task().attempt:
        raise Retry(delay=0)


@task(name="shop:fails", max_attempts=1)
async def fails() -> None:
    raise ValueError("no stock")


@task(name="shop:rejects")
async def rejects() -> None:
    raise Reject("no")


@task(name="shop:snoozes")
async def snoozes() -> None:
    if not probe().log:
        probe().note("snoozed")
        raise Snooze(0.01)


@task(name="shop:reports")
async def reports() -> None:
    current_task().report({"half": 0.5})
    probe().note("reported")
    await probe().flag("go on").wait()


async def read(events: EventStream, until: Callable[[list[Event]], bool]) -> list[Event]:
    """Return the events up to the one after which a condition holds."""
    found: list[Event] = []
    try:
        async with asyncio.timeout(PATIENCE):
            async for event in events:
                found.append(event)
                if until(found):
                    break
    except TimeoutError:
        raise AssertionError(f"only these came: {found}") from None
    return found


def ended(count: int) -> Callable[[list[Event]], bool]:
    return lambda found: sum(event.kind in ENDS for event in found) >= count


def any_event(found: list[Event]) -> bool:
    return bool(found)


def kinds_of(found: Collection[Event], task_id: str | None = None) -> list[str]:
    return [event.kind.value for event in found if task_id is None or event.task_id == task_id]


@pytest.mark.every_store
async def test_events_of_a_task_come_in_the_order_of_its_states(stage: Stage) -> None:
    async with stage.app.events() as events:
        added = [await adds(number).dispatch() for number in range(20)]
        retried, snoozed = await retries().dispatch(), await snoozes().dispatch()
        failed, rejected = await fails().dispatch(), await rejects().dispatch()
        cancelled = await adds(0).options(delay=1000).dispatch()
        await cancelled.cancel()
        async with stage.worker(worker_id="w1"):
            found = await read(events, ended(25))
    for handle in added:
        assert kinds_of(found, handle) == ["enqueued", "started", "completed"]
    assert kinds_of(found, retried) == [
        *("enqueued", "started", "failed", "retried"),
        *("started", "completed"),
    ]
    assert kinds_of(found, snoozed) == [
        *("enqueued", "started", "released", "started", "completed"),
    ]
    assert kinds_of(found, failed) == ["enqueued", "started", "failed", "dead"]
    assert kinds_of(found, rejected) == ["enqueued", "started", "failed", "dead"]
    assert kinds_of(found, cancelled) == ["enqueued", "cancelled"]
    assert "worker_started" in kinds_of(found)
    [completed] = [each for each in found if each.task_id == added[0] and each.kind == "completed"]
    assert (completed.task, completed.queue, completed.attempt) == ("shop:adds", "sums", 1)
    assert completed.worker == "w1"
    assert completed.seconds is not None
    [dead] = [each for each in found if each.task_id == failed and each.kind == "dead"]
    assert (dead.error, dead.reason) == ("ValueError: no stock", "failed")


@pytest.mark.every_store
async def test_progress_is_an_event(stage: Stage) -> None:
    async with stage.app.events(kinds={"progress", "completed"}) as events, stage.worker():
        await reports().dispatch()
        [reported] = await read(events, any_event)
        stage.flag("go on").set()
        [completed] = await read(events, any_event)
    assert (reported.kind, reported.progress) == ("progress", {"half": 0.5})
    assert completed.kind is EventKind.COMPLETED


async def test_worker_reports_its_start_and_stop(stage: Stage) -> None:
    async with stage.app.events() as events:
        async with stage.worker(worker_id="w1"):
            await adds(1).dispatch()
            await read(events, ended(1))
        [stopped] = await read(events, any_event)
    assert (stopped.kind, stopped.worker, stopped.task_id) == ("worker_stopped", "w1", None)


async def test_filters_leave_other_events_out(stage: Stage) -> None:
    async with (
        stage.app.events(task="shop:a*", kinds={"completed"}) as of_task,
        stage.app.events(queue="sums") as of_queue,
    ):
        await retries().dispatch()
        await adds(1).dispatch()
        await stage.burst()
        assert kinds_of(await read(of_task, ended(1))) == ["completed"]
        found = await read(of_queue, ended(1))
    assert kinds_of(found) == ["enqueued", "started", "completed"]


# Returning.


@pytest.mark.every_store
async def test_listener_that_comes_back_gets_what_it_missed(stage: Stage) -> None:
    """Stop after each event in turn. An event may come twice, and none is missed."""
    async with stage.app.events() as events:
        for number in range(3):
            await adds(number).dispatch()
        await stage.burst()
        found = await read(events, lambda found: kinds_of(found)[-1] == "worker_stopped")
    for place, event in enumerate(found[:-1]):
        async with stage.app.events(after=event.cursor) as events:
            rest = await read(events, lambda found: kinds_of(found)[-1] == "worker_stopped")
        expected = [(each.kind, each.task_id) for each in found[place + 1 :]]
        again = [(each.kind, each.task_id) for each in rest]
        assert set(expected) <= set(again)
        assert EventKind.GAP not in {each.kind for each in rest}


async def test_listener_that_comes_back_too_late_is_told_of_a_gap(stage: Stage) -> None:
    async with stage.app.events() as events:
        await adds(1).dispatch()
        [first] = await read(events, any_event)
    driver = await stage.driver()
    driver.clock_offset += 700.0
    async with stage.app.events(after=first.cursor) as events:
        await adds(2).dispatch()
        gap, second = await read(events, lambda found: len(found) == 2)
    assert (gap.kind, gap.missed, second.kind) == ("gap", None, "enqueued")


async def test_cursor_of_something_else_is_refused(stage: Stage) -> None:
    with pytest.raises(DriverError, match="cursor"):
        await stage.app.events(after="dead.i1").start()
    with pytest.raises(ValueError, match="cursor"):
        stage.app.events(after="")
    with pytest.raises(ValueError, match="kinds must be a set of"):
        stage.app.events(kinds={"complete"})
    with pytest.raises(ValueError, match="hold must be between"):
        stage.app.events(hold=3.0)


# Nobody listens, or the store is away.


async def test_nothing_is_published_while_nobody_listens(faulty: Stage, line: Line) -> None:
    async with faulty.worker():
        for number in range(20):
            assert await (await adds(number).dispatch()).result() == number + 1
    await faulty.app.close()
    assert line.calls["publish"] == 0
    # One question at the start of the application and of the worker, and one every two seconds.
    assert line.calls["listening"] < 10


async def test_a_store_that_refuses_events_holds_no_task_up(faulty: Stage, line: Line) -> None:
    async with faulty.app.events() as events:
        line.fail("publish", 1000, error=lambda: DriverError("no room for events"))
        async with faulty.worker():
            assert await (await adds(1).dispatch()).result() == 2
            await line.failed("publish", 1)
            line.restore()
            gap = await read(events, lambda found: found[-1].kind == "gap")
            assert gap[-1].missed
            assert await (await adds(2).dispatch()).result() == 3


async def test_a_publish_that_hangs_holds_no_task_up(faulty: Stage, line: Line) -> None:
    async with faulty.app.events():
        go_on, reached = faulty.flag("go on"), faulty.flag("reached")
        line.hold("publish", go_on, reached)
        async with faulty.worker():
            assert await (await adds(1).dispatch()).result() == 2
            await reached.wait()
            assert await (await adds(2).dispatch()).result() == 3
            go_on.set()


async def test_listener_outlives_an_outage(faulty: Stage, line: Line) -> None:
    async with faulty.app.events(kinds={"completed"}) as events:
        line.fail("events", 2)
        reading = asyncio.create_task(read(events, ended(1)))
        await line.failed("events", 2)
        async with faulty.worker():
            await adds(1).dispatch()
            [completed] = await reading
    assert completed.kind == "completed"


async def test_listener_does_not_start_without_its_store(faulty: Stage, line: Line) -> None:
    line.fail("events")
    with pytest.raises(DriverUnavailable):
        await faulty.app.events().start()


# Processes.


async def test_events_of_a_killed_worker_end_with_the_loss_of_its_lease(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KILL_TEST_MODE", raising=False)
    async with app_on(fleet.url) as app, app.events(hold=600.0) as events:
        process = fleet.start()
        handle = await app.dispatch(hangs())
        found = await read(events, lambda found: "started" in kinds_of(found, handle))
        process.send_signal(signal.SIGKILL)
        process.wait()
        driver = await app.driver()
        driver.clock_offset = 10 * killable_worker.LEASE
        await let_tidy(driver)
        # The driver that reclaims a lease reports it to the worker beside it.
        monkeypatch.setenv("KILL_TEST_MODE", "calm")
        await Worker(app=app, burst=True, handle_signals=False).start()
        found += await read(events, ended(1))
        assert await handle.status() is State.COMPLETED
    assert kinds_of(found, handle)[:2] == ["enqueued", "started"]
    assert kinds_of(found, handle)[-2:] == ["started", "completed"]


async def test_several_processes_publish_into_one_stream(fleet: Fleet, tmp_path: Path) -> None:
    del tmp_path
    async with app_on(fleet.url) as app, app.events() as events:
        for _ in range(2):
            fleet.start()
        started = await read(
            events, lambda found: kinds_of(found).count("worker_started") == len(fleet.processes)
        )
        assert len({event.worker for event in started}) == 2
        handles = await app.dispatch_many([killable_worker.steps(n) for n in range(100)])
        found = await read(events, ended(100))
    for handle in handles:
        assert kinds_of(found, handle) == ["enqueued", "started", "completed"]
