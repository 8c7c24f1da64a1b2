"""`App.queues`."""

import pytest

from asynctasq import App, State
from asynctasq.operations.queues import COUNT_BOUND, count_text
from tests.operations.staging import bury, enqueue, message, reserve


async def test_queues_are_counted_by_state(app: App) -> None:
    await enqueue(app, message(app), message(app), message(app, delay=60.0))
    await reserve(app, limit=1)
    await bury(app, message(app, queue="mail"))
    mine, mail = sorted(await app.queues.all(), key=lambda queue: queue.name)
    assert (mine.name, mine.ready, mine.scheduled, mine.leased, mine.dead) == (
        "default",
        1,
        1,
        1,
        0,
    )
    assert (mail.name, mail.ready, mail.dead) == ("mail", 0, 1)
    assert (await app.queues.count("mail")).dead == 1


async def test_a_paused_queue_gives_nothing_until_it_is_resumed(app: App) -> None:
    await enqueue(app, message(app))
    await app.queues.pause("default")
    assert [queue.paused for queue in await app.queues.all()] == [True]
    assert not await reserve(app)
    await app.queues.resume("default")
    assert len(await reserve(app)) == 1


async def test_purging_deletes_what_waits_and_nothing_else(app: App) -> None:
    await bury(app, message(app))
    await enqueue(app, message(app))
    await reserve(app)
    await enqueue(app, message(app), message(app, delay=60.0))
    assert await app.queues.purge("default") == 2
    counts = await app.queues.count("default")
    assert (counts.ready, counts.scheduled, counts.leased, counts.dead) == (0, 0, 1, 1)
    assert await app.queues.purge("default", states=[State.DEAD]) == 1


@pytest.mark.parametrize("state", [State.LEASED, State.COMPLETED])
async def test_running_and_ended_tasks_are_never_purged(app: App, state: State) -> None:
    with pytest.raises(ValueError, match=f"states must be among .*, got {state}"):
        await app.queues.purge("default", states=[state])


async def test_invalid_queue_names_are_refused(app: App) -> None:
    for call in (app.queues.count, app.queues.pause, app.queues.resume, app.queues.purge):
        with pytest.raises(ValueError, match=r"The name of a queue must be .*, got 'two words'"):
            await call("two words")
    assert await app.queues.all() == []


async def test_counts_end_at_a_bound(app: App) -> None:
    await enqueue(app, *[message(app) for _ in range(4)])
    [queue] = await app.queues.all(bound=3)
    assert queue.ready == 3
    assert (await app.queues.count("default", bound=3)).ready == 3
    assert (await app.queues.count("default")).ready == 4


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (99_999, "99,999"), (COUNT_BOUND, "100,000+"), (None, "?")],
)
def test_a_count_says_whether_there_may_be_more(count: int | None, text: str) -> None:
    assert count_text(count) == text
