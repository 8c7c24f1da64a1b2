"""Dispatches whose answer is lost: what `created` says, and that repeating them adds nothing twice."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import asynctasq
from asynctasq import App, AsyncTask, BaseTask, OnConflict, Unique, task
from asynctasq.dispatch.partly import RETRIES
from asynctasq.errors import CapabilityMissing, DriverError, DriverUnavailable
from asynctasq.hookspecs import DispatchContext, hookimpl
from asynctasq.message import Message, id_from_text, id_to_text, new_id
from tests.tasks.counting import CountingDriver, QueueOnlyDriver
from tests.tasks.store import messages, opened, work


@task
async def keep(value: Any = None) -> Any:
    return value


@dataclass(frozen=True)
class Frozen(AsyncTask[int]):
    number: int = 1

    async def execute(self) -> int:
        return self.number


ATTEMPTS = RETRIES + 1
"""Enqueues of one dispatch while the store cannot be reached."""


class Lossy:
    """Loses the answers to so many enqueues, after the store has accepted the messages."""

    def __init__(self, times: int = 1, error: Exception | None = None) -> None:
        self.left = times
        self.error = error or DriverUnavailable("connection lost.")

    def __call__(self, _: Sequence[Message]) -> None:
        if self.left:
            self.left -= 1
            raise self.error


@pytest.fixture
async def driver() -> AsyncIterator[Any]:
    """Yield the opened driver of the default app."""
    app = asynctasq.init({"driver": CountingDriver()})
    yield await app.driver()
    await app.close()


async def count() -> int:
    return len(await messages(asynctasq.default_app()))


# `created`.


async def test_message_added_by_an_enqueue_that_is_repeated_counts_as_created(driver: Any) -> None:
    driver.after = Lossy()
    alone = await keep().dispatch()
    driver.after = Lossy()
    many = await asynctasq.dispatch_many([keep(1), keep(2).options(unique="key")])

    assert [handle.created for handle in (alone, *many)] == [True] * 3


async def test_known_id_and_held_key_are_not_created(driver: Any) -> None:
    given = id_to_text(new_id())
    first = [await keep().options(id=given).dispatch(), await keep().options(unique="k").dispatch()]
    driver.after = Lossy()
    again = await asynctasq.dispatch_many(
        [
            keep().options(id=given),
            keep().options(unique=Unique("k", on_conflict=OnConflict.EXTEND)),
        ]
    )

    assert [handle.created for handle in (*first, *again)] == [True, True, False, False]
    assert again == first


async def test_replacement_whose_answer_is_lost_is_created(driver: Any) -> None:
    await keep(1).options(unique="k").dispatch()
    driver.after = Lossy()
    unique = Unique("k", on_conflict=OnConflict.REPLACE)
    assert (await keep(2).options(unique=unique).dispatch()).created
    assert await count() == 1


# Repeating a dispatch that raised.


async def attempt(call: BaseTask[Any], how: str) -> DriverUnavailable:
    app = asynctasq.default_app()
    dispatch = app.dispatch_many([call]) if how == "many" else call.dispatch()
    with pytest.raises(DriverUnavailable, match="unknown whether the store has accepted") as caught:
        await dispatch
    return caught.value


@pytest.mark.parametrize("how", ["alone", "many"])
@pytest.mark.parametrize("make", [keep, Frozen, lambda: keep().delay(0).on_queue("other")])
async def test_same_object_adds_no_second_message(driver: Any, how: str, make: Any) -> None:
    call = make()
    driver.after = Lossy(2 * ATTEMPTS)
    first, second = [await attempt(call, how) for _ in range(2)]
    handle = await call.on_queue("later").dispatch()

    assert [first.task_id, second.task_id] == [handle, handle]
    assert first.task_ids == (handle,)
    assert handle in str(first)
    assert handle.created
    assert await count() == 1
    assert await call.dispatch() != handle, "after a success, a dispatch is a new one"
    assert await count() == 2


async def test_dispatches_that_share_a_round_trip_have_errors_of_their_own(driver: Any) -> None:
    driver.after = Lossy(ATTEMPTS)
    calls = [keep(number) for number in range(3)]
    errors = await asyncio.gather(*(call.dispatch() for call in calls), return_exceptions=True)
    ids = [error.task_id for error in errors if isinstance(error, DriverUnavailable)]

    assert await asynctasq.dispatch_many(calls) == ids
    assert await count() == 3


async def test_each_of_two_dispatches_of_one_object_is_repeated(driver: Any) -> None:
    call = keep()
    driver.after = Lossy(ATTEMPTS)
    await asyncio.gather(call.dispatch(), call.dispatch(), return_exceptions=True)
    handles = [await call.dispatch(), await call.dispatch()]

    assert len(set(handles)) == 2
    assert await count() == 2


async def test_error_in_the_middle_of_many_lets_all_keep_their_ids(driver: Any) -> None:
    calls = [keep(number) for number in range(2500)]
    lossy = Lossy(0)
    driver.after = lambda chunk: lossy(chunk) if len(driver.chunks) > 1 else None
    lossy.left = ATTEMPTS
    with pytest.raises(DriverUnavailable) as caught:
        await asynctasq.dispatch_many(iter(calls))
    driver.after = None
    known = {message.id for message in await messages(asynctasq.default_app())}
    handles = await asynctasq.dispatch_many(calls)

    assert len(set(handles)) == 2500 == await count()
    assert set(caught.value.task_ids) <= set(handles)
    assert known <= {id_from_text(handle) for handle in handles}
    assert "tasks had been dispatched" in caught.value.__notes__[0]


async def test_object_given_many_times_keeps_all_its_ids(driver: Any) -> None:
    call = keep()
    with pytest.raises(TypeError, match="Only a task with its arguments"):
        await asynctasq.dispatch_many([*[call] * 2000, "no task"])  # type: ignore[arg-type]  # the fault
    handles = await asynctasq.dispatch_many([call] * 2000)
    assert len(set(handles)) == 2000 == await count()
    await asynctasq.dispatch_many([call] * 2)
    assert await count() == 2002


async def test_cancelled_dispatch_is_repeated_with_its_id(driver: Any) -> None:
    call = keep()
    sent = asyncio.Event()
    driver.after = lambda _: sent.set()
    dispatch = asyncio.ensure_future(call.dispatch())
    await asyncio.sleep(0)
    dispatch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dispatch
    await sent.wait()
    handle = await call.dispatch()

    assert await count() == 1
    assert handle == call._task_id


async def test_refusal_keeps_the_id_and_claims_nothing(driver: Any) -> None:
    driver.after = Lossy(1, DriverError("no space left."))
    call = keep()
    with pytest.raises(DriverError, match=r"^no space left\.$") as caught:
        await call.dispatch()
    assert await call.dispatch() == caught.value.task_id
    assert await count() == 1


async def test_error_of_a_kind_that_cannot_be_copied_is_told_too(driver: Any) -> None:
    class Odd(DriverUnavailable):
        def __init__(self, host: str, port: int) -> None:
            super().__init__(f"{host}:{port} is away.")

    driver.after = Lossy(ATTEMPTS, Odd("localhost", 1))
    error = await attempt(keep(), "alone")
    assert "localhost:1 is away." in str(error)


async def test_store_that_cannot_be_opened_is_an_error_with_an_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Away(CountingDriver):
        async def open(self) -> None:
            raise DriverUnavailable("nothing listens.")

    async with opened_app(Away()) as app:
        calls = [keep(1), keep(2)]
        errors = await asyncio.gather(*map(app.dispatch, calls), return_exceptions=True)
        ids = [error.task_id for error in errors if isinstance(error, DriverUnavailable)]
        assert ids == [call._task_id for call in calls]
        with pytest.raises(DriverUnavailable) as caught:
            await app.dispatch_many(calls)
        assert caught.value.task_id == ids[0]


def opened_app(driver: Any) -> Any:
    class Closing:
        async def __aenter__(self) -> App:
            self.app = App({"driver": driver})
            return self.app

        async def __aexit__(self, *_: object) -> None:
            await self.app.close()

    return Closing()


async def test_cancellation_in_an_observer_after_the_dispatch_keeps_the_id(driver: Any) -> None:
    reached = asyncio.Event()

    class Slow:
        @hookimpl
        async def after_dispatch(self, context: DispatchContext) -> None:
            reached.set()
            await asyncio.Event().wait()

    app = asynctasq.default_app()
    slow = Slow()
    app.plugins.register(slow, name="slow")
    for dispatch in (keep(1).dispatch, lambda: asynctasq.dispatch_many([keep(2)])):
        reached.clear()
        running = asyncio.ensure_future(dispatch())
        await reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert await count() == 2


async def test_capability_error_loses_no_kept_id() -> None:
    async with opened(App({"driver": QueueOnlyDriver()})) as app:
        call = keep()
        for each in (call.options(priority=6), call):
            with pytest.raises(CapabilityMissing):
                await app.dispatch(each)
        kept = call._task_id
        assert await app.dispatch(call.options(priority=5)) == kept


def test_interrupted_dispatch_sync_is_repeated_with_its_id() -> None:
    caught = threading.Event()
    main = threading.get_ident()
    interrupts = iter([signal.SIGINT])

    def interrupt(_: Sequence[Message]) -> None:
        for each in interrupts:
            signal.pthread_kill(main, each)
            caught.wait(30)

    memory = CountingDriver(after=interrupt)
    app = asynctasq.init({"driver": memory})
    call = keep(1)
    with pytest.raises(KeyboardInterrupt):
        app.dispatch_sync(call)
    caught.set()
    handle = app.dispatch_sync(call)

    assert handle == call._task_id
    assert {id_to_text(message.id) for chunk in memory.chunks for message in chunk} == {handle}
    app.close_sync()


def test_dispatch_sync_interrupted_before_it_waits_is_repeated_with_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submit = asyncio.run_coroutine_threadsafe
    interrupts = iter([KeyboardInterrupt])

    def interrupted(coroutine: Any, loop: Any) -> Any:
        future = submit(coroutine, loop)
        for each in interrupts:
            arrived.wait(30)
            raise each
        return future

    arrived, caught = threading.Event(), threading.Event()

    def arrive(_: Sequence[Message]) -> None:
        arrived.set()
        caught.wait(30)

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
    memory = CountingDriver(after=arrive)
    app = asynctasq.init({"driver": memory})
    call = keep(1)
    with pytest.raises(KeyboardInterrupt):
        app.dispatch_sync(call)
    caught.set()
    handle = app.dispatch_sync(call)

    assert {id_to_text(message.id) for chunk in memory.chunks for message in chunk} == {handle}
    app.close_sync()


async def test_results_of_repeated_dispatches_arrive(driver: Any) -> None:
    call = keep(5)
    driver.after = Lossy(ATTEMPTS)
    await attempt(call, "alone")
    handle = await call.dispatch()
    await work(asynctasq.default_app())
    assert await handle.result(timeout=30) == 5
