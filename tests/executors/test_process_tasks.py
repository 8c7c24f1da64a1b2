"""Tasks in other processes: where they run, what they can do, what they say of errors."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from asynctasq import current_task, task
from asynctasq.errors import ConfigurationError, TaskFailed, TransactionError
from tests.executors import tasks
from tests.executors.conftest import Serve, ServedApp, lines_of, noted

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sampled(3)]


@pytest.mark.parametrize("kind", [tasks.where, tasks.where_async], ids=["sync", "async"])
async def test_runs_in_the_main_thread_of_another_process(shared: ServedApp, kind: Any) -> None:
    pid, thread = await shared.result(kind())
    assert pid != os.getpid()
    assert pid in shared.children
    assert thread == "MainThread"


async def test_a_sync_task_may_run_a_loop_of_its_own(shared: ServedApp) -> None:
    assert await shared.result(tasks.own_loop()) == "ran"


@pytest.mark.parametrize("size", [0, 1_000, 40_000, 3_000_000])
async def test_arguments_and_results_of_any_size_cross(shared: ServedApp, size: int) -> None:
    value = (b"x" * size, {"set": {1, 2}})
    assert await shared.result(tasks.echo(value)) == value


async def test_the_task_knows_itself(shared: ServedApp) -> None:
    made = tasks.about().options(headers={"trace": "1"}, max_attempts=2)
    handle = await made.dispatch()
    told = await handle.result(timeout=60)
    assert told == [str(handle), tasks.about.name, "default", 0, 2, {"trace": "1"}, False]


@task(process=True)
def complete_sync() -> str:
    """Return the error of a completion in a transaction."""
    with pytest.raises(TransactionError) as error:
        current_task().complete_sync(transaction=object())
    return str(error.value)


@task(process=True)
async def complete() -> str:
    """Return the error of a completion in a transaction."""
    with pytest.raises(TransactionError) as error:
        await current_task().complete(transaction=object())
    return str(error.value)


@pytest.mark.parametrize("kind", [complete_sync, complete], ids=["sync", "async"])
async def test_no_task_in_another_process_completes_itself_in_a_transaction(
    shared: ServedApp, kind: Any
) -> None:
    assert "got a process task. The lease of the task is in another process." in (
        await shared.result(kind())
    )


@pytest.mark.parametrize("kind", [tasks.Remembers, tasks.RemembersAsync], ids=["sync", "async"])
async def test_hooks_get_the_original_exception_on_the_same_instance(
    shared: ServedApp, notes: Path, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TaskFailed) as failure:
        await shared.result(kind(str(notes)))
    assert failure.value.error_type == "LookupError"
    assert "self.error = LookupError" in failure.value.traceback or "raise self.error" in (
        failure.value.traceback
    )
    if kind is tasks.Remembers:
        assert lines_of(notes) == [
            *["asked True True"] * 2,
            "failed True True",
        ]
    else:
        assert lines_of(notes) == ["asked True", "failed True"]
        assert "the hook fails as well" in caplog.text


async def test_what_a_task_starts_can_be_terminated(shared: ServedApp) -> None:
    assert await shared.result(tasks.subprocess_of_its_own()) == -15


@pytest.mark.parametrize("kind", [tasks.dispatches, tasks.dispatches_sync], ids=["async", "sync"])
async def test_a_process_task_dispatches_to_the_same_store(
    serve: Serve, sqlite_url: str, kind: Any
) -> None:
    served = await serve(driver=sqlite_url)
    async with served.serving():
        made = served.app.handle(await served.result(kind(7)))
        assert await made.result(timeout=60) == 7


async def test_a_dispatch_that_would_be_lost_is_refused(shared: ServedApp) -> None:
    with pytest.raises(TaskFailed, match="only in its own process") as failure:
        await shared.result(tasks.dispatches(7).options(max_attempts=1))
    assert failure.value.error_type.endswith(ConfigurationError.__name__)


async def test_initializer_runs_once_in_each_child(serve: Serve) -> None:
    served = await serve(process_initializer="tests.executors.tasks:initialize")
    async with served.serving():
        for _ in range(2):
            pid, initialized = await served.result(tasks.initialized_in())
            assert initialized == [pid]


async def test_children_that_cannot_start_fail_attempts_with_the_reason(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = await serve(process_initializer="tests.executors.tasks:initialize_badly")
    async with served.serving():
        with pytest.raises(TaskFailed, match="no database for children") as failure:
            await served.result(tasks.echo(1).options(max_attempts=1))
        assert failure.value.error_type.endswith("ChildDied")
        starts = [line for line in caplog.messages if "while it started" in line]
        assert 1 <= len(starts) < 10


async def test_a_child_is_replaced_after_so_many_tasks(served: ServedApp) -> None:
    served.worker.stop()
    async with served.serving(process_pool_max_tasks_per_child=2):
        pids = [(await served.result(tasks.where()))[0] for _ in range(5)]
    assert [pids.index(pid) for pid in pids] == [0, 0, 2, 2, 4]


async def test_a_child_is_replaced_when_it_has_grown(serve: Serve) -> None:
    served = await serve(process_pool_max_memory=300 * 2**20)
    async with served.serving():
        first = await served.result(tasks.grow(1))
        assert await served.result(tasks.grow(400 * 2**20)) == first
        assert await served.result(tasks.grow(1)) != first


async def test_pool_size_counts(serve: Serve, notes: Path) -> None:
    served = await serve()
    async with served.serving(process_pool_size=3):
        handles = [await tasks.Sleeps(str(notes)).dispatch() for _ in range(3)]
        assert len(set(await noted(notes, 3))) == 3
        for handle in handles:
            await handle.cancel()


async def test_a_short_task_does_not_wait_behind_a_long_one(serve: Serve, notes: Path) -> None:
    served = await serve(process_pool_size=2)
    async with served.serving():
        for _ in range(3):  # so short that children are given some ahead
            handles = [await tasks.echo(i).dispatch() for i in range(100)]
            for handle in handles:
                await handle.result(timeout=60)
        long = await tasks.Sleeps(str(notes)).dispatch()
        short = [await tasks.echo(i).dispatch() for i in range(20)]
        assert [await handle.result(timeout=50) for handle in short] == list(range(20))
        await long.cancel()


@pytest.mark.full
async def test_nothing_is_left_open(serve: Serve) -> None:
    served = await serve()
    async with served.serving():
        await served.result(tasks.where())
    before = open_files()
    for _ in range(2):
        async with served.serving(process_pool_max_tasks_per_child=1):
            for _ in range(3):
                await served.result(tasks.where())
            with pytest.raises(TaskFailed):
                await served.result(tasks.die("exit"))
    assert open_files() <= before


async def test_a_child_leaves_nothing_open_at_its_own_end(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "warnoptions", ["error::ResourceWarning"])
    served = await serve()
    async with served.serving():
        for made in (tasks.where(), tasks.where_async(), tasks.echo(b"x" * 100_000)):
            await served.result(made)
    assert capfd.readouterr().err == ""


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
