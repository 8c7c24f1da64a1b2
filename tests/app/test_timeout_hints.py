"""The error of a result that did not arrive in time says why."""

import asyncio
import time
from typing import Any

import pytest

from asynctasq import App, Handle, task
from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.errors import DriverError, ResultTimeout
from asynctasq.settlement import ErrorInfo, Retry
from tests.worker.faulty_driver import Line
from tests.worker.stage import Flag


@task(queue="mail")
async def send(number: int) -> int:
    return number


async def serve(app: App, name: str, *queues: str, seen: float = 0.0) -> None:
    """Register a worker whose last heartbeat was `seen` seconds ago."""
    driver: Any = await app.driver()
    worker = WorkerInfo(name, "host", 1, 0.0, queues, 5, 2, "1.0", seen_at=time.time() - seen)
    await driver.record_worker(worker, ttl=600.0)


async def explanation(handle: Handle[Any]) -> str:
    with pytest.raises(ResultTimeout) as caught:
        await handle.result(timeout=0.01)
    first, _, rest = str(caught.value).partition("it continues.")
    assert first.startswith(f"Task {handle} has not ended within 0.01 s; ")
    return rest.strip()


async def test_no_worker_at_all_is_named(app: App) -> None:
    handle = await app.dispatch(send(1))
    assert await explanation(handle) == "No worker serves queue 'mail' (workers: none)."


async def test_workers_of_other_queues_are_named(app: App) -> None:
    await serve(app, "w1", "default", "reports")
    handle = await app.dispatch(send(1))
    assert await explanation(handle) == (
        "No worker serves queue 'mail' (workers: w1 on default, reports)."
    )


async def test_a_worker_that_is_silent_does_not_count(app: App) -> None:
    await serve(app, "w1", "mail", seen=45.0)
    told = await explanation(await app.dispatch(send(1)))
    assert told.startswith("No live worker serves queue 'mail': the last heartbeat of w1 was 4")


async def test_a_queue_that_is_long_or_paused_is_named(app: App) -> None:
    await serve(app, "w1", "mail")
    handles = await app.dispatch_many([send(number) for number in range(3)])
    assert await explanation(handles[0]) == "3 messages are ready in queue 'mail'."
    await app.queues.pause("mail")
    assert (await explanation(handles[0])).startswith("The queue 'mail' is paused.")


async def test_the_state_of_the_task_is_named(app: App) -> None:
    await serve(app, "w1", "mail")
    later = await app.dispatch(send(1).delay(3600))
    assert (await explanation(later)).startswith("It is scheduled to run in 3")
    running = await app.dispatch(send(2))
    driver: Any = await app.driver()
    [delivery] = await driver.reserve({"mail": 1}, limit=1, owner="w1/0badcafe", lease=60.0)
    assert await explanation(running) == "It is running on worker w1."
    error = ErrorInfo("shop.Refused", "no money", "")
    await driver.settle([Retry(delivery.lease, 3600.0, error)])
    told = await explanation(running)
    assert told.endswith("after 1 failed run (shop.Refused: no money).")


async def test_a_running_task_whose_worker_is_silent_says_so(app: App) -> None:
    await serve(app, "w1", "mail", seen=45.0)
    running = await app.dispatch(send(1))
    driver: Any = await app.driver()
    await driver.reserve({"mail": 1}, limit=1, owner="w1/0badcafe", lease=60.0)
    told = await explanation(running)
    assert told.startswith("It is running on worker w1. The last heartbeat of w1 was 4")
    assert told.endswith("if it is gone, the task runs again.")


@pytest.mark.parametrize("method", ["find", "workers", "paused"])
async def test_a_hint_that_fails_leaves_the_error_as_it_is(
    app: App, line: Line, method: str
) -> None:
    handle = await app.dispatch(send(1))
    line.fail(method, error=lambda: DriverError("no"))
    assert await explanation(handle) == ""


async def test_a_store_that_does_not_answer_does_not_hold_the_error_back(
    app: App, line: Line
) -> None:
    handle = await app.dispatch(send(1))
    answered = Flag(asyncio.get_running_loop())
    line.hold("find", until=answered)
    assert await explanation(handle) == ""
    answered.set()


@pytest.mark.parametrize("wrong", ["5", b"5", [5]])
async def test_a_timeout_that_is_no_duration_is_a_type_error(app: App, wrong: Any) -> None:
    handle = await app.dispatch(send(1))
    with pytest.raises(TypeError, match="must be a number of seconds or a timedelta"):
        await handle.result(timeout=wrong)
