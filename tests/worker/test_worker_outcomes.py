"""Return values and errors of a task decide on the outcome of that task alone."""

import asyncio
import datetime as dt
import logging
from typing import Any

import pytest

from asynctasq import State, current_task, task
from asynctasq.errors import BodyCorrupt, ResultNotSerializable, TaskFailed, TaskTimeout
from tests.worker.stage import Stage, probe

pytestmark = pytest.mark.every_store


class Opaque:
    """No serializer knows it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("do not touch me")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text today")

    __repr__ = __str__

    def __reduce__(self) -> Any:
        raise RuntimeError("no pickle either")


class Nameless(Exception):
    __str__ = lambda self: 42  # type: ignore[assignment, return-value]  # noqa: E731  it lies


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1) + 1


def raise_recursion_error() -> None:
    recurse()


def raise_group() -> None:
    raise ExceptionGroup("several", [ValueError("a"), ExceptionGroup("in it", [KeyError("b")])])


def raise_base_group() -> None:
    raise BaseExceptionGroup("several", [SystemExit(1), KeyboardInterrupt()])


def raise_surrogate() -> None:
    raise ValueError("lone \ud800 surrogate")


def raise_long() -> None:
    raise ValueError("x" * 5_000_000)


def raise_chain() -> None:
    error: Exception = ValueError("0")
    for number in range(200):
        following = ValueError(str(number))
        following.__cause__ = error
        error = following
    raise error


RAISERS: dict[str, Any] = {
    "exit": lambda: _raise(SystemExit(3)),
    "interrupt": lambda: _raise(KeyboardInterrupt()),
    "cancelled": lambda: _raise(asyncio.CancelledError("by myself")),
    "generator exit": lambda: _raise(GeneratorExit()),
    "stop iteration": lambda: _raise(StopIteration("value")),
    "stop async iteration": lambda: _raise(StopAsyncIteration()),
    "unprintable": lambda: _raise(Unprintable()),
    "nameless": lambda: _raise(Nameless()),
    "recursion": raise_recursion_error,
    "group": raise_group,
    "base group": raise_base_group,
    "surrogate": raise_surrogate,
    "long": raise_long,
    "chain": raise_chain,
    "memory": lambda: _raise(MemoryError()),
    "our timeout": lambda: _raise(TaskTimeout("of another")),
    "our body error": lambda: _raise(BodyCorrupt("of something that the task read")),
    "string": lambda: _raise("not even an exception"),
}


def _raise(error: Any) -> None:
    raise error


@task(retry_delay=0.0, max_attempts=2)
async def raises(name: str) -> None:
    await asyncio.sleep(0)
    probe().note(name)
    RAISERS[name]()


@task(retry_delay=0.0, max_attempts=2)
def raises_in_thread(name: str) -> None:
    probe().note(name)
    RAISERS[name]()


@task
async def after() -> str:
    return "after"


@pytest.mark.parametrize("each", [raises, raises_in_thread])
@pytest.mark.parametrize("name", RAISERS)
async def test_whatever_is_raised_is_an_ordinary_failure(
    stage: Stage, each: Any, name: str
) -> None:
    handle = await each(name).dispatch()
    async with stage.worker(concurrency=1):
        with pytest.raises(TaskFailed) as caught:
            await handle.result(timeout=30)
        assert await (await after.dispatch()).result(timeout=30) == "after"
    [letter] = await stage.dead()
    assert (letter.attempts, letter.reason.value) == (2, "failed")
    assert letter.error is not None
    assert letter.error.type
    assert "Traceback" in letter.error.traceback
    assert len(letter.error.message) < 10_000
    assert len(letter.error.traceback) < 40_000
    assert caught.value.error_type == letter.error.type
    assert stage.log == [name, name]


async def test_a_stop_iteration_keeps_its_type_from_a_thread(stage: Stage) -> None:
    await raises_in_thread("stop iteration").dispatch()
    await stage.burst()
    [letter] = await stage.dead()
    assert letter.error is not None
    assert letter.error.type == "StopIteration"


@task
async def returns_opaque() -> Any:
    probe().note("ran")
    return {"in": [Opaque()]}


@task
def returns_opaque_in_thread() -> Any:
    probe().note("ran")
    return lambda: None


@pytest.mark.parametrize("each", [returns_opaque, returns_opaque_in_thread])
async def test_a_result_that_cannot_be_stored_is_complete_all_the_same(
    stage: Stage, each: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    handles = [await each().dispatch() for _ in range(5)]
    await stage.burst()
    for handle in handles:
        assert await handle.status() is State.COMPLETED
        with pytest.raises(ResultNotSerializable, match="completed"):
            await handle.result(timeout=30)
    assert stage.log == ["ran"] * 5
    assert sum("could not be stored" in line for line in caplog.messages) == 1
    assert await stage.dead() == []


@task
async def reports_opaque() -> str:
    current_task().report(Opaque())
    return "done"


async def test_progress_that_cannot_be_stored_is_no_result(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    handle = await reports_opaque().dispatch()
    await stage.burst()
    assert await handle.result(timeout=30) == "done"
    [line] = [line for line in caplog.messages if "could not be stored" in line]
    assert "reports_opaque reported progress of type" in line
    assert "The task continues" in line
    assert "complete" not in line


@task
async def returns_bytes(size: int) -> bytes:
    return b"\x00\xff" * (size // 2)


async def test_large_results_arrive_up_to_the_limit(stage: Stage) -> None:
    fits = await returns_bytes(2_000_000).dispatch()
    too_large = await returns_bytes(10_000_000).dispatch()
    await stage.burst()
    assert len(await fits.result(timeout=30)) == 2_000_000
    with pytest.raises(ResultNotSerializable, match="max_message_bytes"):
        await too_large.result(timeout=30)


ODD: list[Any] = [
    None,
    False,
    0,
    "",
    b"",
    [],
    {},
    (),
    float("inf"),
    2**200,
    {1, 2},
    {"__type__": "x"},
    dt.datetime(2030, 1, 1, tzinfo=dt.UTC),
    {(1, 2): [None, {3: "x"}]},
]


@task
async def returns_odd(place: int) -> Any:
    return ODD[place]


@task
async def asks_for_itself() -> Any:
    return current_task().id


async def test_results_arrive_as_they_were_returned(stage: Stage) -> None:
    handles = [await returns_odd(place).dispatch() for place in range(len(ODD))]
    await stage.burst()
    found = [await handle.result(timeout=30) for handle in handles]
    assert found == ODD
    assert [type(value) for value in found] == [type(value) for value in ODD]


async def test_a_result_of_no_interest_is_not_kept(stage: Stage) -> None:
    handle = await returns_bytes(100).options(result_ttl=0).dispatch()
    await stage.burst()
    assert await handle.status() is State.COMPLETED
    assert await handle.result(timeout=30) is None
