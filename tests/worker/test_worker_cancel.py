"""Cancelling: what waits is finished, what runs is interrupted, what has ended stays."""

import asyncio
from typing import Any

import pytest

from asynctasq import AsyncTask, State, Worker, task
from asynctasq.errors import TaskCancelled
from asynctasq.message import CancelOutcome, id_to_text, new_id
from tests.worker.stage import PATIENCE, Stage, eventually, probe

pytestmark = pytest.mark.every_store


class Patient(AsyncTask[str]):
    """Runs until it is interrupted."""

    async def execute(self) -> str:
        it = probe()
        it.flag("running").set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            it.note("cleaned up")
        return "never"

    async def failed(self, exception: Exception) -> None:
        probe().note("failed")


class Converting(AsyncTask[str]):
    """Converts an interruption into another error, as client libraries do."""

    max_attempts = 1

    async def execute(self) -> str:
        it = probe()
        it.flag("running").set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            it.note("cleaned up")
            raise ConnectionError("the connection was dropped") from None
        return "never"

    async def failed(self, exception: Exception) -> None:
        probe().note("failed")


async def test_a_waiting_task_is_finished(stage: Stage) -> None:
    handle = await Patient().dispatch()
    assert await handle.cancel() is CancelOutcome.CANCELLED
    await stage.burst()
    assert stage.log == []
    with pytest.raises(TaskCancelled):
        await handle.result(timeout=30)


@pytest.mark.parametrize("kind", [Patient, Converting])
async def test_a_running_task_is_interrupted(stage: Stage, kind: Any) -> None:
    handle = await kind().dispatch()
    async with stage.worker():
        await stage.flag("running").wait()
        assert await handle.cancel() is CancelOutcome.REQUESTED
        with pytest.raises(TaskCancelled):
            await handle.result(timeout=PATIENCE)
    assert stage.log == ["cleaned up"]
    assert await stage.dead() == []


@task
def in_thread() -> str:
    it = probe()
    it.flag("running").set()
    it.flag("go on").wait_in_thread()
    it.note("done")
    return "done"


@task(max_attempts=1)
def fails_in_thread() -> None:
    it = probe()
    it.flag("running").set()
    it.flag("go on").wait_in_thread()
    raise LookupError("failed in the end")


async def interrupted(worker: Worker) -> None:
    async def is_interrupted() -> bool:
        found = worker.inspect()
        return found is not None and any(each.interrupt for each in found.held)

    await eventually(is_interrupted)


async def cancel_in_thread(stage: Stage, made: Any) -> Any:
    handle = await made.dispatch()
    async with stage.worker() as worker:
        await stage.flag("running").wait()
        assert await handle.cancel() is CancelOutcome.REQUESTED
        await interrupted(worker)
        assert await handle.status() is State.LEASED
        stage.flag("go on").set()
        await asyncio.wait([asyncio.ensure_future(_ended(handle))], timeout=PATIENCE)
    return handle


async def _ended(handle: Any) -> None:
    try:
        await handle.result(timeout=PATIENCE)
    except TaskCancelled:
        return


async def test_a_thread_cannot_be_interrupted_and_what_it_finishes_counts(stage: Stage) -> None:
    handle = await cancel_in_thread(stage, in_thread())
    assert stage.log == ["done"]
    assert await handle.result(timeout=30) == "done"


async def test_a_thread_that_fails_after_the_cancel_is_cancelled(stage: Stage) -> None:
    handle = await cancel_in_thread(stage, fails_in_thread())
    with pytest.raises(TaskCancelled):
        await handle.result(timeout=30)
    assert await stage.dead() == []


@task
async def quick() -> str:
    return "quick"


async def test_it_can_be_too_late(stage: Stage) -> None:
    handle = await quick().dispatch()
    await stage.burst()
    assert await handle.cancel() is CancelOutcome.TOO_LATE
    assert await handle.result(timeout=30) == "quick"


async def test_an_unknown_task_cannot_be_cancelled(stage: Stage) -> None:
    handle = stage.app.handle(id_to_text(new_id()))
    assert await handle.cancel() is CancelOutcome.UNKNOWN


@task
async def waits_first() -> str:
    it = probe()
    it.flag("running").set()
    await it.flag("go on").wait()
    return "went on"


async def test_cancelling_one_touches_no_other(stage: Stage) -> None:
    spared = await waits_first().dispatch()
    handle = await Patient().dispatch()
    async with stage.worker():
        await stage.flag("running").wait()
        await handle.cancel()
        await stage.until(handle, State.CANCELLED)
        stage.flag("go on").set()
        assert await spared.result(timeout=PATIENCE) == "went on"
