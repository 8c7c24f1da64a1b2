"""Retries follow the options of the dispatch; the last failure ends in the dead letters, whole."""

import time
from typing import Any

import pytest

from asynctasq import AsyncTask, State, SyncTask, current_task, task
from asynctasq.contracts.capabilities import SupportsDeadLetters
from asynctasq.errors import TaskFailed
from asynctasq.message import id_from_text
from tests.worker.conftest import MakeStage
from tests.worker.faulty_driver import Line
from tests.worker.stage import PATIENCE, Stage, probe

pytestmark = pytest.mark.every_store

NEAR = 30.0
"""Seconds by which a due time may differ from the computed one on a slow machine."""


class Fragile(AsyncTask[str]):
    """Fails until it has been run `good_at` times."""

    retry_delay = 0.0

    def __init__(self, good_at: int = 99) -> None:
        self.good_at = good_at
        self.told: list[str] = []

    async def execute(self) -> str:
        self.told.append("ran")
        probe().note("run", self._current_attempt)
        if self._current_attempt + 1 < self.good_at:
            raise LookupError(f"run {self._current_attempt}")
        return f"good at {self._current_attempt}"

    def should_retry(self, exception: Exception) -> bool:
        probe().note("asked", str(exception))
        return True

    async def failed(self, exception: Exception) -> None:
        probe().note("failed", str(exception), self.told)


class FragileInThread(SyncTask[str]):
    retry_delay = 0.0

    def __init__(self, good_at: int = 99) -> None:
        self.good_at = good_at
        self.told: list[str] = []

    def execute(self) -> str:
        self.told.append("ran")
        probe().note("run", self._current_attempt)
        if self._current_attempt + 1 < self.good_at:
            raise LookupError(f"run {self._current_attempt}")
        return f"good at {self._current_attempt}"

    async def should_retry(self, exception: Exception) -> bool:
        probe().note("asked", str(exception))
        return True

    def failed(self, exception: Exception) -> None:
        probe().note("failed", str(exception), self.told)


BOTH = pytest.mark.parametrize("kind", [Fragile, FragileInThread])


@BOTH
@pytest.mark.parametrize(("max_attempts", "runs"), [(0, 1), (1, 1), (2, 2), (3, 3)])
async def test_max_attempts_counts_runs_in_all(
    stage: Stage, kind: Any, max_attempts: int, runs: int
) -> None:
    handle = await kind().options(max_attempts=max_attempts).dispatch()
    await stage.burst()
    assert [entry for entry in stage.log if entry[0] == "run"] == [("run", n) for n in range(runs)]
    [letter] = await stage.dead()
    assert (letter.attempts, letter.lost, letter.reason.value) == (runs, 0, "failed")
    assert await handle.status() is State.DEAD


@BOTH
async def test_failed_is_called_once_with_the_error_on_the_instance_that_ran(
    stage: Stage, kind: Any
) -> None:
    await kind().options(max_attempts=3).dispatch()
    await stage.burst()
    assert [e for e in stage.log if e[0] == "failed"] == [("failed", "run 2", ["ran"])]
    assert [e for e in stage.log if e[0] == "asked"] == [("asked", f"run {n}") for n in range(3)]


@BOTH
async def test_a_retry_that_succeeds_is_complete(stage: Stage, kind: Any) -> None:
    handle = await kind(good_at=3).options(max_attempts=3).dispatch()
    await stage.burst()
    assert await handle.result(timeout=30) == "good at 2"
    assert await stage.dead() == []


@task(retry_delay=5.0, max_attempts=9)
async def fails() -> None:
    raise LookupError("as told")


@pytest.mark.parametrize(
    ("options", "attempt", "delay"),
    [
        ({"retry_delay": 1000.0}, 0, 1000.0),
        ({"retry_delay": 1000.0}, 1, 1000.0),
        ({"retry_delay": 1000.0, "retry_strategy": "exponential", "retry_jitter": 0.0}, 1, 2000.0),
        (
            {
                "retry_delay": 1000.0,
                "retry_strategy": "exponential",
                "retry_factor": 3.0,
                "retry_cap": 10_000.0,
                "retry_jitter": 0.0,
            },
            2,
            9000.0,
        ),
        (
            {
                "retry_delay": 1000.0,
                "retry_strategy": "exponential",
                "retry_cap": 5000.0,
                "retry_jitter": 0.0,
            },
            3,
            5000.0,
        ),
    ],
)
async def test_the_delay_is_that_of_the_dispatch(
    stage: Stage, options: dict[str, Any], attempt: int, delay: float
) -> None:
    handle = await fails().options(**options).on_queue("special").dispatch()
    driver = await stage.driver()
    offset = 0.0
    for _ in range(attempt + 1):
        await stage.burst(queues=["special"])
        driver.clock_offset = (offset := offset + 10_000.0)
    found = await stage.snapshot(handle)
    assert found is not None
    assert (found.state, found.attempt, found.message.queue) == (
        State.READY,  # by the clock that was put forward
        attempt + 1,
        "special",
    )
    assert abs(found.due_at - (time.time() + offset - 10_000.0 + delay)) < NEAR
    assert found.error is not None
    assert found.error.message == "as told"
    driver.clock_offset = 0.0


async def test_a_retry_does_not_take_the_defaults_of_the_worker(make_stage: MakeStage) -> None:
    sender = await make_stage(default_retry_delay=0.0, default_max_attempts=2)
    handle = await plain_failure().dispatch()
    worker = await make_stage(default_retry_delay=5000.0, default_max_attempts=1)
    await worker.burst()
    [letter] = await sender.dead()
    assert letter.attempts == 2
    assert await handle.status() is State.DEAD


@task
async def plain_failure() -> None:
    raise LookupError("plain")


class Stubborn(AsyncTask[None]):
    retry_delay = 0.0

    async def execute(self) -> None:
        probe().note("run")
        raise ValueError("never mind")

    def should_retry(self, exception: Exception) -> bool:
        return not isinstance(exception, ValueError)


class StubbornInThread(SyncTask[None]):
    retry_delay = 0.0

    def execute(self) -> None:
        probe().note("run")
        raise ValueError("never mind")

    async def should_retry(self, exception: Exception) -> bool:
        return not isinstance(exception, ValueError)


@task(retry_delay=0.0, retry_on=(LookupError, OSError))
async def picky() -> None:
    probe().note("run")
    raise ValueError("never mind")


@pytest.mark.parametrize("make", [Stubborn, StubbornInThread, picky])
async def test_a_task_may_refuse_to_be_retried(stage: Stage, make: Any) -> None:
    await make().options(max_attempts=5).dispatch()
    await stage.burst()
    assert stage.log == ["run"]
    assert (await stage.dead())[0].attempts == 1


class Hopeless(AsyncTask[None]):
    """Every method of it raises."""

    retry_delay = 0.0
    max_attempts = 2

    async def execute(self) -> None:
        raise LookupError("execute")

    def should_retry(self, exception: Exception) -> bool:
        raise LookupError("should_retry")

    async def failed(self, exception: Exception) -> None:
        probe().note("failed")
        raise LookupError("failed")


class HopelessInThread(SyncTask[None]):
    retry_delay = 0.0
    max_attempts = 2

    def execute(self) -> None:
        raise LookupError("execute")

    def should_retry(self, exception: Exception) -> bool:
        raise SystemExit("should_retry")

    def failed(self, exception: Exception) -> None:
        probe().note("failed")
        raise SystemExit("failed")


@pytest.mark.parametrize("kind", [Hopeless, HopelessInThread])
async def test_hooks_that_raise_are_logged_and_change_nothing(
    stage: Stage, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    handle = await kind().dispatch()
    await stage.burst()
    [letter] = await stage.dead()
    assert letter.error is not None
    assert (letter.attempts, letter.error.message) == (2, "execute")
    assert stage.log == ["failed"]
    assert sum("should_retry" in line and "raised" in line for line in caplog.messages) == 2
    assert sum("failed() hook" in line for line in caplog.messages) == 1
    assert await handle.status() is State.DEAD


class Unbuildable(AsyncTask[None]):
    """Its constructor fails in the worker only."""

    retry_delay = 0.0
    max_attempts = 2

    def __init__(self, where: str) -> None:
        self.where = where
        if self._dispatched_at is not None:
            raise ConnectionError("no constructor today")

    async def execute(self) -> None:
        raise AssertionError("it was never built")

    async def failed(self, exception: Exception) -> None:
        probe().note("failed", str(exception), self.where, self._current_attempt)


async def test_a_constructor_that_fails_is_retried_and_the_task_hears_of_it(stage: Stage) -> None:
    await Unbuildable("here").dispatch()
    await stage.burst()
    assert stage.log == [("failed", "no constructor today", "here", 1)]
    [letter] = await stage.dead()
    assert (letter.attempts, letter.reason.value) == (2, "failed")


async def test_a_dead_letter_holds_everything_and_can_be_sent_again(stage: Stage) -> None:
    handle = await Fragile().options(max_attempts=2, headers={"trace": "1"}).dispatch()
    await stage.burst()
    [letter] = await stage.dead()
    assert letter.message.id == id_from_text(handle)
    assert letter.message.task == f"{__name__}:Fragile"
    assert letter.message.body
    assert letter.message.headers == {"trace": "1"}
    assert letter.error is not None
    assert (letter.error.type, letter.error.message) == ("LookupError", "run 1")
    assert "in execute" in letter.error.traceback
    assert 'raise LookupError(f"run {self._current_attempt}")' in letter.error.traceback
    assert letter.enqueued_at <= letter.died_at
    with pytest.raises(TaskFailed) as caught:
        await handle.result(timeout=30)
    assert caught.value.reason == "failed"
    assert caught.value.error_type == "LookupError"
    assert "in execute" in caught.value.traceback

    driver = await stage.driver()
    assert isinstance(driver, SupportsDeadLetters)
    assert await driver.requeue([letter.message.id]) == [True]
    stage.log.clear()
    await stage.burst()
    assert [e[1] for e in stage.log if e[0] == "run"] == [0, 1]
    assert await driver.requeue([letter.message.id]) == [True]


mended = False


@task(max_attempts=1)
async def broken_for_now() -> str:
    if not mended:
        raise RuntimeError("not mended yet")
    return "mended"


async def test_a_dead_letter_that_is_sent_again_can_succeed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await broken_for_now().dispatch()
    await stage.burst()
    assert await handle.status() is State.DEAD
    monkeypatch.setattr(f"{__name__}.mended", True)
    driver = await stage.driver()
    assert await driver.requeue([id_from_text(handle)]) == [True]
    await stage.burst()
    assert await handle.result(timeout=30) == "mended"
    assert await stage.dead() == []


@task(max_attempts=2, retry_delay=0)
async def fails_beside_a_reserve() -> str:
    if current_task().attempt == 0:
        await probe().flag("reserving").wait()
        raise LookupError("not yet")
    return "second run"


async def test_a_burst_runs_a_retry_that_is_stored_during_its_last_reserve(
    faulty: Stage, line: Line
) -> None:
    settled = faulty.flag("settled")

    def note(answer: object) -> object:
        settled.set()
        return answer

    line.answer("reserve", lambda deliveries: deliveries)
    line.hold("reserve", until=settled, reached=faulty.flag("reserving"))
    line.answer("settle", note)
    handle = await fails_beside_a_reserve().dispatch()
    await faulty.burst()
    assert await handle.result(timeout=PATIENCE) == "second run"
