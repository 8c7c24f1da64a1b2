"""The path of a dispatch through the source files, measured with a profile hook."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest_asyncio

import asynctasq
from asynctasq import App, AsyncTask, runtime, task

PACKAGE = Path(asynctasq.__file__).parent
MOST_FILES = 15


@task
async def nothing() -> None:
    pass


class Nothing(AsyncTask[None]):
    async def execute(self) -> None:
        pass


@pytest_asyncio.fixture
async def app() -> AsyncIterator[App]:
    async with App({"driver": "memory"}) as app:
        await nothing.dispatch()  # opens the driver and fills caches
        await Nothing().dispatch()
        yield app


@contextmanager
def calls_recorded() -> Iterator[list[tuple[str, str]]]:
    """Record each call of a function of the package: its file and its name."""
    found: list[tuple[str, str]] = []

    def record(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            found.append((str(path.relative_to(PACKAGE)), frame.f_code.co_name))

    sys.setprofile(record)
    try:
        yield found
    finally:
        sys.setprofile(None)


async def files_of_a_dispatch() -> list[str]:
    """Return the files that a dispatch passes through while there is no listener to events."""
    async with asyncio.timeout(30.0):
        while True:
            with calls_recorded() as calls:
                await nothing.dispatch()
            files = sorted({file for file, _ in calls})
            if "dispatch/event_publisher.py" not in files:
                return files
            await asyncio.sleep(
                0.01
            )  # the store has not been asked yet whether there is a listener


async def test_a_dispatch_passes_through_at_most_15_files(app: App) -> None:
    files = await files_of_a_dispatch()
    assert len(files) <= MOST_FILES, files
    assert "drivers/memory/store.py" in files


async def test_a_task_finds_the_current_app_with_one_call(app: App) -> None:
    call, made = nothing(), Nothing()
    shorthand: Callable[[], Any] = nothing.dispatch
    for dispatch in (call.dispatch, made.dispatch, shorthand):
        with calls_recorded() as calls:
            await dispatch()
        names = [name for file, name in calls if file == "runtime.py"]
        assert names == ["current_dispatcher"]
        before = calls.index(("runtime.py", "current_dispatcher"))
        assert calls[before - 1][0].startswith("tasks/")


def test_the_default_app_is_found_with_one_call() -> None:
    app = App({"driver": "memory"})
    before = runtime.default
    runtime.set_default(app)
    try:
        with calls_recorded() as calls:
            assert runtime.current_app() is app
        assert calls == [("runtime.py", "current_app")]
    finally:
        runtime.set_default(before)
