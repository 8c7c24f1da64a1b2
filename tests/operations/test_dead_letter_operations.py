"""`App.dead_letters`."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from asynctasq import App, State, Unique
from asynctasq.app import runtime_of
from asynctasq.contracts.resolver import Reference
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.message import id_from_text
from asynctasq.operations import Arguments, RetryOutcome
from asynctasq.operations.batches import BATCH, batch_size, in_batches
from asynctasq.settlement import ErrorInfo, Reason
from tests.operations.staging import bury, enqueue, message, reserve
from tests.operations.test_task_operations import UNKNOWN
from tests.worker.faulty_driver import FaultyDriver, Line

LATE = ErrorInfo("builtins.TimeoutError", "too late", "")


async def chosen(app: App, **wanted: Any) -> list[str]:
    return [letter.id async for letter in app.dead_letters.each(**wanted)]


async def test_dead_letters_are_chosen_by_all_that_they_keep(app: App) -> None:
    [refused] = await bury(app, message(app))
    [lost] = await bury(app, message(app, queue="mail"), reason=Reason.LOST, error=None)
    [late] = await bury(app, message(app, task="mail:send"), error=LATE)
    assert await chosen(app) == [late, lost, refused]
    assert await chosen(app, queue="mail") == [lost]
    assert await chosen(app, task="mail:*") == [late]
    assert await chosen(app, reason=Reason.LOST) == [lost]
    assert await chosen(app, error="Refused") == [refused]
    assert await chosen(app, error="shop.errors.*") == [refused]
    assert await chosen(app, error="*Error", task="shop:*") == []
    died = {letter.id: letter.finished_at async for letter in app.dead_letters.each()}
    middle = died[lost]
    assert middle is not None
    assert refused not in await chosen(app, since=middle)
    assert lost in await chosen(app, since=middle)
    assert await chosen(app, until=middle) == [refused]
    assert lost not in await chosen(app, since=middle, until=middle)


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_pages_of_a_filter_hold_every_dead_letter_once(app: App, limit: int) -> None:
    names = ["a", "b", "a", "b", "b", "a"]
    ids = await bury(app, *(message(app, task=name) for name in names))
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await app.dead_letters.page(task="b", limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        found += [letter.id for letter in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert found == [one for one, name in zip(ids, names, strict=True) if name == "b"][::-1]


async def test_retrying_tells_what_became_of_each(app: App) -> None:
    first, second = message(app, unique=Unique("k")), message(app, unique=Unique("k"))
    [held] = await bury(app, first)
    await enqueue(app, second)
    [fine] = await bury(app, message(app, queue="mail"))
    [waiting] = await enqueue(app, message(app, queue="other"))
    outcomes = await app.dead_letters.retry([held, fine, waiting, UNKNOWN])
    assert outcomes == [
        RetryOutcome.KEY_HELD,
        RetryOutcome.RETRIED,
        RetryOutcome.NOT_DEAD,
        RetryOutcome.UNKNOWN,
    ]
    [delivery] = await reserve(app, "mail")
    assert (delivery.message.id, delivery.attempt) == (id_from_text(fine), 0)


async def test_cancelling_a_retry_leaves_whole_batches_and_tells_of_each(app: App) -> None:
    ids = await bury(app, *(message(app) for _ in range(3)))
    told: list[RetryOutcome] = []
    first_told = asyncio.Event()

    def note(outcomes: Sequence[RetryOutcome]) -> None:
        told.extend(outcomes)
        first_told.set()

    retrying = asyncio.ensure_future(app.dead_letters.retry(ids, per_second=1e-3, on_progress=note))
    await first_told.wait()
    retrying.cancel()
    await asyncio.wait({retrying})
    assert retrying.cancelled()
    counts = await app.queues.count("default")
    assert (counts.ready, counts.dead) == (1, 2)
    assert told == [RetryOutcome.RETRIED]


async def test_a_cancel_during_a_batch_takes_effect_when_it_is_told_of() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def act(batch: Sequence[bytes]) -> list[bool]:
        entered.set()
        await go_on.wait()
        return [True for _ in batch]

    told: list[bool] = []
    running = asyncio.ensure_future(
        in_batches([UNKNOWN] * 2, act, per_second=1, on_progress=told.extend)
    )
    await entered.wait()
    running.cancel()
    await asyncio.sleep(0)
    assert not running.done()
    go_on.set()
    await asyncio.wait({running})
    assert running.cancelled()
    assert told == [True]


async def test_an_error_says_how_many_were_done() -> None:
    calls = 0

    async def act(batch: Sequence[bytes]) -> list[bool]:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise ConnectionError("gone")
        return [True for _ in batch]

    with pytest.raises(ConnectionError) as raised:
        await in_batches([UNKNOWN] * (BATCH + 1), act)
    assert raised.value.__notes__ == [f"{BATCH} of {BATCH + 1} were done before this error."]


@pytest.mark.parametrize(
    "per_second, size", [(None, BATCH), (0.1, 1), (10, 1), (50, 5), (1e9, BATCH)]
)
def test_a_rate_makes_batches_small(per_second: float | None, size: int) -> None:
    assert batch_size(per_second) == size


async def test_a_rate_is_above_zero(app: App) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        await app.dead_letters.retry([], per_second=0)


async def test_deleting_is_for_good(app: App) -> None:
    ids = await bury(app, message(app), message(app))
    assert await app.dead_letters.delete([ids[0], UNKNOWN]) == [True, False]
    assert await chosen(app) == [ids[1]]


async def test_a_dead_letter_is_changed_and_retried_in_one_step(app: App) -> None:
    original = message(app, 1, named={"to": "old"}, headers={"trace": "t"})
    [task_id] = await bury(app, original)
    outcome = await app.dead_letters.retry_edited(
        task_id,
        arguments=Arguments((2,), {"to": "new"}),
        queue="mail",
        priority=9,
        max_attempts=7,
    )
    assert outcome is RetryOutcome.RETRIED
    shown = await app.tasks.get(task_id)
    changed = shown.info.message
    assert changed is not None
    assert shown.arguments == Arguments((2,), {"to": "new"})
    assert (changed.queue, changed.priority, changed.max_attempts) == ("mail", 9, 7)
    assert (changed.task, changed.headers) == (original.task, {"trace": "t"})
    assert shown.info.state is State.READY
    policy = runtime_of(app).codec.open_call(changed.body).policy
    assert policy == runtime_of(app).codec.open_call(original.body).policy


async def test_only_what_is_dead_is_edited(app: App) -> None:
    [waiting] = await enqueue(app, message(app))
    assert await app.dead_letters.retry_edited(waiting, queue="mail") is RetryOutcome.NOT_DEAD
    assert await app.dead_letters.retry_edited(UNKNOWN, queue="mail") is RetryOutcome.UNKNOWN


async def test_models_stay_references_when_other_arguments_change(app: App) -> None:
    user = Reference("toyorm", "shop.User", 7)
    body = runtime_of(app).codec.replace_arguments(
        message(app).body, (), {"user": user, "users": [user], "note": "a"}, task="shop:pay"
    )
    envelope = runtime_of(app).codec.open_call(body)
    assert envelope.references == (user,)
    _, named = runtime_of(app).codec.decode_arguments(envelope, envelope.references)
    assert named == {"user": user, "users": [user], "note": "a"}


async def test_the_reason_of_each_death_can_be_asked(app: App) -> None:
    [failed] = await bury(app, message(app))
    [unreadable] = await bury(app, message(app), reason=Reason.UNDECODABLE)
    [waiting] = await enqueue(app, message(app))
    reasons = await app.dead_letters.reasons([unreadable, waiting, failed, UNKNOWN])
    assert reasons == [Reason.UNDECODABLE, None, Reason.FAILED, None]


async def test_a_damaged_record_that_a_store_cannot_retry_is_told_as_such() -> None:
    line = Line()
    async with App({"driver": FaultyDriver(MemoryDriver(), line)}) as app:
        [task_id] = await bury(app, message(app), reason=Reason.UNDECODABLE)
        line.replace("requeue", [False])
        assert await app.dead_letters.retry([task_id]) == [RetryOutcome.UNREADABLE]
