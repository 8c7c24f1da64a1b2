"""Observers of tasks in other processes get the same calls as for tasks in their own process."""

from pathlib import Path
from typing import Any

import pytest

from asynctasq import hookimpl
from asynctasq.contracts.executor import AttemptResult, Call, Returned, Wrapper
from asynctasq.errors import TaskFailed
from asynctasq.message import State
from tests.executors import tasks
from tests.executors.conftest import Bench, MakeBench, noted
from tests.executors.conftest import make_bench as make_bench
from tests.executors.conftest import notes as notes
from tests.worker.stage import eventually
from tests.worker.test_worker_leases import steal
from tests.worker.test_worker_observers import END, SENT, START, AsyncRecorder, Recorder

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUN = [("before_execute", None, None, None, None)]


@pytest.mark.parametrize("kind", [Recorder, AsyncRecorder])
@pytest.mark.parametrize("made", [tasks.where, tasks.where_async], ids=["sync", "async"])
async def test_a_good_run(make_bench: MakeBench, kind: type[Recorder], made: Any) -> None:
    bench = await make_bench()
    recorder = kind()
    bench.app.plugins.register(recorder)
    async with bench.serving():
        await bench.result(made())
    ends = [("after_execute", "Returned", None, None, None)]
    assert sorted(map(str, recorder.noted)) == sorted(map(str, [*SENT, *START, *RUN, *ends, *END]))


async def test_a_child_that_dies_is_a_failed_run(make_bench: MakeBench) -> None:
    bench = await make_bench()
    recorder = Recorder()
    bench.app.plugins.register(recorder)
    async with bench.serving():
        with pytest.raises(Exception, match="ended with exit code"):
            await bench.result(tasks.die("exit"))
    hooks = [each for each in recorder.hooks if each not in {*SENT, *START, *END}]
    assert hooks == ["before_execute", "after_execute", "on_failure", "on_dead"]
    [failure] = [each for each in recorder.noted if each[0] == "on_failure"]
    assert "ended with exit code" in failure[2]


async def test_a_cancel(make_bench: MakeBench, notes: Path) -> None:
    bench = await make_bench()
    recorder = Recorder()
    bench.app.plugins.register(recorder)
    async with bench.serving():
        handle = await tasks.Sleeps(str(notes)).dispatch()
        await noted(notes)
        await handle.cancel()

        async def cancelled() -> bool:
            return await handle.status() is State.CANCELLED

        await eventually(cancelled)
    hooks = [each for each in recorder.hooks if each not in {*SENT, *START, *END}]
    assert hooks == ["before_execute", "on_cancel"]


async def watched(make_bench: MakeBench, **settings: object) -> tuple[Bench, Recorder]:
    bench = await make_bench(**settings)
    recorder = Recorder()
    bench.app.plugins.register(recorder)
    return bench, recorder


def heard_of_runs(recorder: Recorder) -> list[str]:
    return [each for each in recorder.hooks if each not in {*SENT, *START, *END}]


async def test_a_retry_and_a_death(make_bench: MakeBench, notes: Path) -> None:
    bench, recorder = await watched(make_bench)
    async with bench.serving():
        with pytest.raises(TaskFailed):
            await bench.result(tasks.InProcess("unbuildable", str(notes)))
    run = ["before_execute", "after_execute"]
    assert heard_of_runs(recorder) == [*run, "on_retry", *run, "on_failure", "on_dead"]


async def test_a_release_at_the_end(make_bench: MakeBench, notes: Path) -> None:
    bench, recorder = await watched(make_bench, grace_period=0)
    handle = await tasks.Sleeps(str(notes)).dispatch()
    async with bench.serving():
        await noted(notes)
    assert heard_of_runs(recorder) == ["before_execute", "on_release"]
    assert recorder.hooks[-1] == "worker_stopped"
    assert await handle.status() is State.READY


async def test_a_lost_lease(make_bench: MakeBench, notes: Path) -> None:
    bench, recorder = await watched(make_bench, heartbeat_interval=0.2)
    await tasks.Sleeps(str(notes)).dispatch()
    async with bench.serving():
        await noted(notes)
        await steal(await bench.app.driver())

        async def lost() -> bool:
            return "on_lost" in recorder.hooks

        await eventually(lost)
    assert heard_of_runs(recorder) == ["before_execute", "on_lost"]


async def test_a_wrapper_changes_the_outcome(make_bench: MakeBench) -> None:
    class Doubles:
        @hookimpl
        def wrap_execute(self, call_next: Wrapper) -> Wrapper:
            async def around(call: Call) -> AttemptResult:
                attempt = await call_next(call)
                assert isinstance(attempt, Returned)
                return Returned(call.encode_result("changed"))

            return around

    bench = await make_bench()
    bench.app.plugins.register(Doubles())
    async with bench.serving():
        assert await bench.result(tasks.where()) == "changed"
