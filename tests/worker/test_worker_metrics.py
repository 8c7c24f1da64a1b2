"""Workers report what they have done, and `App.metrics` adds it up."""

import asyncio
import signal
from pathlib import Path

import pytest

from asynctasq import Reject, Retry, State, task
from asynctasq.contracts.capabilities import Capability
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import CapabilityMissing, DriverError
from asynctasq.operations import TaskStats
from asynctasq.worker.timing import RenewerTiming, WorkerTiming
from tests.stores import Store
from tests.worker.faulty_driver import Line
from tests.worker.stage import Stage, eventually, probe

OFTEN = WorkerTiming(renewer=RenewerTiming(tick=0.01, metrics=0.02))


@pytest.fixture(autouse=True)
def _has_metrics(request: pytest.FixtureRequest) -> None:
    """Skip stores that do not keep counts."""
    for name in ("store", "durable_store"):
        if name in request.fixturenames:
            found: Store = request.getfixturevalue(name)
            if Capability.METRICS not in found.capabilities:
                pytest.skip("the driver keeps no counts")


@task(queue="sums")
async def adds(number: int) -> int:
    return number + 1


@task(queue="sums")
async def rejects() -> None:
    raise Reject("no")


@task(queue="other")
async def retries() -> None:
    if not probe().log:
        probe().note("failed")
        raise Retry(delay=0)


@task
async def waits() -> None:
    probe().note("started")
    await probe().flag("go on").wait()


async def stats_of(stage: Stage) -> dict[str, TaskStats]:
    found = await stage.app.metrics.tasks()
    return {each.task.rpartition(":")[2].rpartition(".")[2]: each for each in found}


@pytest.mark.every_store
async def test_outcomes_are_counted_by_queue_and_task(stage: Stage) -> None:
    await stage.app.dispatch_many([adds(number) for number in range(50)])
    await rejects().dispatch()
    await retries().dispatch()
    await stage.burst()
    found = await stats_of(stage)
    assert found["adds"].completed == found["adds"].times.run.runs == 50
    assert found["adds"].queue == "sums"
    assert found["rejects"].dead == 1
    assert (found["retries"].completed, found["retries"].retried) == (1, 1)
    assert found["retries"].times.wait.runs == 2
    assert sum(each.value for each in await stage.app.metrics.series("completed")) == 51
    of_queue = await stage.app.metrics.series("completed", queue="sums", step=3600.0)
    assert [each.value for each in of_queue if each.value] == [50]
    times = await stage.app.metrics.percentiles(task="*adds")
    assert times.run.runs == 50
    assert times.run.p50 is not None
    assert times.run.p95 is not None
    assert times.run.p50 <= times.run.p95


@pytest.mark.every_store
async def test_finished_tasks_are_listed_with_their_facts(stage: Stage) -> None:
    handles = await stage.app.dispatch_many([adds(number) for number in range(5)])
    dead = await rejects().dispatch()
    await retries().dispatch()
    await stage.burst(worker_id="lister")
    found = await stage.app.metrics.finished(queue="sums")
    assert {each.id for each in found} == {*handles, dead}
    times = [each.finished_at or 0.0 for each in found]
    assert times == sorted(times, reverse=True)
    [one] = [each for each in found if each.id == dead]
    assert one.state is State.DEAD
    assert one.about is not None
    assert (one.queue, one.worker, one.attempts) == ("sums", "lister", 1)
    assert one.task is not None
    assert one.task.endswith("rejects")
    only = await stage.app.metrics.finished(task="*adds", states=[State.COMPLETED], limit=3)
    assert len(only) == 3
    slowest = await stage.app.metrics.finished(slowest=True)
    seconds = [each.about.seconds for each in slowest if each.about is not None]
    assert seconds == sorted(seconds, reverse=True)
    assert len(seconds) == 7


async def test_counts_are_stored_while_the_worker_runs(stage: Stage) -> None:
    await adds(1).dispatch()
    async with stage.worker(timing=OFTEN):

        async def counted() -> bool:
            return "adds" in await stats_of(stage)

        await eventually(counted)


async def test_flush_whose_answer_was_lost_is_counted_once(faulty: Stage, line: Line) -> None:
    await faulty.app.dispatch_many([adds(number) for number in range(20)])
    line.fail("add_metrics", 3, answered=True)
    line.fail("add_metrics", 2)
    async with faulty.worker(timing=OFTEN):
        await line.failed("add_metrics", 5)
        await line.called("add_metrics")
        assert await (await adds(1).dispatch()).result() == 2
    found = await stats_of(faulty)
    assert found["adds"].completed == 21


async def test_refused_flush_keeps_its_counts_and_the_leases(
    faulty: Stage, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.fail("add_metrics", 5, error=lambda: DriverError("no table"))
    await waits().dispatch()
    await adds(1).dispatch()
    async with faulty.worker(timing=OFTEN):
        await line.failed("add_metrics", 5)
        faulty.flag("go on").set()
    found = await stats_of(faulty)
    assert found["adds"].completed == found["waits"].completed == 1
    reports = [each for each in caplog.records if "Could not store the counts" in each.message]
    assert len(reports) == 1


async def test_settlement_whose_answer_was_lost_is_counted_once(faulty: Stage, line: Line) -> None:
    await faulty.app.dispatch_many([adds(number) for number in range(20)])
    line.fail("settle", 2, answered=True)
    line.fail("settle")
    await faulty.burst()
    assert (await stats_of(faulty))["adds"].completed == 20


@pytest.mark.sampled(2)
@pytest.mark.every_store
async def test_counts_are_exact_through_kills_but_for_the_last_flush(
    durable_store: Store, tmp_path: Path
) -> None:
    from tests.worker.killable_worker import app_on, steps
    from tests.worker.test_worker_kills import Fleet

    fleet = Fleet(durable_store.url, tmp_path)
    try:
        async with app_on(durable_store.url) as app:
            await app.dispatch_many([steps(number) for number in range(100)])
            process = fleet.start()
            await fleet.told(100)

            async def counted() -> int:
                found = await app.metrics.tasks(task="killable.steps")
                return sum(each.completed for each in found)

            async def flushed() -> bool:
                return await counted() == 100

            await eventually(flushed)
            await app.dispatch_many([steps(number) for number in range(100, 150)])
            await fleet.told(110)
            process.send_signal(signal.SIGKILL)
            process.wait()
            after_kill = await counted()
            assert 100 <= after_kill <= 150
            fleet.start()
            await fleet.told(150)

            async def all_done() -> bool:
                return (await app.queues.count("default")).leased == 0

            await eventually(all_done)
            for process in fleet.processes:
                process.terminate()
                await asyncio.to_thread(process.wait)
            total = await counted()
            # Runs that the killed worker has settled and not reported are missing; no run counts twice.
            settled_twice = len(fleet.lines()) - 150
            assert after_kill <= total <= 150 + settled_twice
    finally:
        for process in fleet.processes:
            process.kill()
            process.wait()


class Without(MemoryDriver):
    """Keeps no counts."""

    capabilities = MemoryDriver.capabilities & ~Capability.METRICS


async def test_driver_without_counts_is_refused_with_a_remedy() -> None:
    stage = Stage(Without(), {})
    async with stage.app as app:
        await adds(1).dispatch()
        await stage.burst()
        for call in (
            app.metrics.tasks(),
            app.metrics.series("completed"),
            app.metrics.percentiles(),
            app.metrics.finished(),
        ):
            with pytest.raises(CapabilityMissing, match="needs the capability METRICS, which"):
                await call


async def test_arguments_are_checked(stage: Stage) -> None:
    metrics = stage.app.metrics
    with pytest.raises(ValueError, match="name must be one of completed"):
        await metrics.series("complete")
    with pytest.raises(ValueError, match="step must be at least 60"):
        await metrics.series("completed", step=1.0)
    with pytest.raises(ValueError, match="step must make at most"):
        await metrics.series("completed", since=0.0)
    with pytest.raises(ValueError, match="states must be among"):
        await metrics.finished(states=[State.READY])
    with pytest.raises(ValueError, match="limit"):
        await metrics.finished(limit=0)
