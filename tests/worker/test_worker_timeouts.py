"""A time-out ends a coroutine; a thread keeps its slot until it ends, and nothing is run beside it."""

import asyncio
import time
from typing import Any

import pytest

from asynctasq import AsyncTask, Reject, State, SyncTask, current_task, task
from asynctasq.errors import TaskCancelled, TaskFailed
from asynctasq.tasks import FunctionCall
from tests.worker.conftest import MakeStage
from tests.worker.stage import PATIENCE, Stage, eventually, probe

SHORT = 0.05


class Slow(AsyncTask[str]):
    max_attempts = 1
    timeout = SHORT

    async def execute(self) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            probe().note("cancelled")
            raise
        finally:
            probe().note("cleaned up")
        return "never"

    async def failed(self, exception: Exception) -> None:
        probe().note("failed", type(exception).__name__)


async def test_a_coroutine_is_cancelled_at_its_timeout(stage: Stage) -> None:
    await Slow().dispatch()
    await stage.burst()
    assert stage.log == ["cancelled", "cleaned up", ("failed", "TaskTimeout")]
    [letter] = await stage.dead()
    assert letter.error is not None
    assert letter.error.type == "asynctasq.errors.TaskTimeout"
    assert "0.05" in letter.error.message


async def test_a_timeout_is_retried_like_any_failure(stage: Stage) -> None:
    await Slow().options(max_attempts=2, retry_delay=0.0).dispatch()
    await stage.burst()
    assert stage.log.count("cleaned up") == 2


@task(max_attempts=1, timeout=1000.0)
async def raises_its_own() -> None:
    raise TimeoutError("mine")


@task(max_attempts=1, timeout=1000.0)
async def has_a_limit_of_its_own() -> None:
    async with asyncio.timeout(0.0):
        await asyncio.Event().wait()


async def test_a_timeout_error_of_the_task_stays_its_own(stage: Stage) -> None:
    await raises_its_own().dispatch()
    await has_a_limit_of_its_own().dispatch()
    await stage.burst()
    assert {letter.error.type for letter in await stage.dead() if letter.error} == {"TimeoutError"}


@task(max_attempts=1, timeout=SHORT)
async def swallows(then: str) -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if then == "raise":
            raise ValueError("too late") from None
        if then == "reject":
            raise Reject("too late") from None
    return "too late"


@task(max_attempts=1, timeout=SHORT)
def swallows_in_thread(then: str) -> str:
    while not current_task().cancelled:
        time.sleep(0.001)
    if then == "raise":
        raise ValueError("too late")
    if then == "reject":
        raise Reject("too late")
    return "too late"


@pytest.mark.parametrize("then", ["return", "raise", "reject"])
@pytest.mark.parametrize("swallow", [swallows, swallows_in_thread])
async def test_an_outcome_after_the_timeout_is_discarded(
    stage: Stage, swallow: Any, then: str
) -> None:
    handle = await swallow(then).dispatch()
    await stage.burst()
    with pytest.raises(TaskFailed) as failure:
        await handle.result(timeout=30)
    assert failure.value.error_type == "asynctasq.errors.TaskTimeout"


@task(max_attempts=1, timeout=SHORT)
async def blocks(how: str) -> str:
    time.sleep(2 * SHORT)  # noqa: ASYNC251  the loop stands still: nothing can cancel it
    if how == "raise":
        raise ValueError("too late")
    return "too late"


@task(max_attempts=1, timeout=SHORT, process=True)
async def blocks_in_process() -> str:
    time.sleep(2 * SHORT)  # noqa: ASYNC251  as above
    return "too late"


@pytest.mark.parametrize(
    "call",
    [blocks("return"), blocks("raise"), blocks_in_process()],
    ids=["return", "raise", "process"],
)
async def test_what_ends_after_the_timeout_without_another_await_has_timed_out(
    stage: Stage, call: FunctionCall[str], caplog: pytest.LogCaptureFixture
) -> None:
    handle = await call.dispatch()
    await stage.burst()
    with pytest.raises(TaskFailed, match="TaskTimeout"):
        await handle.result(timeout=PATIENCE)
    lines = [str(record.exc_text) for record in caplog.records if record.levelname == "ERROR"]
    assert lines
    assert not any("asynctasq/executors" in line for line in lines)


@task(timeout=SHORT)
async def is_interrupted_by_both() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        probe().note("timed out")
        await asyncio.Event().wait()


async def test_a_cancel_after_the_timeout_still_cancels(stage: Stage) -> None:
    async with stage.worker():
        handle = await is_interrupted_by_both().dispatch()
        await stage.probe.noted(1)
        await handle.cancel()
        with pytest.raises(TaskCancelled):
            await handle.result(timeout=30)


@task
async def unlimited() -> str:
    await asyncio.sleep(2 * SHORT)
    return "done"


async def test_none_beats_a_default_timeout(make_stage: MakeStage) -> None:
    stage = await make_stage(default_timeout=SHORT / 10, default_max_attempts=1)
    free = await unlimited().options(timeout=None).dispatch()
    bound = await unlimited().dispatch()
    await stage.burst()
    assert await free.result(timeout=30) == "done"
    assert await bound.status() is State.DEAD


class Stuck(SyncTask[str]):
    """Runs in a thread until the test lets it end."""

    max_attempts = 2
    retry_delay = 0.0
    timeout = SHORT

    def execute(self) -> str:
        it = probe()
        it.note("began", self._current_attempt)
        it.flag("began").set()
        it.flag("go on").wait_in_thread()
        it.note("ended", self._current_attempt)
        return f"run {self._current_attempt}"

    def failed(self, exception: Exception) -> None:
        probe().note("failed", type(exception).__name__)


async def test_a_thread_keeps_its_slot_and_lease_until_it_ends(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    handle = await Stuck().dispatch()
    async with stage.worker(concurrency=1):
        await stage.flag("began").wait()

        async def reported() -> bool:
            return any("cannot be stopped" in line for line in caplog.messages)

        await eventually(reported)
        waits = await quick.dispatch()
        assert await stage.state(handle) is State.LEASED
        assert await waits.status() is State.READY
        stage.flag("go on").set()
        assert await handle.result(timeout=PATIENCE) == "run 1"
        assert await waits.result(timeout=PATIENCE) == "quick"
    # One run at a time, and the outcome of the first discarded.
    assert stage.log == [("began", 0), ("ended", 0), ("began", 1), ("ended", 1)]


async def test_a_thread_that_was_too_slow_has_failed(stage: Stage) -> None:
    handle = await Stuck().options(max_attempts=1).dispatch()
    async with stage.worker():
        await stage.flag("began").wait()
        asyncio.get_running_loop().call_later(3 * SHORT, stage.flag("go on").set)
        await stage.until(handle, State.DEAD)
    assert stage.log == [("began", 0), ("ended", 0), ("failed", "TaskTimeout")]


@task
async def quick() -> str:
    return "quick"


@task(timeout=1000.0)
def in_thread() -> str:
    return "in time"


async def test_a_thread_that_ends_in_time_is_complete(stage: Stage) -> None:
    handle = await in_thread().dispatch()
    await stage.burst()
    assert await handle.result(timeout=30) == "in time"


@task(timeout=1000.0, max_attempts=1)
def own_timeout_in_thread() -> None:
    raise TimeoutError("mine")


async def test_a_timeout_error_of_a_thread_stays_its_own(stage: Stage) -> None:
    await own_timeout_in_thread().dispatch()
    await stage.burst()
    [letter] = await stage.dead()
    assert letter.error is not None
    assert (letter.error.type, letter.error.message) == ("TimeoutError", "mine")
