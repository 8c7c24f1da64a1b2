"""Tasks for the checks of executors: the same behavior as async and as sync tasks, in every mode."""

# ruff: noqa: ARG001 - all behaviors take the same arguments

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from asynctasq.errors import ArgumentsMismatch
from asynctasq.serializers.custom_types import register_type
from asynctasq.tasks.base import AsyncProcessTask, AsyncTask, SyncProcessTask, SyncTask
from asynctasq.tasks.context import current_task
from asynctasq.tasks.outcomes import Reject, Retry, Snooze

_LOOK_SECONDS = 0.01

surrounding: ContextVar[tuple[str, int]] = ContextVar("surrounding", default=("", 0))
"""The task and the thread in which a context manager was entered around the code."""


class Opaque:
    """A type that cannot be stored as a result."""


class Unreadable:
    """A type whose values can be dispatched, but not decoded."""


def _refuse(_: Any) -> Unreadable:
    raise ArgumentsMismatch("written by another release")


register_type(Unreadable, lambda _: None, _refuse)


def note(folder: str, name: str, text: object = "") -> None:
    """Append a line to a file in the folder of the check."""
    with (Path(folder) / name).open("a") as file:
        file.write(f"{text}\n")


def lines(folder: str | Path, name: str) -> list[str]:
    """Return the lines of a file in the folder of the check."""
    path = Path(folder) / name
    return path.read_text().splitlines() if path.exists() else []


def describe_call(folder: str, argument: Any) -> Any:
    """Return the argument, and what the task can see of itself."""
    task = current_task()
    return [argument, task.id, task.name, task.attempt, dict(task.headers)]


def return_argument(folder: str, argument: Any) -> Any:
    """Return the argument."""
    return argument


def return_typed(folder: str, argument: Any) -> Any:
    """Return values that JSON cannot write."""
    return {"when": date(2024, 2, 29), "what": (argument, {1, 2})}


def return_opaque(folder: str, argument: Any) -> Any:
    """Return a value that cannot be stored."""
    return Opaque()


def return_unfinished(folder: str, argument: Any) -> Any:
    """Return a coroutine that was not awaited."""

    async def work() -> None:
        note(folder, "worked")

    return work()


def fail(folder: str, argument: Any) -> Any:
    """Raise an error."""
    note(folder, "runs", current_task().attempt)
    raise LookupError(f"no such customer: {argument}")


def exit_process(folder: str, argument: Any) -> Any:
    """Raise SystemExit in the first attempt."""
    note(folder, "runs", current_task().attempt)
    if current_task().attempt == 0:
        sys.exit(3)
    return "done"


def retry(folder: str, argument: Any) -> Any:
    """Raise Retry in the first attempt."""
    if current_task().attempt == 0:
        raise Retry(delay=argument)
    return "done"


def snooze(folder: str, argument: Any) -> Any:
    """Raise Snooze in the first run."""
    note(folder, "runs", current_task().attempt)
    if len(lines(folder, "runs")) == 1:
        raise Snooze(argument)
    return "done"


def reject(folder: str, argument: Any) -> Any:
    """Raise Reject."""
    raise Reject(argument)


def describe_surrounding(folder: str, argument: Any) -> Any:
    """Return the task that surrounds this code, and whether that was entered in this thread."""
    task_id, thread = surrounding.get()
    return [task_id == current_task().id, thread == threading.get_ident()]


def clean_up(folder: str, argument: Any) -> Any:
    """Register a cleanup function."""
    current_task().add_cleanup(partial(note, folder, "cleaned"))


def met(folder: str, argument: Any) -> bool:
    """Return whether all members of a meeting have arrived."""
    return all((Path(folder) / f"arrived-{number}").exists() for number in range(argument[1]))


def arrive(folder: str, argument: Any) -> None:
    """Note that a member of a meeting has arrived."""
    note(folder, f"arrived-{argument[0]}")


def is_open(folder: str, argument: Any) -> bool:
    """Return whether the check has created the file."""
    return (Path(folder) / "open").exists()


def started(folder: str, argument: Any) -> None:
    """Note that the task has started."""
    note(folder, "started")


Behavior: TypeAlias = Callable[[str, Any], Any]
_BEHAVIORS: dict[str, Behavior] = {
    each.__name__: each
    for each in (
        *(describe_call, return_argument, return_typed, return_opaque, return_unfinished, fail),
        *(exit_process, retry, snooze, reject, describe_surrounding, clean_up),
    )
}
_WAITS: dict[str, tuple[Callable[[str, Any], None], Callable[[str, Any], bool]]] = {
    "meet": (arrive, met),
    "wait": (started, is_open),
}


class _Methods:
    """Hooks of all tasks: they note their calls."""

    behavior: str
    folder: str
    argument: Any
    patience: float

    def should_retry(self, exception: Exception) -> bool:
        note(self.folder, "should_retry", type(exception).__name__)
        return bool(self.argument != "give up")

    def failed(self, exception: Exception) -> None:
        note(self.folder, "failed", f"{type(exception).__name__}: {exception}")


def _wait(begin: Callable[[], None], is_over: Callable[[], bool], patience: float) -> bool:
    begin()
    ends_at = time.monotonic() + patience
    while not is_over():
        if time.monotonic() > ends_at:
            return False
        current_task().check_cancelled()
        time.sleep(_LOOK_SECONDS)
    return True


async def _wait_async(
    begin: Callable[[], None], is_over: Callable[[], bool], patience: float
) -> bool:
    begin()
    ends_at = time.monotonic() + patience
    while not is_over():
        if time.monotonic() > ends_at:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True


def _run(task: Any) -> Any:
    if task.behavior in _WAITS:
        begin, is_over = _WAITS[task.behavior]
        arguments = task.folder, task.argument
        return _wait(partial(begin, *arguments), partial(is_over, *arguments), task.patience)
    return _BEHAVIORS[task.behavior](task.folder, task.argument)


async def _run_async(task: Any) -> Any:
    await asyncio.sleep(0)
    if task.behavior in _WAITS:
        begin, is_over = _WAITS[task.behavior]
        arguments = task.folder, task.argument
        return await _wait_async(
            partial(begin, *arguments), partial(is_over, *arguments), task.patience
        )
    return _BEHAVIORS[task.behavior](task.folder, task.argument)


class InLoop(_Methods, AsyncTask[Any]):
    """An async task of the mode `loop`."""

    behavior: str
    folder: str
    argument: Any
    patience: float

    async def execute(self) -> Any:
        return await _run_async(self)


class InThread(_Methods, SyncTask[Any]):
    """A sync task of the mode `thread`."""

    behavior: str
    folder: str
    argument: Any
    patience: float

    def execute(self) -> Any:
        return _run(self)


class InProcess(_Methods, SyncProcessTask[Any]):
    """A sync task of the mode `process`."""

    behavior: str
    folder: str
    argument: Any
    patience: float

    def execute(self) -> Any:
        return _run(self)


class AsyncInProcess(_Methods, AsyncProcessTask[Any]):
    """An async task of the mode `process`."""

    behavior: str
    folder: str
    argument: Any
    patience: float

    async def execute(self) -> Any:
        return await _run_async(self)
