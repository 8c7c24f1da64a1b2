"""Which message is run next, and how many at once."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from asynctasq import Handle, State, Worker, task
from asynctasq.errors import ConfigurationError
from asynctasq.worker.fetcher import RESERVED_AT_ONCE
from asynctasq.worker.slots import PREFETCH_MAX
from tests.worker.conftest import MakeStage
from tests.worker.faulty_driver import Line
from tests.worker.stage import PATIENCE, Stage, eventually, probe

pytestmark = pytest.mark.every_store


@task
async def note(what: Any) -> None:
    probe().note(what)


@task
async def note_and_yield(what: Any) -> None:
    await asyncio.sleep(0)
    probe().note(what)


async def test_queues_are_served_in_strict_order(stage: Stage) -> None:
    for number in range(5):
        for queue in ("low", "high", "middle"):
            await note(f"{queue} {number}").on_queue(queue).dispatch()
    await stage.burst(queues=["high", "middle", "low"], concurrency=1)
    assert stage.log == [f"{queue} {n}" for queue in ("high", "middle", "low") for n in range(5)]


async def test_a_queue_that_is_probably_misspelled_is_pointed_out(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    @task(queue="newsletters")
    async def write() -> None: ...

    told = "No registered task uses the queue 'newsleters'. Did you mean 'newsletters'?"
    await stage.burst(queues=["newsleters"])
    assert told in caplog.messages
    caplog.clear()
    await stage.burst(queues=["newsletters", "newsleters", "of-others"])
    assert not [line for line in caplog.messages if "Did you mean" in line]


async def test_other_queues_are_left_alone(stage: Stage) -> None:
    handle = await note("mine").on_queue("mine").dispatch()
    other = await note("other").on_queue("other").dispatch()
    await stage.burst(queues=["mine"])
    assert await handle.status() is State.COMPLETED
    assert await other.status() is State.READY


async def test_priority_goes_before_age(stage: Stage) -> None:
    for priority in (0, 5, 9, 3):
        await note(priority).options(priority=priority).dispatch()
    await stage.burst(concurrency=1)
    assert stage.log == [9, 5, 3, 0]


running: Counter[str] = Counter()
most: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _nothing_runs() -> None:
    running.clear()
    most.clear()


@task
async def counted(kind: str) -> None:
    for name in (kind, "all"):
        running[name] += 1
        most[name] = max(most[name], running[name])
    full = probe().flag("full")
    if running["all"] == probe().slots:
        full.set()
    await full.wait()
    for _ in range(30):  # long enough for one too many to begin
        await asyncio.sleep(0)
    for name in (kind, "all"):
        running[name] -= 1


@task
def counted_in_thread(kind: str) -> None:
    probe()  # reaches the context, as any task may


@pytest.mark.parametrize("concurrency", [1, 3, 10])
async def test_concurrency_is_reached_and_never_exceeded(stage: Stage, concurrency: int) -> None:
    stage.probe.slots = concurrency
    await stage.app.dispatch_many([counted("any") for _ in range(300)])
    await stage.burst(concurrency=concurrency)
    assert most["all"] == concurrency
    assert running["all"] == 0


async def test_a_queue_may_have_a_limit_of_its_own(stage: Stage) -> None:
    stage.probe.slots = 10
    await stage.app.dispatch_many(
        [counted(queue).on_queue(queue) for queue in ("emails", "default") for _ in range(40)]
    )
    await stage.burst(queues=["emails:2", "default"], concurrency=10)
    assert most["emails"] == 2
    assert most["all"] == 10
    assert running["all"] == 0


async def test_a_queue_at_its_limit_goes_on_as_soon_as_it_has_room(stage: Stage) -> None:
    gates = [await waits(f"gate {n}").on_queue("emails").dispatch() for n in range(6)]
    async with stage.worker(queues=["emails:2", "default"], concurrency=10):
        for number, handle in enumerate(gates):
            await stage.flag(f"gate {number} began").wait()
            stage.flag(f"gate {number}").set()
            await handle.result(timeout=PATIENCE)
    assert len(stage.log) == 6


async def test_a_full_queue_holds_up_no_other(stage: Stage) -> None:
    for number in range(3):
        await waits(f"gate {number}").on_queue("emails").dispatch()
    async with stage.worker(queues=["emails:1", "default"], concurrency=10):
        await stage.flag("gate 0 began").wait()
        other = await note("other").dispatch()
        await other.result(timeout=PATIENCE)
        for number in range(3):
            stage.flag(f"gate {number}").set()


@task
async def waits(gate: str) -> None:
    it = probe()
    it.note(gate)
    it.flag(f"{gate} began").set()
    await it.flag(gate).wait()


@pytest.mark.parametrize("queues", [["emails:0"], ["emails:x"], ["a b"], ["a", "a"], ["a:1", "a"]])
def test_queues_that_make_no_sense_are_refused(queues: list[str], make_stage: MakeStage) -> None:
    with pytest.raises(ConfigurationError, match="queues"):
        Worker(queues=queues)


async def test_what_comes_first_runs_while_the_rest_is_fetched(faulty: Stage, line: Line) -> None:
    tasks = RESERVED_AT_ONCE + 200
    await faulty.app.dispatch_many([note(number) for number in range(tasks)])
    line.answer("reserve", lambda deliveries: deliveries)
    line.hold("reserve", faulty.flag("rest"))
    async with faulty.worker(concurrency=tasks):
        await faulty.probe.noted(RESERVED_AT_ONCE)
        assert len(faulty.log) == RESERVED_AT_ONCE
        faulty.flag("rest").set()
        await faulty.probe.noted(tasks)


ROUNDS = 20
"""On a busy machine, short tasks may take long."""


async def run_short_ones(stage: Stage, worker: Worker) -> None:
    """Run short tasks until the worker prefetches messages."""
    for _ in range(ROUNDS):
        noted = len(stage.log)
        await stage.app.dispatch_many([note_and_yield(number) for number in range(60)])
        await stage.probe.noted(noted + 60)
        if stage.inspect(worker).tasks_are_short:
            return
    raise AssertionError("the tasks are never short")


async def fill_prefetch(
    faulty: Stage, worker: Worker, *, concurrency: int, long: int
) -> tuple[list[str], list[Handle[None]]]:
    """Run short tasks, and then tasks that wait: as many as there are slots. The others are prefetched.

    Returns the gates of the tasks that wait, and their handles.
    """
    for attempt in range(ROUNDS):
        gates = [f"gate {n} of attempt {attempt}" for n in range(long)]
        tasks = [*(note_and_yield(number) for number in range(60)), *map(waits, gates)]
        noted = len(faulty.log)
        handles = await faulty.app.dispatch_many(tasks)
        await faulty.probe.noted(noted + 60 + concurrency)
        if len(faulty.inspect(worker).prefetched) == long - concurrency:
            return gates, handles[60:]
        open_gates(faulty, gates)
        for handle in handles:
            await handle.result(timeout=PATIENCE)
    raise AssertionError("the worker never prefetches all messages")


def open_gates(stage: Stage, gates: Iterable[str]) -> None:
    for gate in gates:
        stage.flag(gate).set()


async def test_prefetched_messages_are_released_when_tasks_turn_long(
    faulty: Stage, line: Line
) -> None:
    concurrency = 4
    async with faulty.worker(concurrency=concurrency) as worker:
        gates, long = await fill_prefetch(
            faulty, worker, concurrency=concurrency, long=3 * concurrency
        )
        # Other workers can have the rest, within moments.
        driver = await faulty.driver()

        async def given_back() -> bool:
            return bool((await driver.count("default")).leased == concurrency)

        await eventually(given_back)
        reserves = line.calls["reserve"]
        more_gates = [f"later gate {n}" for n in range(3)]
        later = await faulty.app.dispatch_many(map(waits, more_gates))
        await asyncio.sleep(0)
        assert line.calls["reserve"] - reserves <= 1  # and are not fetched and released in turns
        open_gates(faulty, [*gates, *more_gates])
        for handle in (*long, *later):
            await handle.result(timeout=PATIENCE)


async def test_prefetched_messages_are_released_at_the_end(faulty: Stage) -> None:
    async with faulty.worker(concurrency=4) as worker:
        gates, long = await fill_prefetch(faulty, worker, concurrency=4, long=12)
        worker.stop()
        open_gates(faulty, gates)
    states = [await handle.status() for handle in long]
    assert states == [State.COMPLETED] * 4 + [State.READY] * 8
    for handle in long[4:]:
        snapshot = await faulty.snapshot(handle)
        assert snapshot is not None
        assert (snapshot.attempt, snapshot.lost) == (0, 0)


async def test_a_worker_that_was_idle_takes_no_more_than_it_can_run(faulty: Stage) -> None:
    concurrency = 4
    async with faulty.worker(concurrency=concurrency) as worker:
        await run_short_ones(faulty, worker)

        async def sleeps() -> bool:
            return faulty.inspect(worker).fetcher_sleeps

        await eventually(sleeps)
        noted = len(faulty.log)
        gates = [f"gate {n}" for n in range(2 * concurrency)]
        await faulty.app.dispatch_many(map(waits, gates))
        await faulty.probe.noted(noted + concurrency)
        counts = await (await faulty.driver()).count("default")
        assert (counts.ready, counts.leased) == (concurrency, concurrency)
        open_gates(faulty, gates)


async def test_an_urgent_message_waits_at_most_for_prefetched_messages(
    stage: Stage,
) -> None:
    concurrency = 5
    async with stage.worker(concurrency=concurrency) as worker:
        await run_short_ones(stage, worker)
        noted = len(stage.log)
        await stage.app.dispatch_many(
            [note_and_yield("low").options(priority=1) for _ in range(5000)]
        )
        await stage.probe.noted(noted + 200)
        urgent = await note_and_yield("urgent").options(priority=9).dispatch()
        dispatched_at = len(stage.log)
        await urgent.result(timeout=PATIENCE)
        assert stage.log.index("urgent") - dispatched_at <= PREFETCH_MAX + 2 * concurrency
        await stage.probe.noted(noted + 5001)
