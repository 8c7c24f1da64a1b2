"""What a task may say, and what it may do wrong, in every mode."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asynctasq import Reject, Retry, Snooze, hookimpl
from asynctasq.contracts.capabilities import SupportsInspect
from asynctasq.errors import TaskFailed
from asynctasq.hookspecs import ExecutionContext
from asynctasq.message import State, id_from_text
from asynctasq.settlement import Reason
from tests.executors import tasks
from tests.executors.conftest import PATIENCE, Bench, lines_of, noted

KINDS = [tasks.InLoop, tasks.InThread, tasks.InProcess, tasks.InProcessLoop]


@pytest.fixture(params=KINDS, ids=["loop", "thread", "process", "process-loop"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True)
def _stays_here() -> Iterator[None]:
    folder = Path.cwd()
    yield
    os.chdir(folder)


class Watcher:
    """Notes what observers hear."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, float | None]] = []

    @hookimpl
    def on_release(self, context: ExecutionContext) -> None:
        self.heard.append(("release", context.retry_delay))

    @hookimpl
    def on_retry(self, context: ExecutionContext) -> None:
        self.heard.append(("retry", context.retry_delay))

    @hookimpl
    def on_failure(self, context: ExecutionContext) -> None:
        self.heard.append(("failure", None))

    @hookimpl
    def on_dead(self, context: ExecutionContext) -> None:
        self.heard.append((str(context.reason), None))


@pytest.fixture
def watcher(make_bench: Any) -> Watcher:
    return Watcher()


@pytest.fixture
async def served(make_bench: Any, watcher: Watcher) -> Any:
    made = await make_bench()
    made.app.plugins.register(watcher)
    async with made.serving():
        yield made


async def test_snooze_runs_it_later_uncounted(
    served: Bench, watcher: Watcher, notes: Path, kind: Any
) -> None:
    assert await served.result(kind("snooze", str(notes), 0.05).options(max_attempts=1)) == "snooze"
    assert lines_of(notes) == ["runs 0", "runs 0"]
    assert watcher.heard == [("release", 0.05)]


async def test_snoozing_is_scheduled(served: Bench, notes: Path, kind: Any) -> None:
    handle = await kind("snooze", str(notes), 3000.0).dispatch()
    await noted(notes)
    driver = await served.app.driver()
    assert isinstance(driver, SupportsInspect)
    async with asyncio.timeout(PATIENCE):
        while await handle.status() is not State.SCHEDULED:
            await asyncio.sleep(0.01)
    [snapshot] = await driver.find([id_from_text(handle)])
    assert snapshot is not None
    assert snapshot.attempt == 0


async def test_reject_goes_to_the_dead_letters_at_once(
    served: Bench, watcher: Watcher, notes: Path, kind: Any
) -> None:
    with pytest.raises(TaskFailed, match="no such customer") as failure:
        await served.result(kind("reject", str(notes), "no such customer"))
    assert failure.value.reason == "rejected"
    assert failure.value.error_message == "no such customer"
    assert lines_of(notes) == ["failed Reject"]
    [dead] = await served.dead()
    assert (dead.reason, dead.attempts) == (Reason.REJECTED, 1)
    assert watcher.heard == [("failure", None), ("rejected", None)]


async def test_retry_says_when(served: Bench, watcher: Watcher, notes: Path, kind: Any) -> None:
    made = kind("retry", str(notes), 0.05).options(retry_delay=3000)
    assert await served.result(made) == "retry"
    assert lines_of(notes) == ["runs 0", "runs 1"]
    assert watcher.heard == [("retry", 0.05)]


async def test_retry_counts(served: Bench, notes: Path, kind: Any) -> None:
    with pytest.raises(TaskFailed) as failure:
        await served.result(kind("always_retry", str(notes), 0))
    assert failure.value.reason == "failed"
    assert lines_of(notes) == ["runs 0", "runs 1", "failed Retry"]


@pytest.mark.parametrize(
    ("what", "error", "hook"),
    [
        ("unbuildable", "tests.executors.tasks.Unbuildable", ["failed Unbuildable"]),
        ("leave", "SystemExit", []),
        ("interrupt", "KeyboardInterrupt", []),
        ("odd", "tests.executors.tasks.Odd", []),
    ],
)
async def test_what_is_raised_is_an_ordinary_failure(
    served: Bench, notes: Path, kind: Any, what: str, error: str, hook: list[str]
) -> None:
    with pytest.raises(TaskFailed) as failure:
        await served.result(kind(what, str(notes), 4))
    assert failure.value.error_type == error
    assert lines_of(notes) == hook
    [dead] = await served.dead()
    assert dead.attempts == 2
    assert await served.result(kind("say", str(notes))) == "say"


@pytest.mark.parametrize("what", ["move", "deafen"])
async def test_what_a_task_changes_stops_no_other(
    served: Bench, notes: Path, kind: Any, what: str
) -> None:
    assert await served.result(kind(what, str(notes))) == what
    assert await served.result(kind("say", str(notes))) == "say"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Snooze(0),
        lambda: Snooze(-1),
        lambda: Snooze(float("inf")),
        lambda: Snooze(float("nan")),
        lambda: Retry(delay=-1),
        lambda: Retry(delay=float("nan")),
    ],
)
def test_senseless_delays_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="it has to be"):
        make()


def test_outcomes_say_what_they_are() -> None:
    assert str(Reject("no such customer")) == "no such customer"
    assert Snooze(5).seconds == 5.0
    assert Retry().delay is None
    assert Retry(delay=0).delay == 0.0
