"""Process tasks that end early: crashes, timeouts, cancellation, and shutdown of the worker."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asynctasq.contracts.capabilities import SupportsInspect
from asynctasq.contracts.executor import Executor
from asynctasq.errors import TaskCancelled, TaskFailed
from asynctasq.executors.process.executor import ProcessExecutor
from asynctasq.executors.process.settings import ProcessSettings
from asynctasq.hookspecs import hookimpl
from asynctasq.message import State, id_from_text
from tests.executors import tasks
from tests.executors.conftest import PATIENCE, Serve, ServedApp, children_of, lines_of, noted

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sampled(5)]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("exit", "ended with exit code 3"),
        ("SIGSEGV", "was killed by SIGSEGV"),
        ("SIGKILL", "was killed by SIGKILL"),
        ("closes files", "lost its connection"),
    ],
)
async def test_death_ends_only_the_attempt_that_ran(served: ServedApp, how: str, told: str) -> None:
    dies = await tasks.die(how).dispatch()
    others = [await tasks.echo(i).dispatch() for i in range(3)]
    with pytest.raises(TaskFailed, match=told) as failure:
        await dies.result(timeout=PATIENCE)
    assert failure.value.error_type == "asynctasq.errors.ChildDied"
    assert [await handle.result(timeout=PATIENCE) for handle in others] == [0, 1, 2]


async def test_closing_the_files_of_a_loop_ends_only_its_process(served: ServedApp) -> None:
    with pytest.raises(TaskFailed, match=r"lost its connection|SIGABRT"):
        await served.result(tasks.closes_files())
    assert await served.result(tasks.echo(1)) == 1


async def test_children_start_where_the_worker_did(served: ServedApp, tmp_path: Path) -> None:
    await served.result(tasks.moves())
    with pytest.raises(TaskFailed):
        await served.result(tasks.die("exit"))
    assert await served.result(tasks.folder()) == str(tmp_path)


async def test_what_lies_in_a_child_that_dies_is_done_by_another(served: ServedApp) -> None:
    for _ in range(2):  # so short that children are given some ahead
        handles = [await tasks.echo(i).dispatch() for i in range(100)]
        for handle in handles:
            await handle.result(timeout=PATIENCE)
    kinds = [tasks.die("exit") if i % 10 == 5 else tasks.echo(i) for i in range(40)]
    made = [await kind.options(max_attempts=1).dispatch() for kind in kinds]
    ends = await asyncio.gather(
        *(handle.result(timeout=PATIENCE) for handle in made), return_exceptions=True
    )
    assert [i for i, end in enumerate(ends) if isinstance(end, TaskFailed)] == [5, 15, 25, 35]
    assert [end for end in ends if not isinstance(end, TaskFailed)] == [
        i for i in range(40) if i % 10 != 5
    ]


async def test_memory_error_is_an_ordinary_failure(served: ServedApp) -> None:
    served.worker.stop()
    async with served.serving(process_pool_max_tasks_per_child=1):
        with pytest.raises(TaskFailed) as failure:
            await served.result(tasks.die("memory"))
    assert failure.value.error_type == "MemoryError"


async def test_a_new_instance_is_asked_after_a_death(served: ServedApp, notes: Path) -> None:
    assert await served.result(tasks.DiesOnce(str(notes), True)) == "second run"
    assert lines_of(notes) == ["runs 0", "asked ChildDied", "runs 1"]


async def test_a_new_instance_hears_of_its_failure_after_a_death(
    served: ServedApp, notes: Path
) -> None:
    with pytest.raises(TaskFailed):
        await served.result(tasks.DiesOnce(str(notes), False))
    assert lines_of(notes) == ["runs 0", "asked ChildDied", "failed ChildDied True"]


class Impatient:
    """An executor plugin whose tasks have little time in should_retry()."""

    @hookimpl
    def create_executor(self, name: str, settings: Any) -> Executor:
        return ProcessExecutor(ProcessSettings(**settings), judge_seconds=0.2)


async def test_should_retry_has_a_time_limit(serve: Serve) -> None:
    made = await serve(disable_plugins=["executor:process"])
    made.app.plugins.register(Impatient(), kind="executor", name="process")
    async with made.serving():
        with pytest.raises(TaskFailed, match="exit code 6"):
            await made.result(tasks.Ponders())
        assert await made.result(tasks.echo(1)) == 1


async def test_a_task_that_kills_every_process_ends(served: ServedApp) -> None:
    with pytest.raises(TaskFailed, match="exit code 5"):
        await served.result(tasks.DiesForEver())
    assert await served.result(tasks.echo(1)) == 1


@pytest.mark.parametrize("stubborn", [False, True])
async def test_async_task_is_cancelled_at_its_timeout(
    served: ServedApp, notes: Path, stubborn: bool
) -> None:
    with pytest.raises(TaskFailed) as failure:
        await served.result(tasks.SleepsAsync(str(notes), stubborn).options(timeout=0.2))
    assert failure.value.error_type == "asynctasq.errors.TaskTimeout"
    assert lines_of(notes)[1:] == ["cleaned up False", "failed TaskTimeout"]


async def test_sync_task_is_killed_at_its_timeout(served: ServedApp, notes: Path) -> None:
    with pytest.raises(TaskFailed) as failure:
        await served.result(tasks.Sleeps(str(notes)).options(timeout=0.2))
    assert failure.value.error_type == "asynctasq.errors.TaskTimeout"
    lines = lines_of(notes)
    assert lines[-1] == "failed TaskTimeout"
    assert int(lines[0]) not in served.children


async def test_waiting_for_a_child_is_no_part_of_the_timeout(
    served: ServedApp, notes: Path
) -> None:
    slow = [await tasks.Sleeps(str(notes), 0.6).options(timeout=30).dispatch() for _ in range(2)]
    quick = await tasks.echo(1).options(timeout=1, max_attempts=1).dispatch()
    assert await quick.result(timeout=PATIENCE) == 1
    for handle in slow:
        assert await handle.result(timeout=PATIENCE) == "slept"


@pytest.mark.parametrize("stubborn", [None, False, True], ids=["sync", "async", "stubborn"])
async def test_cancel_interrupts(served: ServedApp, notes: Path, stubborn: bool | None) -> None:
    made: Any = (
        tasks.Sleeps(str(notes)) if stubborn is None else tasks.SleepsAsync(str(notes), stubborn)
    )
    handle = await made.dispatch()
    await noted(notes)
    await handle.cancel()
    with pytest.raises(TaskCancelled):
        await handle.result(timeout=PATIENCE)
    cleaned = [] if stubborn is None else ["cleaned up True"]
    assert lines_of(notes)[1:] == cleaned
    assert await served.result(tasks.echo(1)) == 1
    assert await served.dead() == []


async def test_cancel_of_what_waits_for_a_child(served: ServedApp, notes: Path) -> None:
    running = await tasks.Sleeps(str(notes)).dispatch()
    await noted(notes)
    behind = await tasks.Sleeps(str(notes)).dispatch()
    async with asyncio.timeout(PATIENCE):
        while await behind.status() is not State.LEASED:
            await asyncio.sleep(0.01)
    await behind.cancel()
    with pytest.raises(TaskCancelled):
        await behind.result(timeout=PATIENCE)
    assert await running.status() is State.LEASED
    await running.cancel()
    with pytest.raises(TaskCancelled):
        await running.result(timeout=PATIENCE)
    assert len(lines_of(notes)) == 1


@pytest.mark.parametrize("kind", [tasks.Sleeps, tasks.SleepsAsync], ids=["sync", "async"])
async def test_stop_gives_back_uncounted(serve: Serve, notes: Path, kind: Any) -> None:
    served = await serve(grace_period=0)
    handle = await kind(str(notes)).dispatch()
    async with served.serving():
        await noted(notes)
    assert await handle.status() is State.READY
    driver = await served.app.driver()
    assert isinstance(driver, SupportsInspect)
    [snapshot] = await driver.find([id_from_text(handle)])
    assert snapshot is not None
    assert snapshot.attempt == 0


SCRIPT = """\
import asyncio, os, sys, time
import asynctasq
from asynctasq import task, Worker

asynctasq.init({{"driver": {url!r}, "process_pool_size": 2}})

@task(process=True)
def busy(path: str) -> str:
    with open(path, "a") as file:
        file.write(f"{{os.getpid()}}\\n")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass
    return "done"

@task(process=True)
def add(one: int, two: int) -> int:
    return one + two

async def main() -> None:
    worker = Worker()
    working = asyncio.create_task(worker.start())
    print(await (await add(1, two=2).dispatch()).result(timeout=60), flush=True)
    await busy(sys.argv[1]).dispatch()
    await working

{guard}asynctasq.run(main())
"""


def start_script(folder: Path, notes: Path, url: str, guard: str) -> "subprocess.Popen[str]":
    (folder / "program.py").write_text(SCRIPT.format(url=url, guard=guard))
    return subprocess.Popen(
        [sys.executable, "program.py", str(notes)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def test_children_end_with_a_worker_that_is_killed(
    tmp_path: Path, notes: Path, sqlite_url: str
) -> None:
    with start_script(tmp_path, notes, sqlite_url, 'if __name__ == "__main__":\n    ') as program:
        assert program.stdout is not None
        assert await asyncio.to_thread(program.stdout.readline) == "3\n"
        busy = int((await noted(notes))[0])
        children = children_of(program.pid)
        assert busy in children
        assert len(children) == 2
        os.killpg(program.pid, signal.SIGINT)  # what a terminal sends: the worker decides
        os.kill(busy, signal.SIGTERM)
        assert is_running(busy)
        program.kill()
        program.wait()
        async with asyncio.timeout(PATIENCE):
            while any(is_running(pid) for pid in children):
                await asyncio.sleep(0.01)


async def test_a_script_without_a_guard_is_told(
    tmp_path: Path, notes: Path, sqlite_url: str
) -> None:
    with start_script(tmp_path, notes, sqlite_url, "") as program:
        assert program.stdout is not None
        lines: list[str] = []
        while "__main__" not in (line := await asyncio.to_thread(program.stdout.readline)):
            lines.append(line)
            assert line, "".join(lines)
        program.kill()
        program.stdout.read()
