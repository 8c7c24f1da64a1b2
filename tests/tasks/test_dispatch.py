"""Dispatch: what is refused before it leaves, and how dispatches share round trips."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import asynctasq
from asynctasq import App, AsyncTask, BaseTask, Unique, task
from asynctasq.errors import (
    CapabilityMissing,
    DriverError,
    DriverUnavailable,
    MessageTooLarge,
    NotSerializable,
)
from asynctasq.message import Message, id_to_text
from asynctasq.tasks.definition import definition_of
from tests.tasks.counting import CountingDriver, QueueOnlyDriver
from tests.tasks.store import message_of, messages, opened, work


@task
async def keep(value: Any = None, *more: Any, named: Any = None) -> Any:
    return value


class Keep(AsyncTask[None]):
    def __init__(self, value: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value = value

    async def execute(self) -> None: ...


@task
async def greet(name: str, how: object = None) -> None: ...


class Odd:
    pass


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (keep(Odd()), "value is"),
        (keep(1, 2, Odd()), r"more\[1\] is"),
        (keep(named=Odd()), "named is"),
        (keep(named={"a": [1, Odd()]}), r"named\['a'\]\[1\] is"),
        (keep(lambda: 1), "function"),
        (Keep(Odd()), "value is"),
        (greet("Ada", [Odd()]), r"how\[0\] is"),
        (Keep(1, extra=Odd()), "extra is"),
    ],
    ids=["first", "third", "named", "nested", "function", "class", "by place", "field"],
)
async def test_what_cannot_travel_is_refused_with_task_argument_and_type(
    app: App, call: BaseTask[object], said: str
) -> None:
    with pytest.raises(NotSerializable, match=said) as caught:
        await call.dispatch()
    definition = definition_of(call)
    assert definition is not None
    assert definition.name in str(caught.value)
    assert "Odd" in str(caught.value) or "function" in str(caught.value)
    assert isinstance(caught.value, TypeError)
    assert not await messages(app)


async def test_too_large_a_body_is_refused(app: App) -> None:
    with pytest.raises(MessageTooLarge, match="max_message_bytes") as caught:
        await keep(b"x" * (5 * 2**20)).dispatch()
    assert isinstance(caught.value, ValueError)
    assert not await messages(app)
    await keep(b"x" * (3 * 2**20)).dispatch()


@dataclass
class Point:
    x: int


async def test_arguments_come_back_as_they_were(app: App) -> None:
    values = [[], {}, (), set[int](), 2**70, b"", (1, [2]), {"__type__": "set"}, Point(1), None]
    handles = [await keep(value).dispatch() for value in values]
    await work(app)
    assert [await handle.result(timeout=30) for handle in handles] == values


# Capabilities.


async def test_options_that_the_driver_cannot_honour_are_refused() -> None:
    async with opened(App({"driver": QueueOnlyDriver()})) as app:
        for call, capability in [
            (keep().options(unique="a"), "UNIQUE"),
            (keep().options(priority=6), "PRIORITY"),
        ]:
            with pytest.raises(
                CapabilityMissing, match=f"needs the capability {capability}"
            ) as caught:
                await app.dispatch(call)
            assert f"which {app.store} does not have" in str(caught.value)
            with pytest.raises(CapabilityMissing):
                await app.dispatch_many([keep(), call])
        handle = await app.dispatch(keep().options(priority=5, expires=5, delay=1))
        for ask in (handle.result(), handle.status(), handle.cancel(), handle.progress()):
            with pytest.raises(
                CapabilityMissing, match=f"which {re.escape(app.store)} does not have"
            ):
                await ask


# Concurrent dispatches.


@pytest.fixture
async def counting() -> AsyncIterator[CountingDriver]:
    """Yield the driver of the default app."""
    driver = CountingDriver()
    app = asynctasq.init({"driver": driver})
    await app.open()
    yield driver
    await app.close()


async def test_concurrent_dispatches_share_a_round_trip(counting: CountingDriver) -> None:
    handles = await asyncio.gather(*(keep(number).dispatch() for number in range(500)))
    assert len(counting.chunks) == 1
    assert len(set(handles)) == 500
    await work(asynctasq.default_app())
    assert [await handle.result(timeout=30) for handle in handles] == list(range(500))


async def test_a_single_dispatch_waits_for_no_other(counting: CountingDriver) -> None:
    for number in range(3):
        await keep(number).dispatch()
    assert [len(chunk) for chunk in counting.chunks] == [1, 1, 1]


async def test_round_trips_are_bounded(counting: CountingDriver) -> None:
    await asyncio.gather(*(keep().dispatch() for _ in range(2500)))
    assert [len(chunk) for chunk in counting.chunks] == [1000, 1000, 500]
    counting.chunks.clear()
    await asyncio.gather(*(keep(bytes(300_000)).dispatch() for _ in range(9)))
    assert all(len(chunk) <= 4 for chunk in counting.chunks)
    assert sum(map(len, counting.chunks)) == 9


def refuse_bad(messages: Sequence[Message]) -> None:
    if any(message.queue == "bad" for message in messages):
        raise DriverError("no such queue")


async def test_one_bad_message_fails_alone(counting: CountingDriver) -> None:
    app = asynctasq.default_app()
    driver: Any = await app.driver()
    driver.before = refuse_bad
    calls = [keep(number).on_queue("bad" if number == 7 else "good") for number in range(20)]
    answers = await asyncio.gather(*(call.dispatch() for call in calls), return_exceptions=True)
    assert [number for number, answer in enumerate(answers) if isinstance(answer, Exception)] == [7]
    assert isinstance(answers[7], DriverError)
    assert "no such queue" in str(answers[7])
    assert len(await messages(app)) == 19


async def test_one_that_cannot_be_encoded_fails_alone(counting: CountingDriver) -> None:
    calls = [keep(1), keep(Odd()), keep(2)]
    answers = await asyncio.gather(*(call.dispatch() for call in calls), return_exceptions=True)
    assert [isinstance(answer, NotSerializable) for answer in answers] == [False, True, False]
    assert len(counting.chunks) == 1


async def test_a_caller_that_gives_up_takes_nobody_along(counting: CountingDriver) -> None:
    dispatches = [asyncio.ensure_future(keep(number).dispatch()) for number in range(3)]
    await asyncio.sleep(0)
    dispatches[1].cancel()
    answers = await asyncio.gather(*dispatches, return_exceptions=True)
    assert isinstance(answers[1], asyncio.CancelledError)
    known = [answer for answer in answers if isinstance(answer, str)]
    assert len(known) == 2
    await work(asynctasq.default_app())
    assert [await asynctasq.handle(each).result(timeout=30) for each in known] == [0, 2]


def failing(times: int, error: Exception) -> Any:
    """Return a function that raises this often."""
    left = iter([error] * times)

    def fail(_: object) -> None:
        with contextlib.suppress(StopIteration):
            raise next(left)

    return fail


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_store_that_is_away_for_a_moment_is_not_noticed(
    counting: CountingDriver, moment: str
) -> None:
    app = asynctasq.default_app()
    driver: Any = await app.driver()
    setattr(driver, moment, failing(2, DriverUnavailable("away")))
    handles = list(await asyncio.gather(keep(1).dispatch(), keep(2).dispatch()))
    assert len(counting.chunks) == 3
    setattr(driver, moment, failing(3, DriverUnavailable("away")))
    handles += await asynctasq.dispatch_many([keep(3), keep(4)])
    assert len(await messages(app)) == 4
    await work(app)
    assert [await handle.result(timeout=30) for handle in handles] == [1, 2, 3, 4]


async def test_a_store_that_stays_away_is_told_to_every_caller(
    counting: CountingDriver,
) -> None:
    app = asynctasq.default_app()
    driver: Any = await app.driver()
    driver.before = failing(100, DriverUnavailable("away"))
    answers = await asyncio.gather(keep(1).dispatch(), keep(2).dispatch(), return_exceptions=True)
    assert all(isinstance(answer, DriverUnavailable) for answer in answers)
    with pytest.raises(DriverUnavailable, match="away"):
        await asynctasq.dispatch_many([keep(3)])
    driver.before = None
    assert not await messages(app)
    await keep(4).dispatch()


# Many at once.


async def test_many_are_sent_in_chunks_in_order(counting: CountingDriver) -> None:
    told: list[int] = []
    handles = await asynctasq.dispatch_many(
        [keep(number) for number in range(2500)], on_progress=told.append
    )
    assert [len(chunk) for chunk in counting.chunks] == [1000, 1000, 500]
    assert told == [1000, 2000, 2500]
    assert sorted(handles) == handles
    assert all(handle.created for handle in handles)
    assert [each.id for chunk in counting.chunks for each in chunk] == [
        each.id for each in await messages(asynctasq.default_app())
    ]


async def test_chunks_are_bounded_in_bytes(counting: CountingDriver) -> None:
    calls = [keep(bytes(400_000)) for _ in range(5)] + [keep(bytes(2_000_000)), keep(1)]
    await asynctasq.dispatch_many(calls)
    sizes = [[len(message.body) for message in chunk] for chunk in counting.chunks]
    assert all(len(chunk) == 1 or sum(chunk) <= 1_000_000 for chunk in sizes)
    assert [len(chunk) for chunk in sizes] == [2, 2, 1, 1, 1]


def heavy_headers(number: int) -> BaseTask[int]:
    """Return a task whose headers take 300 kB, and whose arguments take a few bytes."""
    return keep(number).options(headers={"trace": "x" * 300_000})


async def test_headers_count_in_the_size_of_shared_round_trips(counting: CountingDriver) -> None:
    await asyncio.gather(*(heavy_headers(number).dispatch() for number in range(10)))
    assert [len(chunk) for chunk in counting.chunks] == [4, 4, 2]


async def test_headers_count_in_the_size_of_the_chunks_of_many(counting: CountingDriver) -> None:
    await asynctasq.dispatch_many(heavy_headers(number) for number in range(10))
    assert [len(chunk) for chunk in counting.chunks] == [3, 3, 3, 1]


async def test_nothing_is_sent_for_nothing(counting: CountingDriver) -> None:
    assert await asynctasq.dispatch_many([]) == []
    assert not counting.chunks


async def test_many_may_come_from_a_generator_with_options_of_their_own(app: App) -> None:
    def calls() -> Iterator[BaseTask[Any]]:
        for number in range(5):
            yield keep(number).on_queue(f"queue-{number}").options(priority=number)

    handles = await app.dispatch_many(calls())
    found = {id_to_text(each.id): each for each in await messages(app)}
    assert [(found[handle].queue, found[handle].priority) for handle in handles] == [
        (f"queue-{number}", number) for number in range(5)
    ]


async def test_conflicts_among_many_give_the_handles_of_the_holders(app: App) -> None:
    keys = ["a", "b", "a", "c", "b"]
    handles = await app.dispatch_many(
        [keep(number).options(unique=Unique(key)) for number, key in enumerate(keys)]
    )
    assert [handle.created for handle in handles] == [True, True, False, True, False]
    assert handles[2] == handles[0]
    assert handles[4] == handles[1]


async def test_an_error_among_many_tells_how_many_were_sent(counting: CountingDriver) -> None:
    calls = [keep(number) for number in range(1500)] + [keep(Odd())]
    with pytest.raises(NotSerializable) as caught:
        await asynctasq.dispatch_many(calls)
    sent = await messages(asynctasq.default_app())
    assert f"{len(sent)} tasks had been dispatched" in caught.value.__notes__[0]


async def test_many_to_two_drivers_keep_their_places(app: App) -> None:
    other = CountingDriver()

    @task(driver=other)
    async def elsewhere(number: int) -> int:
        return number

    calls = [elsewhere(1), keep(2), elsewhere(3), keep(4)]
    handles = await asynctasq.dispatch_many(calls)
    assert [len(chunk) for chunk in other.chunks] == [2]
    assert len(await messages(app)) == 2
    await work(app)
    clone = other.clone()
    await work(app, driver=clone)
    assert [await handle.result(timeout=30) for handle in handles] == [1, 2, 3, 4]


async def test_messages_of_one_dispatch_are_whole(app: App) -> None:
    message = await message_of(app, keep(1))
    assert (message.task, message.queue) == (f"{__name__}:keep", "default")
    assert (message.parents, message.workflow, message.schedule) == ((), None, None)
