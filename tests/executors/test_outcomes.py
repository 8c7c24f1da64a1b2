"""Valid and invalid outcomes of a task, in every mode."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asynctasq.contracts.capabilities import SupportsInspect
from asynctasq.errors import ResultNotSerializable, TaskFailed
from asynctasq.message import State, id_from_text
from asynctasq.settlement import Reason
from tests.executors import tasks
from tests.executors.conftest import PATIENCE, ServedApp, lines_of, noted

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = [tasks.InLoop, tasks.InThread, tasks.InProcess, tasks.InProcessLoop]


@pytest.fixture(params=KINDS, ids=["loop", "thread", "process", "process-loop"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True)
def _stays_here() -> Iterator[None]:
    folder = Path.cwd()
    yield
    os.chdir(folder)


async def test_snooze_runs_it_later_uncounted(shared: ServedApp, notes: Path, kind: Any) -> None:
    assert await shared.result(kind("snooze", str(notes), 0.05).options(max_attempts=1)) == "snooze"
    assert lines_of(notes) == ["runs 0", "runs 0"]
    assert shared.watcher.heard == [("release", 0.05)]


async def test_snoozing_is_scheduled(shared: ServedApp, notes: Path, kind: Any) -> None:
    handle = await kind("snooze", str(notes), 3000.0).dispatch()
    await noted(notes)
    driver = await shared.app.driver()
    assert isinstance(driver, SupportsInspect)
    async with asyncio.timeout(PATIENCE):
        while await handle.status() is not State.SCHEDULED:
            await asyncio.sleep(0.01)
    [snapshot] = await driver.find([id_from_text(handle)])
    assert snapshot is not None
    assert snapshot.attempt == 0


async def test_reject_goes_to_the_dead_letters_at_once(
    shared: ServedApp, notes: Path, kind: Any
) -> None:
    with pytest.raises(TaskFailed, match="no such customer") as failure:
        await shared.result(kind("reject", str(notes), "no such customer"))
    assert failure.value.reason == "rejected"
    assert failure.value.error_message == "no such customer"
    assert lines_of(notes) == ["failed Reject"]
    [dead] = await shared.dead()
    assert (dead.reason, dead.attempts) == (Reason.REJECTED, 1)
    assert shared.watcher.heard == [("failure", None), ("rejected", None)]


async def test_retry_says_when(shared: ServedApp, notes: Path, kind: Any) -> None:
    made = kind("retry", str(notes), 0.05).options(retry_delay=3000)
    assert await shared.result(made) == "retry"
    assert lines_of(notes) == ["runs 0", "runs 1"]
    assert shared.watcher.heard == [("retry", 0.05)]


async def test_retry_counts(shared: ServedApp, notes: Path, kind: Any) -> None:
    with pytest.raises(TaskFailed) as failure:
        await shared.result(kind("always_retry", str(notes), 0))
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
    shared: ServedApp, notes: Path, kind: Any, what: str, error: str, hook: list[str]
) -> None:
    with pytest.raises(TaskFailed) as failure:
        await shared.result(kind(what, str(notes), 4))
    assert failure.value.error_type == error
    assert lines_of(notes) == hook
    [dead] = await shared.dead()
    assert dead.attempts == 2
    assert await shared.result(kind("say", str(notes))) == "say"


@pytest.mark.parametrize(
    ("what", "size", "why"),
    [("unserializable", None, "lock"), ("huge", 5 * 2**20, "max_message_bytes")],
)
async def test_work_is_done_although_its_result_cannot_be_stored(
    shared: ServedApp, notes: Path, kind: Any, what: str, size: int | None, why: str
) -> None:
    with pytest.raises(ResultNotSerializable, match=why):
        await shared.result(kind(what, str(notes), size))
    assert await shared.dead() == []
    assert await shared.result(kind("say", str(notes))) == "say"


async def test_a_large_result_arrives_whole(shared: ServedApp, notes: Path, kind: Any) -> None:
    assert await shared.result(kind("huge", str(notes), 2**21)) == b"x" * 2**21


@pytest.mark.parametrize("what", ["move", "deafen"])
async def test_what_a_task_changes_stops_no_other(
    shared: ServedApp, notes: Path, kind: Any, what: str
) -> None:
    assert await shared.result(kind(what, str(notes))) == what
    assert await shared.result(kind("say", str(notes))) == "say"
