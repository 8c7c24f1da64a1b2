"""Observers of tasks in other processes get the same calls as for tasks in their own process."""

from pathlib import Path
from typing import Any

import pytest

from asynctasq import hookimpl
from asynctasq.contracts.executor import AttemptResult, Call, Returned, Wrapper
from asynctasq.errors import TaskFailed
from asynctasq.message import State
from tests.executors import tasks
from tests.executors.conftest import Serve, ServedApp, noted
from tests.executors.conftest import notes as notes
from tests.executors.conftest import serve as serve
from tests.worker.stage import eventually
from tests.worker.test_worker_leases import STEALABLE, steal
from tests.worker.test_worker_observers import END, SENT, START, AsyncRecorder, Recorder

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sampled(2)]

RUN = [("before_execute", None, None, None, None)]


@pytest.mark.parametrize("kind", [Recorder, AsyncRecorder])
@pytest.mark.parametrize("made", [tasks.where, tasks.where_async], ids=["sync", "async"])
async def test_a_good_run(serve: Serve, kind: type[Recorder], made: Any) -> None:
    served = await serve()
    recorder = kind()
    served.app.plugins.register(recorder)
    async with served.serving():
        await served.result(made())
    ends = [("after_execute", "Returned", None, None, None)]
    assert sorted(map(str, recorder.noted)) == sorted(map(str, [*SENT, *START, *RUN, *ends, *END]))


async def test_a_child_that_dies_is_a_failed_run(serve: Serve) -> None:
    served = await serve()
    recorder = Recorder()
    served.app.plugins.register(recorder)
    async with served.serving():
        with pytest.raises(Exception, match="ended with exit code"):
            await served.result(tasks.die("exit"))
    hooks = [each for each in recorder.hooks if each not in {*SENT, *START, *END}]
    assert hooks == ["before_execute", "after_execute", "on_failure", "on_dead"]
    [failure] = [each for each in recorder.noted if each[0] == "on_failure"]
    assert "ended with exit code" in failure[2]


async def test_a_cancel(serve: Serve, notes: Path) -> None:
    served = await serve()
    recorder = Recorder()
    served.app.plugins.register(recorder)
    async with served.serving():
        handle = await tasks.Sleeps(str(notes)).dispatch()
        await noted(notes)
        await handle.cancel()

        async def cancelled() -> bool:
            return await handle.status() is State.CANCELLED

        await eventually(cancelled)
    hooks = [each for each in recorder.hooks if each not in {*SENT, *START, *END}]
    assert hooks == ["before_execute", "on_cancel"]


async def watched(serve: Serve, **settings: object) -> tuple[ServedApp, Recorder]:
    served = await serve(**settings)
    recorder = Recorder()
    served.app.plugins.register(recorder)
    return served, recorder


def heard_of_runs(recorder: Recorder) -> list[str]:
    return [each for each in recorder.hooks if each not in {*SENT, *START, *END}]


async def test_a_retry_and_a_death(serve: Serve, notes: Path) -> None:
    served, recorder = await watched(serve)
    async with served.serving():
        with pytest.raises(TaskFailed):
            await served.result(tasks.InProcess("unbuildable", str(notes)))
    run = ["before_execute", "after_execute"]
    assert heard_of_runs(recorder) == [*run, "on_retry", *run, "on_failure", "on_dead"]


async def test_a_release_at_the_end(serve: Serve, notes: Path) -> None:
    served, recorder = await watched(serve, grace_period=0)
    handle = await tasks.Sleeps(str(notes)).dispatch()
    async with served.serving():
        await noted(notes)
    assert heard_of_runs(recorder) == ["before_execute", "on_release"]
    assert recorder.hooks[-1] == "worker_stopped"
    assert await handle.status() is State.READY


async def test_a_lost_lease(serve: Serve, notes: Path) -> None:
    served, recorder = await watched(serve, heartbeat_interval=0.2, lease=STEALABLE)
    await tasks.Sleeps(str(notes)).dispatch()
    async with served.serving():
        await noted(notes)
        await steal(await served.app.driver())

        async def lost() -> bool:
            return "on_lost" in recorder.hooks

        await eventually(lost)
    assert heard_of_runs(recorder) == ["before_execute", "on_lost"]


async def test_a_wrapper_changes_the_outcome(serve: Serve) -> None:
    class Doubles:
        @hookimpl
        def wrap_execute(self, call_next: Wrapper) -> Wrapper:
            async def around(call: Call) -> AttemptResult:
                attempt = await call_next(call)
                assert isinstance(attempt, Returned)
                return Returned(call.encode_result("changed"))

            return around

    served = await serve()
    served.app.plugins.register(Doubles())
    async with served.serving():
        assert await served.result(tasks.where()) == "changed"
