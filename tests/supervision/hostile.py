"""Tasks that do to their process what a task should not, in every mode."""

import asyncio
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asynctasq import AsyncProcessTask, AsyncTask, SyncProcessTask, SyncTask, task


class Nameless(type):
    """Classes that refuse to be named."""

    def __getattribute__(cls, name: str) -> Any:
        if name in {"__module__", "__qualname__"}:
            raise RuntimeError(name)
        return super().__getattribute__(name)


class Unnameable(Exception, metaclass=Nameless):
    """An exception of such a class."""


class ExitsWhenShown(Exception):
    """Its text cannot be asked for."""

    def __str__(self) -> str:
        raise SystemExit(3)


def unnameable() -> None:
    raise Unnameable


def unshowable() -> None:
    raise ExitsWhenShown


def endless_cause() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


def exits_in_a_group() -> None:
    raise BaseExceptionGroup("several", [SystemExit(1), KeyboardInterrupt()])


def recurses() -> None:
    recurses()


def exit_of(fork: int) -> str:
    return f"exit code {os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])}"


def fork_returns() -> str:
    """Fork, and let the child continue as if it were the worker; it must not get far."""
    if (fork := os.fork()) == 0:
        return "never told"
    return exit_of(fork)


def fork_raises() -> str:
    if (fork := os.fork()) == 0:
        raise RuntimeError("never told")
    return exit_of(fork)


def pool_of_forks() -> list[int]:
    """Its end sends SIGTERM to the forks, which must not reach the worker."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2])


def fork_is_terminated() -> int | None:
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    process.terminate()
    process.join()
    return process.exitcode


def leaves_a_daemon() -> None:
    """Start a daemon that holds the worker's files until the worker process terminates it on exit."""
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True).start()


def takes_all_exits() -> None:
    """Reap all children of the worker, including those that others wait for."""
    subprocess.Popen(["true"])
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def is_deaf() -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def cuts_signals_off() -> None:
    if threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(-1)


def stands_nowhere() -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    Path(folder).rmdir()


def closes_its_output() -> None:
    sys.stdout.close()
    print("never shown")


def has_no_output() -> None:
    sys.stdout = None


def traces() -> None:
    def trace(*_: object) -> None:
        raise RuntimeError("traced")

    sys.settrace(trace)


def profiles() -> None:
    sys.setprofile(lambda *_: None)


def collects_nothing() -> None:
    gc.freeze()
    gc.disable()


def takes_no_turns() -> None:
    sys.setswitchinterval(100)


def exits_when_deleted() -> None:
    class Exits:
        def __del__(self) -> None:
            sys.exit(4)

    Exits()


def hides_modules() -> None:
    """Make later imports of two modules fail."""
    sys.modules["msgpack"] = sys.modules["json"] = None  # type: ignore[assignment]  # what hostile tasks do  # as a hostile task does


ANYWHERE: dict[str, Callable[[], Any]] = {
    each.__name__: each
    for each in (
        unnameable,
        unshowable,
        endless_cause,
        exits_in_a_group,
        recurses,
        fork_returns,
        fork_raises,
        pool_of_forks,
        fork_is_terminated,
        leaves_a_daemon,
        takes_all_exits,
        is_deaf,
        cuts_signals_off,
        stands_nowhere,
        closes_its_output,
        has_no_output,
        traces,
        profiles,
        collects_nothing,
        takes_no_turns,
        exits_when_deleted,
        hides_modules,
    )
}


async def stops_the_loop() -> None:
    asyncio.get_running_loop().stop()


async def closes_the_loop() -> None:
    asyncio.get_running_loop().close()


async def replaces_tasks() -> None:
    asyncio.get_running_loop().set_task_factory(lambda *_, **__: 1 / 0)  # type: ignore[arg-type]  # what hostile tasks do  # same


async def ends_the_threads() -> None:
    await asyncio.get_running_loop().shutdown_default_executor()


async def takes_the_handlers() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)


async def awaits_nonsense() -> None:
    class Nonsense:
        def __await__(self) -> Any:
            yield 5

    await Nonsense()


async def cancels_itself() -> None:
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    await asyncio.sleep(60)


async def fork_awaits() -> str:
    if (fork := os.fork()) == 0:
        await asyncio.sleep(60)
    return exit_of(fork)


async def handles_errors() -> None:
    """Set an exception handler that raises, and cause an error outside of tasks."""

    def handle(*_: object) -> None:
        raise RuntimeError("handled")

    asyncio.get_running_loop().set_exception_handler(handle)
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)


ON_LOOPS: dict[str, Callable[[], Any]] = {
    each.__name__: each
    for each in (
        stops_the_loop,
        closes_the_loop,
        replaces_tasks,
        ends_the_threads,
        takes_the_handlers,
        awaits_nonsense,
        cancels_itself,
        fork_awaits,
        handles_errors,
    )
}


class InLoop(AsyncTask[Any]):
    max_attempts = 1

    def __init__(self, what: str) -> None:
        self.what = what

    async def execute(self) -> Any:
        return await ON_LOOPS[self.what]() if self.what in ON_LOOPS else ANYWHERE[self.what]()


class InThread(SyncTask[Any]):
    max_attempts = 1

    def __init__(self, what: str) -> None:
        self.what = what

    def execute(self) -> Any:
        return ANYWHERE[self.what]()


class InChild(SyncProcessTask[Any]):
    max_attempts = 1

    def __init__(self, what: str) -> None:
        self.what = what

    def execute(self) -> Any:
        return ANYWHERE[self.what]()


class InChildLoop(AsyncProcessTask[Any]):
    max_attempts = 1

    def __init__(self, what: str) -> None:
        self.what = what

    async def execute(self) -> Any:
        return await ON_LOOPS[self.what]() if self.what in ON_LOOPS else ANYWHERE[self.what]()


@task
async def well_on_loop() -> int:
    await asyncio.sleep(0)
    return os.getpid()


@task
def well_in_thread() -> int:
    return os.getpid()


@task(process=True)
def well_in_child() -> int:
    return os.getpid()


@task(process=True)
async def well_in_child_loop() -> int:
    await asyncio.sleep(0)
    return os.getpid()


WELL = (well_on_loop, well_in_thread, well_in_child, well_in_child_loop)
