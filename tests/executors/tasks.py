"""Tasks for the tests of executors: one of each kind in every mode."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asynctasq import (
    AsyncProcessTask,
    AsyncTask,
    Reject,
    Retry,
    Snooze,
    SyncProcessTask,
    SyncTask,
    current_task,
    task,
)

MODES = {
    "loop": AsyncTask,
    "thread": SyncTask,
    "async process": AsyncProcessTask,
    "sync process": SyncProcessTask,
}


def note(path: str, *words: object) -> None:
    """Append a line to a file that the test reads."""
    with Path(path).open("a") as file:
        file.write(" ".join(map(str, words)) + "\n")


def act(what: str, path: str, argument: Any) -> Any:
    """Misbehave, or tell something."""
    answer = actions[what](path, argument)
    return what if answer is None else answer


def say(path: str, argument: Any) -> None:
    note(path, "runs", current_task().attempt)


def snooze(path: str, seconds: float) -> None:
    note(path, "runs", current_task().attempt)
    if len(Path(path).read_text().splitlines()) == 1:
        raise Snooze(seconds)


def reject(path: str, reason: str) -> None:
    raise Reject(reason)


def retry(path: str, delay: float) -> None:
    note(path, "runs", current_task().attempt)
    if current_task().attempt == 0:
        raise Retry(delay=delay)


def always_retry(path: str, delay: float) -> None:
    note(path, "runs", current_task().attempt)
    raise Retry(delay=delay)


class Unbuildable(Exception):
    """Cannot be rebuilt from its arguments, nor shown, nor pickled."""

    def __init__(self, one: object, two: object) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def __str__(self) -> str:
        raise ValueError("no text")

    def __reduce__(self) -> Any:
        raise TypeError("no pickle")


def unbuildable(path: str, argument: Any) -> None:
    raise Unbuildable(1, 2)


def leave(path: str, argument: Any) -> None:
    sys.exit(argument)


def interrupt(path: str, argument: Any) -> None:
    raise KeyboardInterrupt


class Odd(BaseException):
    """No Exception."""


def odd(path: str, argument: Any) -> None:
    raise Odd("odd")


def move(path: str, argument: Any) -> None:
    os.chdir("/")


def deafen(path: str, argument: Any) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def unserializable(path: str, argument: Any) -> Any:
    return threading.Lock()


def huge(path: str, size: int) -> bytes:
    return b"x" * size


actions: dict[str, Callable[[str, Any], Any]] = {
    each.__name__: each
    for each in (
        say,
        snooze,
        reject,
        retry,
        always_retry,
        unbuildable,
        leave,
        interrupt,
        odd,
        move,
        deafen,
        unserializable,
        huge,
    )
}


class InLoop(AsyncTask[Any]):
    """Acts on the loop."""

    max_attempts = 2
    retry_delay = 0

    def __init__(self, what: str, path: str, argument: Any = None) -> None:
        self.what, self.path, self.argument = what, path, argument

    async def execute(self) -> Any:
        return act(self.what, self.path, self.argument)

    async def failed(self, exception: Exception) -> None:
        note(self.path, "failed", type(exception).__name__)


class InThread(SyncTask[Any]):
    """Acts in a thread."""

    max_attempts = 2
    retry_delay = 0

    def __init__(self, what: str, path: str, argument: Any = None) -> None:
        self.what, self.path, self.argument = what, path, argument

    def execute(self) -> Any:
        return act(self.what, self.path, self.argument)

    def failed(self, exception: Exception) -> None:
        note(self.path, "failed", type(exception).__name__)


class InProcess(SyncProcessTask[Any]):
    """Acts in a process."""

    max_attempts = 2
    retry_delay = 0

    def __init__(self, what: str, path: str, argument: Any = None) -> None:
        self.what, self.path, self.argument = what, path, argument

    def execute(self) -> Any:
        return act(self.what, self.path, self.argument)

    def failed(self, exception: Exception) -> None:
        note(self.path, "failed", type(exception).__name__)


class InProcessLoop(AsyncProcessTask[Any]):
    """Acts on the loop of a process."""

    max_attempts = 2
    retry_delay = 0

    def __init__(self, what: str, path: str, argument: Any = None) -> None:
        self.what, self.path, self.argument = what, path, argument

    async def execute(self) -> Any:
        await asyncio.sleep(0)
        return act(self.what, self.path, self.argument)

    async def failed(self, exception: Exception) -> None:
        note(self.path, "failed", type(exception).__name__)


@task(process=True)
def where() -> tuple[int, str]:
    """Process and thread."""
    return os.getpid(), threading.current_thread().name


@task(process=True)
async def where_async() -> tuple[int, str]:
    """Process and thread."""
    await asyncio.sleep(0)
    return os.getpid(), threading.current_thread().name


@task(process=True)
def echo(value: Any) -> Any:
    """Return the argument."""
    return value


@task(process=True)
def own_loop() -> str:
    """Run an event loop in a sync task."""

    async def inner() -> str:
        return "ran"

    return asyncio.run(inner())


@task(process=True)
def about() -> list[Any]:
    """Return the data of `current_task()`."""
    it = current_task()
    it.report({"half": True})
    return [it.id, it.name, it.queue, it.attempt, it.max_attempts, dict(it.headers), it.cancelled]


@task(process=True, max_attempts=1)
def die(how: str) -> None:
    """End its process."""
    if how == "exit":
        os._exit(3)
    elif how == "closes files":
        os.closerange(3, 256)
    elif how == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
        kept = bytearray(2**31)
        note("/dev/null", len(kept))
    else:
        os.kill(os.getpid(), getattr(signal, how))


@task(process=True, max_attempts=1)
async def closes_files() -> None:
    """Close what its event loop needs."""
    os.closerange(3, 256)
    await asyncio.sleep(0.01)


@task(process=True)
def folder() -> str:
    """Return the current folder of the process."""
    return str(Path.cwd())


@task
async def moves() -> None:
    """Change the worker's folder."""
    os.chdir("/")


class DiesOnce(SyncProcessTask[str]):
    """Kills its process, and records the calls of its hooks."""

    max_attempts = 2
    retry_delay = 0

    def __init__(self, path: str, retry: bool) -> None:
        self.path, self.retry = path, retry

    def execute(self) -> str:
        note(self.path, "runs", self._current_attempt)
        if self._current_attempt == 0 or not self.retry:
            os._exit(9)
        return "second run"

    def should_retry(self, exception: Exception) -> bool:
        note(self.path, "asked", type(exception).__name__)
        return self.retry

    def failed(self, exception: Exception) -> None:
        note(self.path, "failed", type(exception).__name__, "exit code 9" in str(exception))


class Ponders(SyncProcessTask[None]):
    """Kills its process, and cannot decide what to say of that."""

    max_attempts = 1

    def execute(self) -> None:
        os._exit(6)

    def should_retry(self, exception: Exception) -> bool:
        time.sleep(60)
        return True


class DiesForEver(SyncProcessTask[None]):
    """Kills the child process in which it is built."""

    max_attempts = 1

    def __init__(self) -> None:
        if "asynctasq.executors.process.main" in sys.modules:  # in a child only
            os._exit(5)

    def execute(self) -> None:
        """Never gets here."""


class Remembers(SyncProcessTask[None]):
    """Its hooks see what it did."""

    max_attempts = 2
    retry_delay = 0

    def __init__(self, path: str) -> None:
        self.path = path
        self.pid = 0

    def execute(self) -> None:
        self.pid = os.getpid()
        self.error = LookupError("original")
        raise self.error

    def should_retry(self, exception: Exception) -> bool:
        note(self.path, "asked", exception is self.error, self.pid == os.getpid())
        return True

    def failed(self, exception: Exception) -> None:
        note(self.path, "failed", exception is self.error, self.pid == os.getpid())


class RemembersAsync(AsyncProcessTask[None]):
    """Its async hooks see what it did."""

    max_attempts = 1

    def __init__(self, path: str) -> None:
        self.path = path

    async def execute(self) -> None:
        self.error = LookupError("original")
        raise self.error

    async def should_retry(self, exception: Exception) -> bool:
        await asyncio.sleep(0)
        note(self.path, "asked", exception is self.error)
        return False

    async def failed(self, exception: Exception) -> None:
        await asyncio.sleep(0)
        note(self.path, "failed", exception is self.error)
        raise OSError("the hook fails as well")


class Sleeps(SyncProcessTask[str]):
    """Takes its time."""

    max_attempts = 1

    def __init__(self, path: str, seconds: float = 60.0) -> None:
        self.path, self.seconds = path, seconds

    def execute(self) -> str:
        note(self.path, os.getpid())
        time.sleep(self.seconds)
        return "slept"

    def failed(self, exception: Exception) -> None:
        note(self.path, "failed", type(exception).__name__)


class SleepsAsync(AsyncProcessTask[str]):
    """Takes its time, and cleans up unless it is stubborn."""

    max_attempts = 1

    def __init__(self, path: str, stubborn: bool = False) -> None:
        self.path, self.stubborn = path, stubborn

    async def execute(self) -> str:
        note(self.path, os.getpid())
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                note(self.path, "cleaned up", current_task().cancelled)
                if not self.stubborn:
                    raise

    async def failed(self, exception: Exception) -> None:
        note(self.path, "failed", type(exception).__name__)


@task(process=True)
def grow(size: int) -> int:
    """Take memory and keep it."""
    kept.append(b"x" * size)
    return os.getpid()


kept: list[bytes] = []
initialized: list[int] = []


def initialize() -> None:
    """Initialize the process."""
    initialized.append(os.getpid())


def initialize_badly() -> None:
    """Fail to initialize the process."""
    raise ConnectionError("no database for children")


@task(process=True)
def initialized_in() -> tuple[int, list[int]]:
    """Return this process and those in which the initializer has run."""
    return os.getpid(), initialized


@task(process=True)
async def dispatches(value: int) -> str:
    """Dispatch another task."""
    return str(await echo(value).dispatch())


@task(process=True)
def dispatches_sync(value: int) -> str:
    """Dispatch another task."""
    return str(echo(value).dispatch_sync())


@task(process=True)
def subprocess_of_its_own() -> int:
    """SIGTERM ends what a task starts."""
    with subprocess.Popen(["sleep", "60"]) as process:
        process.terminate()
        return process.wait()


@task
def looks_for_cancel(path: str) -> str:
    """Run in a thread until the task is cancelled."""
    note(path, "runs")
    while not current_task().cancelled:
        time.sleep(0.01)
    current_task().check_cancelled()
    return "not reached"


@task(timeout=0.05, max_attempts=1)
def looks_for_timeout() -> None:
    """Run in a thread until the timeout."""
    while True:
        current_task().check_cancelled()
        time.sleep(0.01)


@task
def reports_and_dispatches(value: int) -> str:
    """From a thread."""
    current_task().report(value)
    return str(echo_in_thread(value).dispatch_sync())


@task
def echo_in_thread(value: Any) -> Any:
    """Return the argument."""
    return value
