"""A worker whose process cannot start threads for a while: sync tasks are released, the others run."""

import threading

import pytest

from asynctasq import State, task
from tests.worker.stage import PATIENCE, Stage, probe


class Limit:
    """How many threads for tasks may start; None for any number."""

    left: int | None = 0


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Limit:
    limit = Limit()
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name.startswith("asynctasq-task-") and limit.left is not None:
            if limit.left == 0:
                raise RuntimeError("can't start new thread")
            limit.left -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    return limit


@task(max_attempts=1)
def in_thread(number: int) -> int:
    return number


@task
async def on_loop() -> str:
    return "done"


async def test_tasks_wait_uncounted_until_threads_start_again(stage: Stage, limit: Limit) -> None:
    async with stage.worker(concurrency=2):
        handles = [await in_thread(number).dispatch() for number in range(6)]
        for handle in handles:
            await stage.until(handle, State.SCHEDULED)
            snapshot = await stage.snapshot(handle)
            assert snapshot is not None
            assert snapshot.attempt == 0
        assert await (await on_loop().dispatch()).result(timeout=PATIENCE) == "done"
        limit.left = None
        assert [await handle.result(timeout=PATIENCE) for handle in handles] == [*range(6)]


@task(max_attempts=1)
def blocks() -> None:
    probe().note("blocks")
    probe().flag("go").wait_in_thread()


async def test_threads_that_have_started_go_on(stage: Stage, limit: Limit) -> None:
    limit.left = 1
    async with stage.worker(concurrency=3):
        first = await blocks().dispatch()
        await stage.probe.noted(1)
        second = await in_thread(2).dispatch()
        await stage.until(second, State.SCHEDULED)
        stage.flag("go").set()
        await first.result(timeout=PATIENCE)
        assert await second.result(timeout=PATIENCE) == 2  # in the only thread
