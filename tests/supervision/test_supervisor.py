"""`--processes N`: worker processes that are kept running, and end together."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from asynctasq import App, State
from asynctasq.backoff import Backoff
from asynctasq.worker.process.supervisor import Supervisor, how_it_ended
from asynctasq.worker.timing import SupervisorTiming, WorkerTiming
from tests.cli.processes import DEADLINE_SECONDS, WorkerProcess, asynctasq, until
from tests.cli.test_worker_command import result_of
from tests.supervision.probes import ask, port_of

pytestmark = pytest.mark.sampled(5)

StartWorker = Callable[..., WorkerProcess]
Runs = Callable[[], list[list[str]]]
RESTARTS_SOON = WorkerTiming(supervisor=SupervisorTiming(restart=Backoff(0.01, 0.01)))


def is_alive(pid: int) -> bool:
    """Return whether the process exists and has not exited."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    """Process ids of all descendants."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [each for child in map(int, listed) for each in (child, *children_of(child))]


class Pool:
    """A supervisor, and all that it has started."""

    def __init__(self, process: WorkerProcess, port: int) -> None:
        self.process = process
        self.port = port

    def status(self) -> list[dict[str, Any]]:
        processes: list[dict[str, Any]] = ask(self.port, "/status")[1].get("processes", [])
        return processes

    def pids(self) -> list[int]:
        return [each["pid"] for each in self.status()]

    async def ready(self) -> None:
        def all_ready() -> bool:
            return all(
                each["status"] and each["status"].get("phase") == "running"
                for each in self.status() or [{"status": None}]
            )

        await until(all_ready, "all processes run")


@pytest_asyncio.fixture
async def start_pool(start_worker: StartWorker) -> AsyncIterator[Callable[..., Any]]:
    started: set[int] = set()

    async def start(*arguments: str, processes: int = 2) -> Pool:
        process = start_worker(
            "--app", "shop", "--processes", str(processes), "--health-port", "0", *arguments
        )
        pool = Pool(process, await port_of(process))
        await pool.ready()
        started.update(children_of(process.pid))
        return pool

    yield start
    left = [pid for pid in started if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)


async def test_processes_share_the_work_and_end_together(
    app: App, tasks: Any, start_pool: Callable[..., Any], tmp_path: Path
) -> None:
    pool = await start_pool("--concurrency", "1", "--worker-id", "w")
    pids = pool.pids()
    assert len(set(pids)) == 2
    assert [each["status"]["worker_id"] for each in pool.status()] == ["w-1", "w-2"]
    assert {ask(pool.port, path)[0] for path in ("/livez", "/readyz")} == {200}
    handles = [await app.dispatch(tasks.held("go")) for _ in range(2)]
    await until(
        lambda: sum(len(each["status"]["running"]) for each in pool.status()) == 2, "both run"
    )
    pool.process.send(signal.SIGTERM)
    await pool.process.told("stopping worker processes")
    (tmp_path / "go").touch()
    assert await pool.process.ended() == 0
    assert {await result_of(handle) for handle in handles} == set(pids)
    assert not any(map(is_alive, pids))


async def test_one_that_dies_is_replaced_and_its_task_runs_again(
    app: App, tasks: Any, start_pool: Callable[..., Any]
) -> None:
    pool = await start_pool("--lease", "1")
    pids = pool.pids()
    handle = await app.dispatch(tasks.die(int(signal.SIGKILL)))
    await result_of(handle)
    await pool.process.told("was killed by SIGKILL")
    assert "; starting another" in pool.process.output
    await until(lambda: len(set(pool.pids()) - set(pids)) == 1, "another has been started")
    await pool.ready()
    assert sum(each["restarts"] for each in pool.status()) == 1


@pytest.mark.parametrize("ends", ["killed", "leaves"])
async def test_tasks_of_one_that_died_run_again_long_before_their_leases_end(
    ends: str, app: App, tasks: Any, start_pool: Callable[..., Any], tmp_path: Path, runs: Runs
) -> None:
    """`leaves` ends its process with exit code 0, and so without settling what it held."""
    pool = await start_pool("--lease", "3600", "--concurrency", "1")
    ending = tasks.die(int(signal.SIGKILL)) if ends == "killed" else tasks.leave(0)
    handle = await app.dispatch(ending)
    await result_of(handle)
    assert len(runs()) == 2
    await pool.process.told("Ended the leases of ")


async def test_the_only_process_ends_the_leases_of_the_one_before_it(
    app: App, tasks: Any, start_pool: Callable[..., Any]
) -> None:
    await start_pool("--lease", "3600", processes=1)
    await result_of(await app.dispatch(tasks.die(int(signal.SIGKILL))))


async def test_process_tasks_of_a_dead_worker_are_over_before_they_run_again(
    app: App, tasks: Any, start_pool: Callable[..., Any], runs: Runs, tmp_path: Path
) -> None:
    pool = await start_pool("--lease", "3600", "--process-pool-size", "1")
    handle = await app.dispatch(tasks.held_elsewhere("go"))
    await until(runs, "it runs")
    child = int(runs()[0][1])
    [parent] = [pid for pid in pool.pids() if child in children_of(pid)]
    os.kill(parent, signal.SIGKILL)
    await until(lambda: len(runs()) == 2, "it runs again")
    assert not is_alive(child)
    (tmp_path / "go").touch()
    await result_of(handle)


async def test_a_process_that_cannot_be_started_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The interpreter is missing for a moment, as while an environment is upgraded."""
    interpreter = tmp_path / "python"
    ran = tmp_path / "ran"

    def command(number: int, control_fd: int) -> list[str]:
        if "could not be started" in caplog.text and not interpreter.exists():
            interpreter.symlink_to(sys.executable)
        return [str(interpreter), "-c", f"open({str(ran)!r}, 'a').write('{number} ')"]

    caplog.set_level("INFO")
    assert await Supervisor(command, processes=2, burst=True, timing=RESTARTS_SOON).run() == 0
    assert sorted(ran.read_text().split()) == ["1", "2"]
    assert "FileNotFoundError" in caplog.text


@pytest.mark.parametrize("function", ["socket.socketpair", "asyncio.open_connection"])
async def test_a_failed_start_leaves_the_other_processes_alone(
    function: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module, _, name = function.partition(".")
    real = getattr(sys.modules[module], name)
    failures = iter([OSError(24, "Too many open files"), RuntimeError("can't start new thread")])

    def failing(*args: Any, **options: Any) -> Any:
        if error := next(failures, None):
            raise error
        return real(*args, **options)

    monkeypatch.setattr(f"asynctasq.worker.process.supervisor.{function}", failing)
    supervisor = Supervisor(
        lambda *_: [sys.executable, "-c", "pass"], processes=2, burst=True, timing=RESTARTS_SOON
    )
    assert await supervisor.run() == 0
    assert caplog.text.count("could not be started") == 2


async def test_a_process_that_ends_as_soon_as_it_runs_is_replaced_with_any_exit_code(
    app: App, tasks: Any, start_worker: StartWorker
) -> None:
    handle = await app.dispatch(tasks.leave(1))  # as one does that could not start
    worker = start_worker("--app", "shop", "--processes", "1", "--lease", "1")
    await result_of(handle)
    assert "ended with exit code 1; starting another" in worker.output


FAILS_FIRST = """

try:
    Path("first").touch(exist_ok=False)
except FileExistsError:
    pass
else:
    until_there("fail")
    raise RuntimeError("can't start new thread")
"""
"""Code of a module whose first import fails, after another process has begun to work."""


async def test_one_that_cannot_start_ends_no_others_that_run(
    app: App, tasks: Any, start_worker: StartWorker, tmp_path: Path
) -> None:
    module = tmp_path / "shop.py"
    module.write_text(module.read_text() + FAILS_FIRST)
    worker = start_worker("--app", "shop", "--processes", "2", "--health-port", "0")
    port = await port_of(worker)
    await result_of(await app.dispatch(tasks.add(1, 2)))
    await until(
        lambda: (
            "running"
            in [(each["status"] or {}).get("phase") for each in Pool(worker, port).status()]
        ),
        "the supervisor knows that one runs",
    )
    (tmp_path / "fail").touch()
    await worker.told("ended with exit code 1; starting another")
    await Pool(worker, port).ready()


async def test_one_that_is_deaf_to_signals_ends_all_the_same(
    app: App, tasks: Any, start_pool: Callable[..., Any], runs: Runs, tmp_path: Path
) -> None:
    pool = await start_pool(processes=1)
    handle = await app.dispatch(tasks.deafen("go"))
    await until(runs, "the task runs")
    pool.process.send(signal.SIGTERM)
    await pool.process.told("Received SIGTERM; stopping worker ")
    (tmp_path / "go").touch()
    assert await pool.process.ended() == 0
    assert await handle.status() is State.COMPLETED


async def test_a_task_that_cancels_everything_burns_no_attempt_of_others(
    app: App, tasks: Any, start_pool: Callable[..., Any], runs: Runs, tmp_path: Path
) -> None:
    pool = await start_pool("--lease", "1", processes=1)
    handles = [await app.dispatch(each("go")) for each in (tasks.held, tasks.cancel_all)]
    await until(lambda: len(runs()) == 2, "both run")
    (tmp_path / "go").touch()
    for handle in handles:
        await result_of(handle)
    assert "The worker itself was cancelled" in pool.process.output
    assert {attempt for _, _, attempt in runs()} == {"0"}


async def test_a_blocked_process_is_killed_and_replaced(
    app: App, tasks: Any, start_pool: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCTASQ_STALL_LIMIT", "2")
    pool = await start_pool("--lease", "1", processes=1)
    [pid] = pool.pids()
    handle = await app.dispatch(tasks.block_once())
    assert await result_of(handle) != pid
    assert "was killed because its event loop was blocked" in pool.process.output


async def test_one_that_is_stopped_by_a_signal_is_killed_and_replaced(
    app: App, tasks: Any, start_pool: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCTASQ_STALL_LIMIT", "1")
    pool = await start_pool("--lease", "1", processes=1)
    [pid] = pool.pids()
    os.kill(pid, signal.SIGSTOP)
    await pool.process.told("had not answered")
    assert await result_of(await app.dispatch(tasks.add(1, 1))) == 2


async def test_a_second_signal_hurries(
    app: App, tasks: Any, start_pool: Callable[..., Any], runs: Runs
) -> None:
    pool = await start_pool("--grace-period", "3600", processes=1)
    handle = await app.dispatch(tasks.held("never"))
    await until(runs, "the task runs")
    pool.process.send(signal.SIGINT)
    await pool.process.told("stopping worker processes")
    await pool.process.send_again(signal.SIGINT)
    assert await pool.process.ended() == 0
    assert await handle.status() is State.READY


async def test_processes_end_when_their_supervisor_is_killed(
    app: App, tasks: Any, start_pool: Callable[..., Any], runs: Runs
) -> None:
    pool = await start_pool("--grace-period", "0")
    handles = [await app.dispatch(each("never")) for each in (tasks.held, tasks.held_elsewhere)]
    await until(lambda: len(runs()) == 2, "both run")
    everyone = children_of(pool.process.pid)
    assert len(everyone) > 2, "there is a child for process tasks, too"
    pool.process.send(signal.SIGKILL)
    await until(lambda: not any(map(is_alive, everyone)), "all have ended")
    assert {await handle.status() for handle in handles} == {State.READY}


async def test_recycled_processes_are_replaced(
    app: App, tasks: Any, start_pool: Callable[..., Any]
) -> None:
    pool = await start_pool("--max-tasks", "2", processes=1)
    handles = [await app.dispatch(tasks.add(n, n)) for n in range(3)]
    assert [await result_of(handle) for handle in handles] == [0, 2, 4]
    await until(lambda: pool.status()[0]["restarts"] >= 1, "it was replaced")
    assert "ERROR" not in pool.process.output


async def test_burst_ends_all(app: App, tasks: Any, start_worker: StartWorker) -> None:
    handles = [await app.dispatch(tasks.add(n, n)) for n in range(5)]
    worker = start_worker("--app", "shop", "--processes", "2", "--burst")
    assert await worker.ended() == 0
    assert {await handle.status() for handle in handles} == {State.COMPLETED}


async def test_a_wrong_setting_ends_the_supervisor_instead_of_repeating_it() -> None:
    outcome = await asyncio.to_thread(asynctasq, "worker", "--processes", "2", "--app", "absent")
    assert outcome.returncode == 1
    assert "no module 'absent'" in outcome.stderr


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with exit code 0"),
        (-9, "was killed by SIGKILL (out of memory, perhaps)"),
        (-11, "was killed by SIGSEGV"),
        (-64, "was killed by SIGRTMAX"),
        (-99, "was killed by signal 99"),
    ],
)
def test_ends_are_described(code: int, words: str) -> None:
    assert how_it_ended(code) == words


ENDS_SOON = """\
import sys
from asynctasq.cli.worker import command
from asynctasq.worker.timing import WatchdogTiming, WorkerTiming
timing = WorkerTiming(watchdog=WatchdogTiming(last=0.2))
command.main(sys.argv[1:], prog_name="asynctasq worker", obj=timing)
"""


@pytest.mark.parametrize("what", ["endless_thread", "endless_wait"])
async def test_nothing_that_a_task_leaves_keeps_the_process(
    app: App, tasks: Any, tmp_path: Path, what: str
) -> None:
    await app.dispatch(getattr(tasks, what)())
    (tmp_path / "ends_soon.py").write_text(ENDS_SOON)
    command = [sys.executable, "ends_soon.py", "--app", "shop", "--burst"]
    ended = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=DEADLINE_SECONDS
    )
    assert ended.returncode == 0
    assert "something keeps the process running" in ended.stderr
