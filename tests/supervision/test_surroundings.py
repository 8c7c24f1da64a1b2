"""Worker processes in odd surroundings: closed descriptors, process 1, ignored SIGCHLD, silenced logs."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asynctasq import App
from asynctasq.errors import TaskFailed
from asynctasq.logs.stream import StderrHandler
from tests.cli.processes import COMMAND, DEADLINE_SECONDS, WorkerProcess, asynctasq
from tests.cli.projects import imported
from tests.cli.test_worker_command import result_of

pytestmark = pytest.mark.sampled(5)

StartWorker = Callable[..., WorkerProcess]

TASKS = """
import asyncio
import logging
import contextvars
import logging.config
import signal
from signal import signal as change_handler
import asynctasq


@asynctasq.task(max_attempts=1)
async def silences() -> None:
    logging.config.dictConfig({"version": 1})
    raise ValueError("the bank is closed")


@asynctasq.task(max_attempts=1)
async def disables() -> None:
    logging.disable(logging.CRITICAL)
    await asyncio.sleep(2)


@asynctasq.task(process=True)
def silences_child() -> bool:
    logging.config.dictConfig({"version": 1})
    return logging.getLogger("asynctasq").isEnabledFor(logging.ERROR)


@asynctasq.task
async def ignores_children() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


@asynctasq.task
async def ignores_children_by_name() -> None:
    change_handler(signal.SIGCHLD, signal.SIG_IGN)


class NeedsRequest(logging.Filter):
    request = contextvars.ContextVar[str]("request")

    def filter(self, record: logging.LogRecord) -> bool:
        record.request = self.request.get()
        return True


@asynctasq.task(max_attempts=1)
async def breaks_logging() -> None:
    for handler in logging.getLogger().handlers:
        handler.addFilter(NeedsRequest())
    raise ValueError("the bank is closed")


@asynctasq.task(process=True, max_attempts=1)
def breaks_logging_elsewhere() -> None:
    logging.getLogger("asynctasq").addFilter(NeedsRequest())
    raise ValueError("the bank is closed")


@asynctasq.task
async def logs_much() -> None:
    for number in range(2000):
        logging.getLogger("odd").warning("line %d %s", number, "x" * 100)


@asynctasq.task(process=True)
def logs_much_elsewhere() -> None:
    for number in range(2000):
        logging.getLogger("odd").warning("line %d %s", number, "x" * 100)


@asynctasq.task
async def runs_programs() -> int:
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
    return await process.wait()


@asynctasq.task(process=True)
async def runs_programs_elsewhere() -> int:
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
    return await process.wait()


@asynctasq.task(process=True)
def ignores_children_elsewhere() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


@asynctasq.task
async def loop_name() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


@asynctasq.task(process=True)
async def loop_name_elsewhere() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]
"""


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    with imported("odd", TASKS, tmp_path, monkeypatch) as module:
        yield module


BURST = ("--app", "odd", "--burst", "--process-pool-size", "1")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
async def test_closed_descriptors_change_nothing(
    closed: tuple[int, ...], app: App, odd: Any
) -> None:
    handle = await app.dispatch(odd.loop_name_elsewhere())

    def close() -> None:
        for fd in closed:
            os.close(fd)

    process = await asyncio.to_thread(
        subprocess.run,
        [*COMMAND, "worker", *BURST],
        preexec_fn=close,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert process.returncode == 0
    assert await result_of(handle)


FIRST = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: adopts orphans, as process 1 does
from asynctasq.worker.process import init_process
init_process.FIRST_PID = os.getpid()
init_process.be_init_if_first()
assert os.getppid() == init_process.FIRST_PID
orphan = int(subprocess.run(["sh", "-c", "true & echo $!"], capture_output=True, check=True).stdout)
while os.path.exists(f"/proc/{orphan}"):
    pass
if sys.argv[1] == "signal":
    import signal
    signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
    os.kill(init_process.FIRST_PID, signal.SIGTERM)
    signal.pause()
os._exit(int(sys.argv[1])) if sys.argv[1] != "kill" else os.abort()
"""


@pytest.mark.parametrize(("end", "code"), [("7", 7), ("kill", 128 + 6), ("signal", 5)])
def test_process_1_waits_for_orphans_and_passes_signals_on(end: str, code: int) -> None:
    process = subprocess.run(
        [sys.executable, "-c", FIRST, end], timeout=DEADLINE_SECONDS, check=False
    )
    assert process.returncode == code


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("mode", ["loop", "loop by name", "process"])
async def test_a_task_that_ignores_sigchld_does_not_keep_others_from_their_programs(
    loop: str, mode: str, app: App, odd: Any
) -> None:
    ignores, runs = {
        "loop": (odd.ignores_children, odd.runs_programs),
        "loop by name": (odd.ignores_children_by_name, odd.runs_programs),
        "process": (odd.ignores_children_elsewhere, odd.runs_programs_elsewhere),
    }[mode]
    first = await app.dispatch(ignores())
    second = await app.dispatch(runs())
    outcome = await asyncio.to_thread(asynctasq, "worker", *BURST, "--loop", loop)
    assert outcome.returncode == 0
    assert await result_of(first) is None
    assert await result_of(second) == 7


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_the_event_loop_can_be_chosen(loop: str, app: App, odd: Any) -> None:
    handles = [await app.dispatch(each()) for each in (odd.loop_name, odd.loop_name_elsewhere)]
    assert (
        await asyncio.to_thread(asynctasq, "worker", *BURST, ASYNCTASQ_LOOP=loop)
    ).returncode == 0
    assert [await result_of(handle) for handle in handles] == [loop, loop]


async def test_a_task_cannot_silence_its_worker(app: App, odd: Any) -> None:
    await app.dispatch(odd.silences())
    child = await app.dispatch(odd.silences_child())
    outcome = await asyncio.to_thread(asynctasq, "worker", *BURST)
    assert "the bank is closed" in outcome.stderr
    assert await result_of(child) is True


async def test_logging_that_is_switched_off_is_reported_on_stderr(app: App, odd: Any) -> None:
    await app.dispatch(odd.disables())
    outcome = await asyncio.to_thread(asynctasq, "worker", *BURST)
    assert (
        "errors of this worker are not logged, as logging.disable(50) was called" in outcome.stderr
    )


async def test_a_log_filter_that_raises_costs_no_task_and_no_record(app: App, odd: Any) -> None:
    failing = [
        await app.dispatch(each()) for each in (odd.breaks_logging, odd.breaks_logging_elsewhere)
    ]
    fine = await app.dispatch(odd.loop_name())
    outcome = await asyncio.to_thread(asynctasq, "worker", *BURST, "--concurrency", "1")
    assert outcome.returncode == 0
    assert await result_of(fine)
    for handle in failing:
        with pytest.raises(TaskFailed, match="the bank is closed"):
            await result_of(handle)
        told = f"logging failed (LookupError): ERROR: Task {handle}"
        assert any(told in line for line in outcome.stderr.splitlines())


@pytest.mark.parametrize("kind", ["pipe", "socket"])
@pytest.mark.parametrize("options", [(), ("--processes", "1")], ids=["alone", "supervised"])
async def test_a_log_that_nobody_reads_stops_nothing(
    kind: str, options: tuple[str, ...], app: App, odd: Any
) -> None:
    handles = [
        await app.dispatch(each())
        for each in (odd.logs_much, odd.logs_much_elsewhere, odd.loop_name)
    ]
    if kind == "pipe":
        read, write = os.pipe()
    else:
        read, write = (each.detach() for each in socket.socketpair())
    worker = subprocess.Popen(  # noqa: ASYNC220  started at once, and watched from here
        [*COMMAND, "worker", *BURST[:2], *BURST[3:], *options], stderr=write
    )
    os.close(write)
    try:
        for handle in handles:
            await result_of(handle)
        worker.terminate()
        assert await asyncio.to_thread(worker.wait, DEADLINE_SECONDS) == 0
    finally:
        worker.kill()
        worker.wait()
        os.close(read)


def test_dropped_records_are_counted_and_lines_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader, os.fdopen(write, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        handler = StderrHandler()

        def log(text: str) -> None:
            handler.emit(logging.makeLogRecord({"msg": text}))

        log("x" * 2**20)  # more than a pipe holds: its end is cut off
        log("lost")
        first = os.read(reader.fileno(), 2**20)
        log("after")
        lines = os.read(reader.fileno(), 2**20).decode().splitlines()
    assert set(first) == {ord("x")}
    assert lines == ["", "asynctasq: 1 log records were dropped: stderr was full.", "after"]
