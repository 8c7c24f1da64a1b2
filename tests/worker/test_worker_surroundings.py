"""The scope of an attempt: resolvers that take part in it, and resources closed at its end."""

import asyncio
import logging
import sys
import threading
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from asynctasq import SyncTask, current_task, task
from asynctasq.contracts.resolver import Resolver
from asynctasq.errors import TaskFailed
from asynctasq.hookspecs import hookimpl
from tests.serializers.toy_orm import ROWS, Row, ToyResolver
from tests.worker.stage import Stage, probe


class Watchful(ToyResolver):
    """Notes who comes and goes, and knows why a `ZeroDivisionError` was raised."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.threads: set[int] = set()

    @hookimpl
    def create_resolver(self, name: str, settings: Any) -> Resolver:
        return self

    def enter(self) -> None:
        self.threads.add(threading.get_ident())
        self.seen.append("enter")

    def leave(self) -> None:
        self.seen.append("leave")

    async def enter_loop(self) -> None:
        self.seen.append("enter loop")

    async def leave_loop(self) -> None:
        await asyncio.sleep(0)
        self.seen.append("leave loop")

    def explain(self, error: Exception) -> str | None:
        return "Nothing can be divided by it." if isinstance(error, ZeroDivisionError) else None


@pytest.fixture
def watchful(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Watchful:
    """Register a resolver whose framework is imported with the stage's app."""
    monkeypatch.setitem(sys.modules, "toy_orm", ModuleType("toy_orm"))
    monkeypatch.setitem(ROWS, 1, Row(1))
    resolver = Watchful()
    stage.app.plugins.register(resolver, kind="resolver", name="toy_orm")
    return resolver


async def tell(word: str) -> None:
    await asyncio.sleep(0)
    probe().note(word)


@task(max_attempts=1)
async def open_two(then: str) -> None:
    current = current_task()
    current.add_cleanup(partial(tell, "first"))
    current.add_cleanup(lambda: current.resources.note("second"))
    current.state["opened"] = 2
    assert current_task().state == {"opened": 2}
    probe().flag("begun").set()
    if then == "fail":
        raise ValueError(then)
    if then == "wait":
        await asyncio.sleep(60)


@task(max_attempts=1)
def open_two_in_thread(then: str) -> None:
    current = current_task()
    me = threading.get_ident()
    current.add_cleanup(lambda: current.resources.note("first"))
    current.add_cleanup(lambda: current.resources.note("second", threading.get_ident() == me))
    if then == "fail":
        raise ValueError(then)


@pytest.mark.parametrize("then", ["return", "fail"])
async def test_what_was_opened_is_closed_last_one_first(stage: Stage, then: str) -> None:
    await stage.app.dispatch(open_two(then))
    await stage.burst()
    assert stage.log == ["second", "first"]


@pytest.mark.parametrize("then", ["return", "fail"])
async def test_what_a_thread_opened_is_closed_in_it(stage: Stage, then: str) -> None:
    await stage.app.dispatch(open_two_in_thread(then))
    await stage.burst()
    assert stage.log == [("second", True), "first"]


async def test_what_was_opened_is_closed_when_the_task_is_cancelled(stage: Stage) -> None:
    handle = await stage.app.dispatch(open_two("wait"))
    async with stage.worker():
        await stage.flag("begun").wait()
        await handle.cancel()
        await stage.probe.noted(2)
    assert stage.log == ["second", "first"]


async def test_what_was_opened_is_closed_at_a_time_out(stage: Stage) -> None:
    await stage.app.dispatch(open_two("wait").options(timeout=0.05))
    await stage.burst()
    assert stage.log == ["second", "first"]


@task
def close_badly() -> str:
    current_task().add_cleanup(lambda: 1 / 0)
    current_task().add_cleanup(partial(tell, "never awaited"))
    return "done"


async def test_errors_of_closing_are_logged_and_change_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    handle = await stage.app.dispatch(close_badly().options(result_ttl=60))
    await stage.burst()
    assert await handle.result(timeout=30) == "done"
    assert "Could not run an async cleanup function" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert [each.levelno for each in caplog.records if "close_badly" in each.message] == [
        logging.ERROR,
        logging.ERROR,
    ]


@task(max_attempts=1)
async def divide(row: Row | None = None) -> float:
    assert list(current_task().models) == ([] if row is None else [row])
    return 1 / 0


async def test_async_code_is_attended_its_hooks_too(stage: Stage, watchful: Watchful) -> None:
    await stage.app.dispatch(divide(ROWS[1]))
    await stage.burst()
    # execute, should_retry and failed
    assert watchful.seen == ["enter loop", "leave loop"] * 3


class Divide(SyncTask[float]):
    max_attempts = 1

    def execute(self) -> float:
        return 1 / 0

    async def failed(self, exception: Exception) -> None:
        probe().note(*getattr(exception, "__notes__", []))


async def test_sync_code_is_attended_in_its_thread(stage: Stage, watchful: Watchful) -> None:
    await stage.app.dispatch(Divide())
    await stage.burst()
    inside = ["enter", "leave"]
    assert watchful.seen == [*inside, *inside, *inside, "enter loop", "leave loop"]
    assert threading.get_ident() not in watchful.threads


async def test_resolver_adds_to_an_error_what_it_knows(stage: Stage, watchful: Watchful) -> None:
    handle = await stage.app.dispatch(Divide().options(result_ttl=60))
    await stage.burst()
    assert stage.log == ["Nothing can be divided by it."]
    with pytest.raises(TaskFailed) as raised:
        await handle.result(timeout=30)
    assert "Nothing can be divided by it." in raised.value.traceback


@task(result_ttl=60)
def fine() -> int:
    return 3


@task(result_ttl=60)
async def fine_on_the_loop() -> int:
    return 3


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
async def test_attendant_that_fails_is_reported_and_changes_nothing(
    stage: Stage,
    watchful: Watchful,
    caplog: pytest.LogCaptureFixture,
    error: type[BaseException],
) -> None:
    def fail() -> None:
        raise error

    async def fail_on_the_loop() -> None:
        raise error

    watchful.enter = watchful.leave = fail  # type: ignore[method-assign]  # broken
    watchful.enter_loop = watchful.leave_loop = fail_on_the_loop  # type: ignore[method-assign]  # broken
    handles = [await stage.app.dispatch(each()) for each in (fine, fine_on_the_loop)]
    await stage.burst()
    assert [await handle.result(timeout=30) for handle in handles] == [3, 3]
    assert caplog.text.count("Resolver or cleanup of task") == 4
