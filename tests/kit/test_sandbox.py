"""Sandboxes: tasks reach no store, can be inspected, and run as in a worker."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

import asynctasq
from asynctasq import App, State, Worker, current_task, task
from asynctasq.errors import (
    CapabilityMissing,
    ConfigurationError,
    DriverError,
    ResultUnknown,
    TaskCancelled,
    TaskFailed,
)
from asynctasq.message import CancelOutcome
from asynctasq.testing import Sandbox
from tests.kit.shop import (
    Address,
    Crunch,
    Flaky,
    OutOfStock,
    Ship,
    count_words,
    hang,
    log,
    never_ends,
    order_all,
    remind,
    send_email,
    send_from_thread,
    sign_up,
    square,
)


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    log.clear()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


# Stores and apps.


async def test_dispatches_do_not_reach_the_store(sandbox: Sandbox, tmp_path: Path) -> None:
    await sign_up("ada@example.com")
    async with App({"driver": f"sqlite:///{tmp_path}/other.db"}) as app:
        await sign_up("bob@example.com")
        await app.dispatch(count_words("from an app of its own"))
        await app.dispatch_many([send_email("a"), send_email("b")])
    assert len(sandbox.dispatched) == 7
    assert files_in(tmp_path) == []


async def test_open_apps_work_again_after_the_sandbox(tmp_path: Path) -> None:
    async with App({"driver": f"sqlite:///{tmp_path}/store.db"}):
        before = await count_words("a b").dispatch()
        with Sandbox() as sandbox:
            inside = await count_words("a b c").dispatch()
            sandbox.assert_dispatched(count_words("a b c"), times=1)
        assert await before.status() is State.READY
        with pytest.raises(ResultUnknown):
            await inside.status()


async def test_init_within_a_sandbox_changes_settings_and_reaches_no_store(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asynctasq.runtime.default", None)
    asynctasq.init({"driver": f"sqlite:///{tmp_path}/store.db", "default_queue": "shop"})
    await count_words("one two").dispatch()
    sandbox.assert_dispatched(count_words, queue="shop")
    assert files_in(tmp_path) == []


def test_code_without_event_loop_dispatches_too(sandbox: Sandbox) -> None:
    handle = send_email("ada@example.com").dispatch_sync()
    asyncio.run(sign_up("bob@example.com"))
    sandbox.assert_dispatched(send_email, times=3)
    assert sandbox.drain_sync() == 2
    assert asyncio.run(handle.result(timeout=30)) == "Hello, ada@example.com"


def test_two_sandboxes_at_once_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ConfigurationError, match="already"), Sandbox():
        pass


async def test_a_sandbox_has_only_the_capabilities_of_the_driver(
    sandbox: Sandbox,
) -> None:
    from asynctasq.contracts.capabilities import Capability
    from asynctasq.drivers.memory import MemoryDriver

    class Plain(MemoryDriver):
        capabilities = MemoryDriver.capabilities & ~(Capability.UNIQUE | Capability.RESULTS)

    async with App({"driver": Plain()}):
        with pytest.raises(CapabilityMissing, match="UNIQUE"):
            await send_email("a").options(unique="key").dispatch()
        handle = await send_email("a").dispatch()
        with pytest.raises(CapabilityMissing, match="RESULTS"):
            await handle.result()
        assert await sandbox.drain() == 1


async def test_waiting_for_a_result_without_a_drain_is_an_error() -> None:
    with Sandbox(patience=0.0):
        handle = await send_email("ada@example.com").dispatch()
        with pytest.raises(DriverError, match=r"sandbox\.drain\(\)"):
            await handle.result(timeout=30)


async def test_a_real_worker_works_in_a_sandbox(sandbox: Sandbox) -> None:
    handle = await send_email("ada@example.com").dispatch()
    await Worker(burst=True, handle_signals=False).start()
    assert await handle.result(timeout=30) == "Hello, ada@example.com"


# Assertions.


async def test_assertions_compare_arguments_however_they_were_passed(sandbox: Sandbox) -> None:
    await send_email.dispatch("ada@example.com", copies=("bob", "eve"))
    await Ship(7, to=Address("Rome", codes=(1, 2)), door="left").dispatch()
    sandbox.assert_dispatched(send_email(to="ada@example.com", copies=("bob", "eve")))
    sandbox.assert_dispatched(send_email("ada@example.com", "Hello", copies=("bob", "eve")))
    sandbox.assert_dispatched(send_email(to=ANY, copies=ANY), times=1, queue="emails")
    sandbox.assert_dispatched(Ship(order=7, to=Address("Rome", (1, 2)), door="left"))
    sandbox.assert_dispatched(Ship)
    sandbox.assert_dispatched("tests.kit.shop:Ship", times=1)
    sandbox.assert_not_dispatched(Ship(7, to=Address("Rome", (1, 2))))
    sandbox.assert_not_dispatched(Ship(7, to=Address("Oslo", (1, 2)), door="left"))
    sandbox.assert_not_dispatched(send_email("ada@example.com"))
    sandbox.assert_not_dispatched(send_email, queue="default")


async def test_fields_that_a_class_gives_a_value_are_arguments_with_a_default(
    sandbox: Sandbox,
) -> None:
    await Crunch(numbers=[1]).dispatch()
    sandbox.assert_dispatched(Crunch(numbers=[1], limit=100))
    await Crunch(numbers=[2], limit=100).dispatch()
    sandbox.assert_dispatched(Crunch(numbers=[2]))
    sandbox.assert_not_dispatched(Crunch(numbers=[2], limit=5))
    assert sandbox.dispatched[0].arguments == {"numbers": [1], "limit": 100}


async def test_assertions_compare_the_options_that_are_given(sandbox: Sandbox) -> None:
    await send_email("a").delay(60).options(priority=9, timeout=5.0).dispatch()
    sandbox.assert_dispatched(send_email("a"))
    sandbox.assert_dispatched(send_email("a").delay(60))
    sandbox.assert_dispatched(send_email("a").options(priority=9))
    sandbox.assert_dispatched(send_email("a").options(timeout=5))
    for other in (
        send_email("a").delay(61),
        send_email("a").options(priority=8),
        send_email("a").options(timeout=None),
        send_email("a").on_queue("other"),
        send_email("a").options(unique="key"),
    ):
        sandbox.assert_not_dispatched(other)


async def test_a_failed_assertion_lists_the_dispatches(sandbox: Sandbox) -> None:
    with pytest.raises(AssertionError) as nothing:
        sandbox.assert_dispatched(count_words)
    assert str(nothing.value) == "tests.kit.shop:count_words was never dispatched; no task was."
    await sign_up("ada@example.com")
    with pytest.raises(AssertionError) as failed:
        sandbox.assert_dispatched(send_email(to="bob@example.com", subject="Welcome"), times=2)
    name = "tests.kit.shop:send_email"
    wanted, first, second = (
        f"{name}(to={to!r}, subject={subject!r}, copies=())"
        for to, subject in [
            ("bob@example.com", "Welcome"),
            ("ada@example.com", "Welcome"),
            ("crm@example.com", "New"),
        ]
    )
    assert str(failed.value).splitlines() == [
        f"{wanted} was never dispatched, not twice. Dispatched tasks:",
        f"  1. {first} on 'emails'    <- differs: to='ada@example.com'",
        f"  2. {second} on 'emails', due after 60 s    <- differs: to='crm@example.com', subject='New'",
    ]
    with pytest.raises(AssertionError, match="No task must be dispatched, but these were"):
        sandbox.assert_not_dispatched()
    with pytest.raises(TypeError, match="must be a task"):
        sandbox.assert_dispatched(sign_up)  # type: ignore[arg-type]  # a plain function


async def test_dispatches_have_arguments_queue_delay_and_handle(sandbox: Sandbox) -> None:
    await sign_up("ada@example.com")
    first, second = sandbox.assert_dispatched(send_email, times=2)
    assert first.arguments == {"to": "ada@example.com", "subject": "Welcome", "copies": ()}
    assert (first.queue, first.delay, second.delay) == ("emails", 0.0, 60.0)
    await sandbox.drain()
    assert await first.handle.result(timeout=30) == "Welcome, ada@example.com"
    assert await second.handle.status() is State.SCHEDULED


async def test_duplicates_of_a_unique_key_are_not_recorded(sandbox: Sandbox) -> None:
    for _ in range(2):
        await send_email("a").options(unique="one").dispatch()
    sandbox.assert_dispatched(send_email, times=1)


async def test_clear_forgets_and_deletes(sandbox: Sandbox) -> None:
    await sign_up("ada@example.com")
    sandbox.clear()
    sandbox.assert_not_dispatched()
    assert await sandbox.drain(until=inf) == 0


# Draining.


async def test_drain_runs_ready_tasks_and_their_dispatches(sandbox: Sandbox) -> None:
    handle = await order_all(["Rome", "Oslo"]).dispatch()
    assert await sandbox.drain() == 3
    assert await handle.result(timeout=30) == ["0 to Rome", "1 to Oslo"]


async def test_tasks_of_every_mode_run_in_this_process(sandbox: Sandbox) -> None:
    handles = [
        await count_words("one two three").dispatch(),
        await square(7).dispatch(),
        await Crunch(numbers=[1, 2, 3]).dispatch(),
    ]
    await sandbox.drain()
    assert [await handle.result(timeout=30) for handle in handles] == [3, 49, 6]
    assert set(log) == {("square", 7), ("thread", False)}


async def test_an_hour_of_retries_takes_no_time(sandbox: Sandbox) -> None:
    handle = await Flaky(failures=60).dispatch()
    assert await sandbox.drain() == 1
    before = sandbox.clock.now()
    assert await sandbox.drain(until=timedelta(hours=1)) == 60
    assert await handle.result(timeout=30) == "after 60 retries"
    assert sandbox.clock.now() == before + timedelta(hours=1)


async def test_drain_until_runs_only_tasks_due_in_that_time(sandbox: Sandbox) -> None:
    start = sandbox.clock.now()
    await remind(5).dispatch()
    assert await sandbox.drain(until=2.5 * 3600) == 3
    assert sandbox.clock.now() == start + timedelta(hours=2.5)
    assert log == [("reminded", start + timedelta(hours=hours)) for hours in (0, 0, 1)]
    end = start + timedelta(hours=3)
    assert await sandbox.drain(until=end) == 1
    assert sandbox.clock.now() == end
    assert await sandbox.drain(until=inf) == 1


async def test_moving_the_clock_makes_tasks_due(sandbox: Sandbox) -> None:
    await send_email("a").delay(3600).dispatch()
    await send_email("b").options(eta=datetime.now(UTC) + timedelta(days=2)).dispatch()
    assert await sandbox.drain() == 0
    sandbox.clock.advance(timedelta(hours=1))
    assert await sandbox.drain() == 1
    sandbox.clock.move_to(datetime.now(UTC) + timedelta(days=3))
    assert await sandbox.drain() == 1
    with pytest.raises(ValueError, match="must not be negative"):
        sandbox.clock.advance(-1)


async def test_expired_tasks_do_not_run(sandbox: Sandbox) -> None:
    handle = await send_email("a").options(expires=60).dispatch()
    sandbox.clock.advance(61)
    assert await sandbox.drain() == 0
    with pytest.raises(TaskFailed, match="expired"):
        await handle.result(timeout=30)


async def test_failures_are_dead_letters_and_hooks_are_called(sandbox: Sandbox) -> None:
    handle = await Flaky(failures=9).options(max_attempts=2).dispatch()
    assert await sandbox.drain(until=inf) == 2
    assert log == [("failed", "run 1")]
    with pytest.raises(TaskFailed, match="run 1"):
        await handle.result(timeout=30)


async def test_drain_raises_exceptions_of_tasks_on_request(sandbox: Sandbox) -> None:
    sandbox.raises = True
    await Flaky(failures=9).options(max_attempts=1).dispatch()
    with pytest.raises(OutOfStock, match="run 0"):
        await sandbox.drain()
    for _ in range(2):
        await Flaky(failures=9).options(max_attempts=1).dispatch()
    with pytest.raises(ExceptionGroup) as group:
        await sandbox.drain()
    assert [type(error) for error in group.value.exceptions] == [OutOfStock, OutOfStock]
    assert await sandbox.drain() == 0


async def test_an_unknown_task_becomes_a_dead_letter_at_once(sandbox: Sandbox) -> None:
    sandbox.raises = True
    gone = task(name="gone")(send_email.fn)
    await gone("a").dispatch()
    from asynctasq.tasks.registry import registry

    del registry._definitions["gone"]
    with pytest.raises(TaskFailed, match="unknown_task"):
        await sandbox.drain()


async def test_queues_and_concurrency_can_be_limited(sandbox: Sandbox) -> None:
    await send_email("a").dispatch()
    await count_words("b").dispatch()
    assert await sandbox.drain(queues=["emails"]) == 1
    assert log == [("email", "a")]
    assert await sandbox.drain(concurrency=1) == 1


async def test_an_endless_drain_is_an_error(sandbox: Sandbox) -> None:
    await never_ends().dispatch()
    with pytest.raises(AssertionError, match="has not finished after"):
        await sandbox.drain(most=20)


async def test_a_running_task_is_cancelled(sandbox: Sandbox) -> None:
    handle = await hang().dispatch()
    draining = asyncio.create_task(sandbox.drain())
    async with asyncio.timeout(30):
        while "hanging" not in log:
            await asyncio.sleep(0)
        assert await handle.cancel() is CancelOutcome.REQUESTED
        await draining
    with pytest.raises(TaskCancelled):
        await handle.result(timeout=30)


async def test_a_cancelled_drain_releases_running_tasks(sandbox: Sandbox) -> None:
    handle = await hang().dispatch()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await sandbox.drain()
    assert log == ["hanging", "interrupted"]
    assert await handle.status() is State.READY


async def test_lifespan_and_observers_of_the_app_serve_its_tasks(sandbox: Sandbox) -> None:
    happened: list[str] = []

    @asynccontextmanager
    async def lifespan(_: App) -> AsyncIterator[str]:
        yield "the pool"
        happened.append("closed")

    class Observer:
        @asynctasq.hookimpl
        def worker_started(self, context: Any) -> None:
            happened.append("started")

        @asynctasq.hookimpl
        async def after_execute(self, context: Any) -> None:
            happened.append("executed")

    @task
    async def uses_resources() -> str:
        return str(current_task().resources)

    app = App(lifespan=lifespan)
    app.plugins.register(Observer())
    handle = await app.dispatch(uses_resources())
    await sandbox.drain()
    assert await handle.result(timeout=30) == "the pool"
    assert happened == ["started", "executed", "closed"]
    await app.close()


# Inline.


async def test_inline_dispatch_returns_after_the_task(sandbox: Sandbox) -> None:
    sandbox.inline = True
    handle = await Flaky(failures=3).dispatch()
    assert await handle.status() is State.COMPLETED
    assert await handle.result(timeout=30) == "after 3 retries"
    handles = await asynctasq.dispatch_many([square(number) for number in range(3)])
    assert [await each.result(timeout=30) for each in handles] == [0, 1, 4]


async def test_inline_tasks_dispatch_inline(sandbox: Sandbox) -> None:
    sandbox.inline = True
    handle = await order_all(["Rome", "Oslo"]).dispatch()
    assert await handle.result(timeout=30) == ["0 to Rome", "1 to Oslo"]
    other = await send_from_thread("ada@example.com").dispatch()
    assert await asynctasq.handle(await other.result(timeout=30)).result(timeout=30)


def test_inline_serves_code_without_event_loop(sandbox: Sandbox) -> None:
    sandbox.inline = True
    count_words("one two").dispatch_sync()
    assert log == [("thread", False)]


async def test_inline_does_not_run_delayed_tasks(sandbox: Sandbox) -> None:
    sandbox.inline = True
    await remind(3).dispatch()
    assert len(log) == 1
    assert await sandbox.drain(until=inf) == 2


async def test_inline_raises_to_the_caller_on_request(sandbox: Sandbox) -> None:
    sandbox.inline = sandbox.raises = True
    with pytest.raises(OutOfStock, match="run 1"):
        await Flaky(failures=9).options(max_attempts=2).dispatch()
    assert log == [("failed", "run 1")]
    # Callers that dispatch together each get the exception of their own task.
    outcomes = await asyncio.gather(
        send_email("ada@example.com").dispatch(),
        Flaky(failures=9).options(max_attempts=1).dispatch(),
        count_words("a b").dispatch(),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], OutOfStock)
    for handle in (outcomes[0], outcomes[2]):
        assert isinstance(handle, asynctasq.Handle)
        assert handle.created
        assert await handle.status() is State.COMPLETED
    sandbox.assert_dispatched(count_words, times=1)


async def test_inline_failures_are_in_the_handle_otherwise(sandbox: Sandbox) -> None:
    sandbox.inline = True
    handle = await Flaky(failures=9).options(max_attempts=1).dispatch()
    with pytest.raises(TaskFailed, match="run 0"):
        await handle.result(timeout=30)
