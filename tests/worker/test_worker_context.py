"""What code of a task can reach: itself, its progress, the worker's resources, further dispatches."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from asynctasq import App, Worker, current_task, init, run, task
from asynctasq.default import current_app
from asynctasq.errors import ConfigurationError
from asynctasq.message import State
from asynctasq.worker.timing import CloseTiming, WorkerTiming
from tests.worker.stage import PATIENCE, Stage, eventually, probe

seen_by: ContextVar[str] = ContextVar("seen_by", default="nobody")


@task(max_attempts=4, name="context.tells")
async def tells() -> list[Any]:
    it = current_task()
    return [
        it.id,
        it.name,
        it.queue,
        it.attempt,
        it.max_attempts,
        it.dispatched_at,
        dict(it.headers),
    ]


@task(max_attempts=4, name="context.tells_in_thread")
def tells_in_thread() -> list[Any]:
    it = current_task()
    return [
        it.id,
        it.name,
        it.queue,
        it.attempt,
        it.max_attempts,
        it.dispatched_at,
        dict(it.headers),
    ]


@pytest.mark.parametrize("each", [tells, tells_in_thread])
async def test_current_task_knows_the_attempt(stage: Stage, each: Any) -> None:
    handle = await each().options(headers={"a": "ü"}).on_queue("q").dispatch()
    await stage.burst(queues=["q"])
    told = await handle.result(timeout=30)
    assert told[:5] == [handle, each.name, "q", 0, 4]
    assert told[5].tzinfo is not None
    assert told[6] == {"a": "ü"}


async def test_there_is_no_current_task_outside(stage: Stage) -> None:
    with pytest.raises(LookupError, match="inside a running task"):
        current_task()
    await tells.dispatch()
    await stage.burst()
    with pytest.raises(LookupError, match="inside a running task"):
        current_task()


@task
async def leaves_a_trace(name: str) -> tuple[str, str]:
    before = seen_by.get()
    seen_by.set(name)
    await asyncio.sleep(0)
    return before, seen_by.get()


@task
def leaves_a_trace_in_thread(name: str) -> tuple[str, str]:
    before = seen_by.get()
    seen_by.set(name)
    return before, seen_by.get()


@pytest.mark.parametrize("each", [leaves_a_trace, leaves_a_trace_in_thread])
async def test_context_variables_of_one_task_are_not_seen_by_the_next(
    stage: Stage, each: Any
) -> None:
    handles = [await each(str(number)).dispatch() for number in range(60)]
    await stage.burst(concurrency=2)
    told = [await handle.result(timeout=30) for handle in handles]
    assert told == [("nobody", str(number)) for number in range(60)]


@task
async def reports() -> None:
    it = probe()
    current_task().report({"done": 1})
    current_task().report({"done": 2})
    await it.flag("go on").wait()


@task
def reports_in_thread() -> None:
    it = probe()
    current_task().report({"done": 1})
    current_task().report({"done": 2})
    it.flag("go on").wait_in_thread()


@pytest.mark.parametrize("each", [reports, reports_in_thread])
async def test_progress_is_read_by_handle(stage: Stage, each: Any) -> None:
    handle = await each().dispatch()
    assert await handle.progress() is None
    async with stage.worker():

        async def told() -> bool:
            return bool(await handle.progress() == {"done": 2})

        await eventually(told)
        stage.flag("go on").set()
        await handle.result(timeout=PATIENCE)
        assert await handle.progress() is None


@task
def chatters() -> None:
    for number in range(200):
        current_task().report(number)


async def test_reports_race_with_the_ends_of_their_tasks(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    handles = [await chatters().dispatch() for _ in range(50)]
    await stage.burst(concurrency=4, heartbeat_interval=0.001)
    for handle in handles:
        await handle.result(timeout=30)
    assert [r for r in caplog.records if r.levelname in {"ERROR", "CRITICAL"}] == []


class Lifespan:
    """Says when it was entered and left."""

    def __init__(self) -> None:
        self.log: list[str] = []

    @asynccontextmanager
    async def __call__(self, app: App) -> AsyncIterator["Lifespan"]:
        self.log.append(f"enter {type(app).__name__}")
        await asyncio.sleep(0)
        try:
            yield self
        finally:
            await asyncio.sleep(0)
            self.log.append("leave")


@task
async def uses() -> None:
    await asyncio.sleep(0)
    current_task().resources.log.append("async")


@task
def uses_in_thread() -> None:
    current_task().resources.log.append("sync")


async def test_resources_are_entered_once_and_closed_after_the_last_task(driver: Any) -> None:
    lifespan = Lifespan()
    async with App({"driver": driver}, lifespan=lifespan) as app:
        await uses.dispatch()
        await uses_in_thread.dispatch()
        await Worker(app=app, burst=True, handle_signals=False).start()
    assert lifespan.log[0] == "enter App"
    assert sorted(lifespan.log[1:3]) == ["async", "sync"]
    assert lifespan.log[3:] == ["leave"]


async def test_resources_that_fail_are_an_error_at_the_start(driver: Any) -> None:
    @asynccontextmanager
    async def failing(app: App) -> AsyncIterator[None]:
        if app.lifespan is failing:
            raise ConnectionRefusedError("no pool today")
        yield

    async with App({"driver": driver}, lifespan=failing) as app:
        handle = await uses.dispatch()
        with pytest.raises(ConnectionRefusedError, match="no pool today"):
            await Worker(app=app, handle_signals=False).start()
        assert await handle.status() is State.READY


@task
async def spawns(depth: int) -> list[str]:
    handles = [await child(depth).dispatch() for _ in range(3)]
    return [str(handle) for handle in handles]


@task
def spawns_in_thread(depth: int) -> list[str]:
    return [str(child(depth).dispatch_sync()) for _ in range(3)]


@task
async def child(depth: int) -> int:
    return depth + 1


@pytest.mark.parametrize("each", [spawns, spawns_in_thread])
async def test_tasks_dispatch_further_tasks_to_the_app_of_their_worker(
    stage: Stage, each: Any
) -> None:
    handle = await each(7).dispatch()
    await stage.burst()
    children = await handle.result(timeout=30)
    assert len(children) == 3
    for each_id in children:
        assert await stage.app.handle(each_id).result(timeout=30) == 8


@task
def in_thread_of() -> str:
    return threading.current_thread().name


async def test_sync_tasks_run_in_threads_of_the_worker(stage: Stage) -> None:
    handle = await in_thread_of.dispatch()
    await stage.burst()
    assert (await handle.result(timeout=30)).startswith("asynctasq-task")


@task(name="context.waits")
async def waits() -> str:
    probe().flag("began").set()
    await probe().flag("go on").wait()
    return str(await tells().dispatch())


async def test_an_app_is_not_closed_under_its_worker(stage: Stage) -> None:
    handle = await waits().dispatch()
    async with stage.worker():
        await stage.flag("began").wait()
        with pytest.raises(ConfigurationError, match="while a worker"):
            await stage.app.close()
        stage.flag("go on").set()
        assert await handle.result(timeout=PATIENCE)
    await stage.app.close()


@task(name="context.enters")
async def enters() -> str:
    """As code does that runs outside of workers, too."""
    async with current_app():
        return str(await tells().dispatch())


async def test_a_task_that_enters_the_app_leaves_it_open(stage: Stage) -> None:
    async with stage.worker():
        for _ in range(2):
            inner = await (await enters().dispatch()).result(timeout=PATIENCE)
            assert await stage.app.handle(inner).result(timeout=PATIENCE)


def test_a_program_that_forgets_its_worker_ends_cleanly(
    driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asynctasq.runtime.default", None)
    app = init({"driver": driver})
    began = asyncio.Event()
    states: list[State] = []

    @task(name="context.forever")
    async def forever() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            states.append(await handles[0].status())

    async def program() -> None:
        handles.append(await forever().dispatch())
        working.append(asyncio.create_task(Worker(handle_signals=False).start()))
        await began.wait()

    handles: list[Any] = []
    working: list[asyncio.Task[None]] = []
    run(program())
    assert states == [State.LEASED]
    assert not app.is_open
    assert working[0].cancelled()


async def test_a_lifespan_that_never_ends_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    timing = WorkerTiming(close=CloseTiming(total=0.1))
    cancelled = asyncio.Event()

    @asynccontextmanager
    async def lifespan(_: App) -> AsyncIterator[None]:
        yield
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with App({"driver": "memory"}, lifespan=lifespan) as app:
        await asyncio.wait_for(Worker(app=app, burst=True, timing=timing).start(), PATIENCE)
    assert cancelled.is_set()
    assert "Closing the lifespan was cancelled: it did not end within 0.1 s" in caplog.messages
