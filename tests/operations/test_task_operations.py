"""`App.tasks`."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from asynctasq import App, State
from asynctasq.app import runtime_of
from asynctasq.errors import ResultUnknown
from asynctasq.message import CancelOutcome, id_to_text, new_id
from asynctasq.operations import TaskInfo
from asynctasq.settlement import Reason
from tests.operations.staging import REFUSED, bury, complete, enqueue, message, reserve

UNKNOWN = "01a1fbfb-d090-7ecd-9c1a-7f165c3ef3d9"


async def pages(app: App, limit: int, *args: Any, **wanted: Any) -> list[list[TaskInfo]]:
    """Return a listing, page by page."""
    found: list[list[TaskInfo]] = []
    cursor: str | None = None
    while True:
        page = await app.tasks.page(*args, limit=limit, cursor=cursor, **wanted)
        found.append(list(page.items))
        cursor = page.cursor
        if cursor is None:
            return found


async def test_tasks_are_listed_by_state_then_by_time(app: App) -> None:
    running = await enqueue(app, message(app))
    await reserve(app)
    scheduled = await enqueue(app, message(app, delay=60.0), message(app, delay=30.0))
    ready = await enqueue(app, message(app), message(app))
    await bury(app, message(app, queue="mail"))
    found = [task async for task in app.tasks.each()]
    assert [task.id for task in found] == [*running, *ready, *scheduled]
    assert [task.state for task in found[:2]] == [State.LEASED, State.READY]
    assert found[0].worker == "w1"
    dead = await app.tasks.page([State.DEAD])
    assert [task.queue for task in dead.items] == ["mail"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_of_any_size_hold_every_task_once(app: App, limit: int) -> None:
    ids = await enqueue(app, *(message(app) for _ in range(4)))
    ids += await enqueue(app, *(message(app, delay=60.0) for _ in range(3)))
    found = await pages(app, limit)
    assert [task.id for page in found for task in page] == ids
    assert all(len(page) <= limit for page in found)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_a_pattern_finds_every_task_once(app: App, limit: int) -> None:
    names = ["shop:pay", "mail:send", "shop:ship", "mail:send", "shop:pay", "shop:pay"]
    ids = await enqueue(app, *(message(app, task=name) for name in names))
    found = await pages(app, limit, task="shop:*")
    wanted = [one for one, name in zip(ids, names, strict=True) if name.startswith("shop")]
    assert sorted(task.id for page in found for task in page) == sorted(wanted)
    assert all(len(page) <= limit for page in found)
    assert [task.id for page in await pages(app, limit, task="shop:ship") for task in page] == [
        ids[2]
    ]


async def test_tasks_are_chosen_by_queue_and_time(app: App) -> None:
    [first, second] = await enqueue(app, message(app), message(app, queue="mail"))
    found = {task.id: task async for task in app.tasks.each()}
    moment = found[second].enqueued_at
    assert moment is not None
    assert [task.id async for task in app.tasks.each(queue="mail")] == [second]
    assert second in [task.id async for task in app.tasks.each(since=moment)]
    later = datetime.fromtimestamp(moment + 1, UTC)
    assert [task.id async for task in app.tasks.each(since=later)] == []
    assert [task.id async for task in app.tasks.each(until=later)] == [first, second]


@pytest.mark.parametrize("cursor", ["dead:1", "ready:zz", "ready:ids.i1"])
async def test_a_cursor_of_another_listing_is_refused(app: App, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor must come from "):
        await app.tasks.page([State.READY], cursor=cursor)
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        await app.tasks.page(limit=0)
    with pytest.raises(ValueError, match="only outcomes are kept"):
        await app.tasks.page([State.COMPLETED])


async def test_a_dead_task_is_shown_with_arguments_reason_and_traceback(app: App) -> None:
    [task_id] = await bury(app, message(app, 7, named={"to": "x@y"}))
    shown = await app.tasks.get(task_id)
    assert shown.arguments is not None
    assert (shown.arguments.positional, shown.arguments.named) == ((7,), {"to": "x@y"})
    assert (shown.info.state, shown.info.reason) == (State.DEAD, Reason.FAILED)
    assert shown.info.error == REFUSED
    assert shown.info.finished_at is not None


async def test_a_completed_task_is_shown_with_its_result(app: App) -> None:
    task_id = await complete(app, message(app), {"paid": True})
    shown = await app.tasks.get(task_id)
    assert (shown.info.state, shown.result) == (State.COMPLETED, {"paid": True})
    assert shown.arguments is None


async def test_a_running_task_names_its_worker_as_the_list_of_workers_does(app: App) -> None:
    [task_id] = await enqueue(app, message(app))
    driver: Any = await app.driver()
    await driver.reserve({"default": 1}, limit=1, owner="host-12-ab/0badcafe", lease=60.0)
    assert (await app.tasks.get(task_id)).info.worker == "host-12-ab"


async def test_progress_of_a_running_task_is_shown(app: App) -> None:
    [task_id] = await enqueue(app, message(app))
    [delivery] = await reserve(app)
    driver: Any = await app.driver()
    await driver.set_progress([(delivery.lease, runtime_of(app).codec.encode_result(0.5))])
    shown = await app.tasks.get(task_id)
    assert (shown.info.state, shown.progress) == (State.LEASED, 0.5)


async def test_a_body_that_cannot_be_read_is_told_and_no_error(app: App) -> None:
    [task_id] = await enqueue(app, replace(message(app), body=b"noise"))
    shown = await app.tasks.get(task_id)
    assert shown.arguments is None
    assert "not a body" in shown.unreadable["arguments"]


async def test_the_age_of_an_unknown_id_tells_what_became_of_it(app: App) -> None:
    for task_id, why in (
        (id_to_text(new_id()), "it was never dispatched here, or it was purged."),
        (UNKNOWN, "or it has ended and its outcome was forgotten .* made .* days ago."),
        ("11111111-1111-1111-1111-111111111111", "its outcome was forgotten [^.]*\\.$"),
    ):
        with pytest.raises(ResultUnknown, match=f"No task {task_id} is in this store: .*{why}"):
            await app.tasks.get(task_id)


async def test_an_unknown_task_is_an_error(app: App) -> None:
    with pytest.raises(ResultUnknown, match=UNKNOWN):
        await app.tasks.get(UNKNOWN)
    with pytest.raises(ValueError, match="task id must be a UUID"):
        await app.tasks.get("seven")


async def test_cancelling_tells_what_came_of_each(app: App) -> None:
    [running] = await enqueue(app, message(app))
    await reserve(app)
    [waiting] = await enqueue(app, message(app))
    ended = await complete(app, message(app, queue="mail"), None)
    assert await app.tasks.cancel([running, waiting, ended, UNKNOWN]) == [
        CancelOutcome.REQUESTED,
        CancelOutcome.CANCELLED,
        CancelOutcome.TOO_LATE,
        CancelOutcome.UNKNOWN,
    ]
    shown = await app.tasks.get(running)
    assert shown.info.cancelling
