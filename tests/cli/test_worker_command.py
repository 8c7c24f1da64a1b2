"""`asynctasq worker`: real processes on an SQLite file."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from asynctasq import App, Handle, State
from asynctasq.contracts.capabilities import Snapshot, SupportsInspect
from asynctasq.message import id_from_text
from tests.cli.processes import DEADLINE_SECONDS, WorkerProcess, run_program, until

pytestmark = pytest.mark.sampled(2)

StartWorker = Callable[..., WorkerProcess]
Runs = Callable[[], list[list[str]]]


async def result_of(handle: Handle[Any]) -> Any:
    return await handle.result(timeout=DEADLINE_SECONDS)


async def snapshot_of(app: App, handle: str) -> Snapshot:
    driver = await app.driver()
    assert isinstance(driver, SupportsInspect)
    [found] = await driver.find([id_from_text(handle)])
    assert found is not None
    return found


async def test_tasks_run_in_another_process_than_their_dispatch(
    app: App, tasks: Any, start_worker: StartWorker
) -> None:
    total = await app.dispatch(tasks.add(2, 3))
    where = await app.dispatch(tasks.held(until="tasks.py"))
    worker = start_worker("--app", "tasks")
    assert await result_of(total) == 5
    assert await result_of(where) == worker.pid


async def test_the_start_logs_queues_and_tasks(tmp_path: Path, start_worker: StartWorker) -> None:
    (tmp_path / "tasks.py").write_text(
        "from asynctasq import task\n@task(queue='mail')\nasync def post() -> None: ...\n"
    )
    worker = start_worker("--app", "tasks", "--concurrency", "7", "--worker-id", "w1", "--burst")
    assert await worker.ended() == 0
    [line] = [line for line in worker.output.splitlines() if " started (" in line]
    for part in (
        str(tmp_path / "asynctasq.db"),
        "queues=mail,default",
        "concurrency=7",
        "tasks=tasks:post",
        "w1",
    ):
        assert part in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_running_task_may_finish_at_the_end(
    number: signal.Signals,
    app: App,
    tasks: Any,
    start_worker: StartWorker,
    runs: Runs,
    tmp_path: Path,
) -> None:
    handle = await app.dispatch(tasks.held(until="go"))
    worker = start_worker("--app", "tasks")
    await until(runs, "the task runs")
    worker.send(number)
    await worker.told("stopping worker")
    late = await app.dispatch(tasks.add(1, 1))
    (tmp_path / "go").touch()
    assert await result_of(handle) == worker.pid
    assert await worker.ended() == 0
    assert len(runs()) == 1
    assert await late.status() is State.READY


async def test_what_does_not_finish_in_time_is_given_back_uncounted(
    app: App, tasks: Any, start_worker: StartWorker, runs: Runs, tmp_path: Path
) -> None:
    handle = await app.dispatch(tasks.held(until="go"))
    worker = start_worker("--app", "tasks", "--grace-period", "0")
    await until(runs, "the task runs")
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0
    assert "interrupting 1 running tasks" in worker.output
    assert f"{handle} of tasks:held was released: worker stopping" in worker.output
    given_back = await snapshot_of(app, handle)
    assert (given_back.state, given_back.attempt, given_back.lost) == (State.READY, 0, 0)
    (tmp_path / "go").touch()
    following = start_worker("--app", "tasks")
    assert await result_of(handle) == following.pid
    assert runs()[-1] == ["held", str(following.pid), "0"]


async def test_a_second_signal_does_not_wait_for_running_tasks(
    app: App, tasks: Any, start_worker: StartWorker, runs: Runs
) -> None:
    handle = await app.dispatch(tasks.held(until="never"))
    worker = start_worker("--app", "tasks", "--grace-period", "3600")
    await until(runs, "the task runs")
    worker.send(signal.SIGTERM)
    await worker.told("stopping worker")
    await worker.send_again(signal.SIGTERM)
    assert await worker.ended() == 0
    assert await handle.status() is State.READY


async def test_a_killed_worker_loses_nothing(
    app: App, tasks: Any, start_worker: StartWorker, runs: Runs, tmp_path: Path
) -> None:
    handle = await app.dispatch(tasks.held(until="go"))
    worker = start_worker("--app", "tasks", "--lease", "0.5")
    await until(runs, "the task runs")
    worker.send(signal.SIGKILL)
    assert await worker.ended() == -signal.SIGKILL
    following = start_worker("--app", "tasks")
    await until(lambda: len(runs()) == 2, "the task runs again")
    again = await snapshot_of(app, handle)
    assert (again.state, again.attempt, again.lost) == (State.LEASED, 0, 1)
    (tmp_path / "go").touch()
    assert await result_of(handle) == following.pid


async def test_a_thread_that_cannot_be_interrupted_does_not_keep_the_process(
    app: App, tasks: Any, start_worker: StartWorker, runs: Runs
) -> None:
    handle = await app.dispatch(tasks.stubborn(until="never"))
    worker = start_worker("--app", "tasks", "--grace-period", "0")
    await until(runs, "the task runs")
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0
    assert "tasks:stubborn" in worker.output
    assert await handle.status() is State.READY


@pytest.mark.usefixtures("tasks")
async def test_a_worker_on_the_memory_driver_warns(start_worker: StartWorker) -> None:
    worker = start_worker("--app", "tasks", "--driver", "memory", "--burst")
    assert await worker.ended() == 0
    assert "does not receive tasks that other programs dispatch" in worker.output


async def test_burst_ends_when_everything_is_done(
    app: App, tasks: Any, start_worker: StartWorker
) -> None:
    handles = await app.dispatch_many([*(tasks.add(n, n) for n in range(50)), tasks.flaky()])
    worker = start_worker("--app", "tasks", "--burst")
    assert await worker.ended() == 0
    states = await asyncio.gather(*(handle.status() for handle in handles))
    assert set(states) == {State.COMPLETED}


async def test_max_tasks_ends_after_so_many_runs(
    app: App, tasks: Any, start_worker: StartWorker
) -> None:
    handles = await app.dispatch_many([tasks.add(n, n) for n in range(5)])
    worker = start_worker("--app", "tasks", "--max-tasks", "2")
    assert await worker.ended() == 0
    states = [await handle.status() for handle in handles]
    assert sorted(states) == [State.COMPLETED] * 2 + [State.READY] * 3


async def test_only_the_named_queues_are_served_in_their_order(
    app: App, tasks: Any, start_worker: StartWorker
) -> None:
    other = await app.dispatch(tasks.add(1, 1))
    letter = await app.dispatch(tasks.letter(1))
    worker = start_worker("--app", "tasks", "-q", "urgent,letters", "-q", "low:3", "--burst")
    assert await worker.ended() == 0
    assert "queues=urgent,letters,low" in worker.output
    assert await letter.status() is State.COMPLETED
    assert await other.status() is State.READY


async def test_a_queue_with_a_limit_goes_on_as_soon_as_there_is_room(
    app: App, tasks: Any, start_worker: StartWorker
) -> None:
    handles = await app.dispatch_many([tasks.letter(n) for n in range(20)])
    start_worker("--app", "tasks", "--queues", "letters:1,default")
    assert [await result_of(handle) for handle in handles] == list(range(20))


async def test_a_module_in_the_folder_is_found_by_the_names_of_its_tasks(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    """`python app.py` in one terminal, `asynctasq worker` in the other."""
    (tmp_path / "app.py").write_text(
        """\
import asynctasq

asynctasq.init({"driver": "sqlite"})


@asynctasq.task
async def double(number: int) -> int:
    return 2 * number


async def main() -> None:
    handle = await double.dispatch(21)
    print("result", await handle.result(timeout=30))


if __name__ == "__main__":
    asynctasq.run(main())
"""
    )
    worker = start_worker("--concurrency", "3")
    await worker.told(" started (")
    await worker.told("No tasks are registered")
    assert await run_program("app.py") == "result 42\n"
    await worker.told("app:double completed")


async def test_an_app_of_its_own_is_served_with_its_lifespan(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    (tmp_path / "shop.py").write_text(
        """\
from contextlib import asynccontextmanager
from asynctasq import App, current_task, task


@asynccontextmanager
async def lifespan(app):
    yield "a pool"


queue = App({"driver": "sqlite", "sqlite": {"path": "shop.db"}}, lifespan=lifespan)


@task
async def resources() -> str:
    return current_task().resources


@task
async def parent() -> str:
    return str(await resources.dispatch())
"""
    )
    worker = start_worker("--app", "shop:queue")
    await worker.told("shop.db")
    async with App({"driver": "sqlite", "sqlite": {"path": "shop.db"}}) as app:
        program = "import asynctasq, shop\n"
        program += "async def main():\n"
        program += "    async with shop.queue: print(await shop.parent.dispatch(), end='')\n"
        program += "asynctasq.run(main())"
        child = await result_of(app.handle(await run_program("-c", program)))
        assert await result_of(app.handle(child)) == "a pool"


LINES = [
    pytest.param(
        [], ["add completed in", "run 1 of 2", "try again", "sleepy snoozed for 60 s"], id="info"
    ),
    pytest.param(["--log-level", "debug"], ["Traceback", "add completed in"], id="debug"),
]


@pytest.mark.parametrize(("arguments", "parts"), LINES)
async def test_every_task_gets_a_line(
    arguments: Sequence[str], parts: Sequence[str], app: App, tasks: Any, start_worker: StartWorker
) -> None:
    await app.dispatch_many([tasks.add(1, 1), tasks.flaky(), tasks.sleepy()])
    worker = start_worker("--app", "tasks", "--burst", *arguments)
    assert await worker.ended() == 0
    for part in parts:
        assert part in worker.output


async def test_at_level_warning_there_is_no_line_for_each_task(
    app: App, tasks: Any, start_worker: StartWorker
) -> None:
    await app.dispatch_many([tasks.add(1, 1), tasks.add(1, 2)])
    worker = start_worker("--app", "tasks", "--burst", "--log-level", "warning")
    assert await worker.ended() == 0
    assert worker.output == ""


async def test_logging_of_the_application_is_left_alone(
    tmp_path: Path, app: App, tasks: Any, start_worker: StartWorker
) -> None:
    (tmp_path / "main.py").write_text(
        "import logging\nlogging.basicConfig(format='mine %(message)s', level='INFO')\nimport tasks\n"
    )
    await app.dispatch(tasks.add(1, 1))
    worker = start_worker("--app", "main", "--burst")
    assert await worker.ended() == 0
    assert all(line.startswith("mine ") for line in worker.output.splitlines())
    assert "tasks:add completed" in worker.output
