"""The store fails in every way it can; the worker lives, nothing is lost, nothing is run twice."""

import asyncio
from typing import Any

import pytest

from asynctasq import task
from asynctasq.app import runtime_of
from asynctasq.conformance.harness import let_tidy
from asynctasq.errors import DriverError, DriverUnavailable, TaskFailed
from asynctasq.settlement import Complete, Settled
from asynctasq.worker.slots import PREFETCH_MAX
from asynctasq.worker.timing import FetcherTiming, SettlerTiming, WorkerTiming
from tests.worker.faulty_driver import Line
from tests.worker.stage import PATIENCE, Stage, eventually, probe

pytestmark = pytest.mark.sampled(2)


@task
async def note(what: Any) -> Any:
    probe().note(what)
    return what


@task
def note_in_thread(what: Any) -> Any:
    probe().note(what)
    return what


@task(retry_delay=0.0, max_attempts=3)
async def fails_first(what: int) -> int:
    from asynctasq import current_task

    it = current_task()
    probe().note(what, it.attempt)
    if it.attempt < 2:
        raise LookupError(str(it.attempt))
    return what


def unavailable() -> Exception:
    return DriverUnavailable("the line is down")


def refused() -> Exception:
    return DriverError("not today")


def foreign() -> Exception:
    return KeyError("a driver's own mistake")


@pytest.mark.parametrize(
    ("method", "answered"),
    [
        ("enqueue", False),
        ("enqueue", True),
        ("settle", False),
        ("settle", True),
        ("extend", False),
        ("extend", True),
        ("requests", False),
        ("wait", False),
    ],
)
async def test_an_outage_loses_and_repeats_nothing(
    faulty: Stage, line: Line, method: str, answered: bool
) -> None:
    line.fail(method, 2, answered=answered)
    async with faulty.worker(concurrency=10, heartbeat_interval=0.05):
        held = await waits.dispatch()
        handles = [await fails_first(number).dispatch() for number in range(25)]
        assert [await h.result(timeout=PATIENCE) for h in handles] == list(range(25))
        await line.failed(method, 2)
        faulty.flag("go on").set()
        await held.result(timeout=PATIENCE)
    assert sorted(faulty.log) == [(number, attempt) for number in range(25) for attempt in range(3)]
    assert await faulty.dead() == []


@pytest.mark.parametrize("error", [unavailable, refused, foreign])
async def test_a_worker_goes_on_fetching_whatever_a_reserve_raises(
    faulty: Stage, line: Line, error: Any
) -> None:
    timing = WorkerTiming(fetcher=FetcherTiming(refused=0.01))
    line.fail("reserve", 3, error=error)
    handle = await note("here").dispatch()
    async with faulty.worker(timing=timing):
        assert await handle.result(timeout=PATIENCE) == "here"
    assert faulty.log == ["here"]


async def test_a_reserve_whose_answer_is_lost_comes_back_uncounted(
    faulty: Stage, line: Line
) -> None:
    handles = [await note(number).dispatch() for number in range(5)]
    line.fail("reserve", answered=True)
    async with faulty.worker():
        await line.failed("reserve")
        # Nothing else is held, and it keeps reserving, which renews its own deadline.
        assert [await h.result(timeout=PATIENCE) for h in handles] == list(range(5))
    assert sorted(faulty.log) == list(range(5))


async def test_a_lost_answer_beside_running_tasks_comes_back_too(faulty: Stage, line: Line) -> None:
    await waits.dispatch()
    async with faulty.worker():
        await faulty.flag("began").wait()
        line.fail("reserve", answered=True)
        handle = await note("stray").dispatch()
        await line.failed("reserve")
        assert await handle.result(timeout=PATIENCE) == "stray"
        faulty.flag("go on").set()
    assert faulty.log == ["stray"]


@task
async def waits() -> None:
    it = probe()
    it.flag("began").set()
    await it.flag("go on").wait()


async def test_deliveries_that_come_late_are_verified(faulty: Stage, line: Line) -> None:
    """The answer of a reserve takes so long that another worker has the messages meanwhile."""
    mine = await note("mine").dispatch()
    reached, go_on = faulty.flag("reached"), faulty.flag("go on")
    line.hold("reserve", go_on, reached)
    timing = WorkerTiming(fetcher=FetcherTiming(late=0.0))  # every answer counts as late
    async with faulty.worker(heartbeat_interval=1.0, timing=timing):
        await reached.wait()
        thief = (await faulty.driver()).inner.clone()
        await thief.open()
        thief.clock_offset = 1000.0
        await let_tidy(thief)
        [stolen] = await thief.reserve({"default": 1}, limit=1, owner="thief", lease=1000.0)
        extends = line.calls["extend"]
        go_on.set()

        async def verified() -> bool:
            return line.calls["extend"] > extends

        await eventually(verified)
        assert faulty.log == []
        assert await thief.settle(
            [Complete(stolen.lease, runtime_of(faulty.app).codec.encode_result(1))]
        ) == [Settled.DONE]
        await thief.close()
    assert await mine.result(timeout=30) == 1
    assert faulty.log == []


@pytest.mark.parametrize("error", [refused, foreign])
async def test_one_refused_settlement_takes_its_message_to_the_dead_letters(
    faulty: Stage, line: Line, error: Any
) -> None:
    line.fail("settle", error=error)
    handle = await note("one").dispatch()
    async with faulty.worker():
        with pytest.raises(TaskFailed) as caught:
            await handle.result(timeout=PATIENCE)
        after = await note("two").dispatch()
        assert await after.result(timeout=PATIENCE) == "two"
    assert caught.value.reason == "refused"
    assert str(error()) in caught.value.error_message
    [letter] = await faulty.dead()
    assert letter.message.body
    assert faulty.log == ["one", "two"]


async def test_an_outcome_that_is_refused_in_every_form_is_kept_and_tried_again(
    faulty: Stage, line: Line
) -> None:
    line.fail("settle", 2, error=refused)  # of the outcome, and of the dead letter in its place
    handle = await note("once").options(max_lost=0).dispatch()
    async with faulty.worker():
        assert await handle.result(timeout=PATIENCE) == "once"
    assert faulty.log == ["once"]


async def test_a_batch_that_is_repeated_repeats_no_outcome_of_it_by_itself(
    faulty: Stage, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    handles = [await waits.dispatch() for _ in range(2)]
    async with faulty.worker():
        await faulty.flag("began").wait()
        line.fail("settle", 3, error=refused)  # of both, of the first, of its dead letter
        line.fail("settle", 1)  # of the second: nothing is known of it
        faulty.flag("go on").set()
        for handle in handles:
            await handle.result(timeout=PATIENCE)
        await (await note("after").dispatch()).result(timeout=PATIENCE)
    assert "had ended before it was settled" not in caplog.text


async def test_a_refused_batch_is_settled_one_by_one(faulty: Stage, line: Line) -> None:
    await waits.dispatch()
    handles = [await note(number).dispatch() for number in range(10)]
    async with faulty.worker(concurrency=20):
        await faulty.flag("began").wait()
        line.fail("settle", 1, error=refused)
        faulty.flag("go on").set()
        assert [await h.result(timeout=PATIENCE) for h in handles] == list(range(10))
    assert sorted(faulty.log) == list(range(10))


async def test_an_outage_amid_a_batch_that_is_settled_one_by_one_counts_none_twice(
    faulty: Stage, line: Line
) -> None:
    handles = [await waits.dispatch() for _ in range(3)]
    async with faulty.worker(concurrency=20):
        await faulty.flag("began").wait()
        line.fail("settle", 1, error=refused)
        line.answer("settle", lambda answers: answers)  # of the first one
        line.fail("settle", 1)  # of the second one
        faulty.flag("go on").set()
        for handle in handles:
            await handle.result(timeout=PATIENCE)
    assert sum(each.completed for each in await faulty.app.metrics.tasks()) == 3


async def test_an_item_that_the_store_refuses_is_buried(faulty: Stage, line: Line) -> None:
    handle = await note("too large").dispatch()
    line.replace("settle", [Settled.REFUSED])
    async with faulty.worker():
        with pytest.raises(TaskFailed) as caught:
            await handle.result(timeout=PATIENCE)
    assert caught.value.reason == "refused"


async def test_a_driver_that_answers_nonsense_is_outlived(faulty: Stage, line: Line) -> None:
    timing = WorkerTiming(settler=SettlerTiming(failed=0.01))
    line.answer("settle", lambda answers: [])
    handle = await note("one").dispatch()
    async with faulty.worker(timing=timing):
        assert await handle.result(timeout=PATIENCE) == "one"
        after = await note("two").dispatch()
        assert await after.result(timeout=PATIENCE) == "two"


@pytest.mark.parametrize("error", [unavailable, refused, foreign])
@pytest.mark.parametrize("method", ["open", "extend", "requests", "record_worker"])
async def test_the_lease_renewer_outlives_whatever_its_calls_raise(
    faulty: Stage, line: Line, method: str, error: Any
) -> None:
    """The lease is 2 s, and the task runs until the renewer has renewed it after the failures."""
    handle = await waits.dispatch()
    line.fail(method, 2, error=error)
    async with faulty.worker(heartbeat_interval=0.05):
        await faulty.flag("began").wait()
        await line.failed(method, 2)
        await line.called("extend", 2)
        faulty.flag("go on").set()
        await handle.result(timeout=PATIENCE)


async def test_progress_survives_an_outage(faulty: Stage, line: Line) -> None:
    handle = await reports.dispatch()
    line.fail("set_progress", 2)
    async with faulty.worker(heartbeat_interval=0.05):

        async def told() -> bool:
            return await handle.progress() == "half"

        await eventually(told)
        faulty.flag("go on").set()


@task
async def reports() -> None:
    from asynctasq import current_task

    current_task().report("half")
    await probe().flag("go on").wait()


async def test_a_stop_during_an_outage_is_heard(faulty: Stage, line: Line) -> None:
    line.fail("reserve", 10_000)
    async with faulty.worker() as worker:
        await line.failed("reserve", 2)
        worker.stop()


async def test_a_store_that_takes_no_settlements_stops_the_fetching(
    faulty: Stage, line: Line
) -> None:
    count = 8_000
    line.fail("settle", 100_000)
    await faulty.app.dispatch_many([note(number) for number in range(count)])
    async with faulty.worker(concurrency=10):
        await faulty.probe.noted(2000)
        await line.failed("settle", 3)
        most = 4 * 10 + 3 * PREFETCH_MAX
        assert len(faulty.log) <= most
        line.restore()
        await faulty.probe.noted(count)
    assert sorted(faulty.log) == list(range(count))


async def test_a_dispatch_that_the_store_refuses_fails_alone(faulty: Stage, line: Line) -> None:
    line.fail("enqueue", 1, error=refused)  # the shared trip; then each for itself
    handles = await asyncio.gather(*(note(number).dispatch() for number in range(10)))
    line.fail("enqueue", 2, error=refused)
    answers = await asyncio.gather(
        *(note(number).dispatch() for number in range(10, 15)), return_exceptions=True
    )
    assert sum(isinstance(answer, DriverError) for answer in answers) == 1
    await faulty.burst()
    assert len(faulty.log) == 14
    assert [await handle.result(timeout=30) for handle in handles] == list(range(10))


@pytest.mark.parametrize("answered", [False, True])
async def test_a_dispatch_outlives_a_short_outage(
    faulty: Stage, line: Line, answered: bool
) -> None:
    line.fail("enqueue", 2, answered=answered)
    handle = await note("here").dispatch()
    await faulty.burst()
    assert await handle.result(timeout=30) == "here"
    assert faulty.log == ["here"]
