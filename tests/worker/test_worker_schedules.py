"""Workers declare and fire schedules: each time once, also while a task blocks the event loop."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asynctasq import current_task, task
from asynctasq.contracts.capabilities import FULL_STORE
from asynctasq.contracts.capabilities.schedules import Schedule, ScheduleChange
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import CapabilityMissing, TaskDefinitionError
from asynctasq.tasks.registry import registry
from tests.worker.stage import Stage, eventually, probe

pytestmark = pytest.mark.sampled(3)

PAST = datetime(2026, 1, 1, tzinfo=UTC)
FUTURE = datetime(2100, 1, 1, tzinfo=UTC)


@task(name="schedules.notes")
async def notes(number: int = 0) -> None:
    probe().note(number, current_task().scheduled_for)


@task(name="schedules.notes_in_process", process=True)
def notes_in_process() -> datetime | None:
    return current_task().scheduled_for


@pytest.fixture
def declared() -> Iterator[None]:
    """Declare schedules that no other test must see."""
    with registry.preserved():

        @task(every=3600, name="schedules.hourly")
        async def hourly() -> None:
            probe().note("hourly", current_task().scheduled_for)

        @task(cron="@yearly", name="schedules.yearly", catch_up="skip")
        async def yearly() -> None:
            probe().note("yearly", None)

        yield


async def found(stage: Stage, name: str) -> Schedule | None:
    driver = await stage.driver()
    [schedule] = await driver.find_schedules([name])
    return schedule  # type: ignore[no-any-return]  # the driver is typed as Any


async def schedule_of(stage: Stage, name: str) -> Schedule:
    schedule = await found(stage, name)
    assert schedule is not None
    return schedule


async def let_time_pass(stage: Stage, seconds: float) -> None:
    """Move the clock of the app, which workers that start later have, too."""
    (await stage.driver()).clock_offset += seconds


@pytest.mark.usefixtures("declared")
async def test_declared_schedules_fire_at_their_time_and_outlive_workers(stage: Stage) -> None:
    async def is_declared() -> bool:
        return None not in [
            await found(stage, name) for name in ("schedules.hourly", "schedules.yearly")
        ]

    async with stage.worker():
        await eventually(is_declared)
    first = await schedule_of(stage, "schedules.hourly")
    assert (first.revision, first.declared_by) == (1, __name__)
    assert first.next_at is not None
    await let_time_pass(stage, 1800.0)
    async with stage.worker():
        await eventually(is_declared)
    assert (await schedule_of(stage, "schedules.hourly")).next_at == first.next_at
    await let_time_pass(stage, 2000.0)
    async with stage.worker():
        await stage.probe.noted(1)
    assert stage.log == [("hourly", datetime.fromtimestamp(first.next_at, UTC))]
    second = await schedule_of(stage, "schedules.hourly")
    assert second.next_at == pytest.approx(first.next_at + 3600.0)
    assert second.fired_at is not None


async def test_schedules_of_the_application_fire_once(stage: Stage) -> None:
    for number in range(10):
        await notes(number).schedule(f"note {number}", at=PAST)
    async with stage.worker(), stage.worker():
        await stage.probe.noted(10)

        async def has_fired() -> bool:
            last = [await schedule_of(stage, f"note {number}") for number in range(10)]
            return all(each.next_at is None for each in last)

        await eventually(has_fired)
    assert sorted(stage.log) == [(number, PAST) for number in range(10)]


async def test_a_schedule_that_has_fired_does_not_fire_again(stage: Stage) -> None:
    for _ in range(2):
        await notes(7).schedule("note", at=PAST)
        await notes(8).schedule("other", at=PAST)
        async with stage.worker():
            await stage.probe.noted(2)
        await notes(9).schedule("third", at=PAST)
    async with stage.worker():
        await stage.probe.noted(3)
    assert sorted(stage.log) == [(7, PAST), (8, PAST), (9, PAST)]


async def test_a_running_worker_fires_new_and_changed_schedules(stage: Stage) -> None:
    async with stage.worker():
        next_at = await notes(1).schedule("note", at=FUTURE)
        assert next_at == FUTURE
        await notes(2).schedule("note", at=PAST)
        await stage.probe.noted(1)
    assert stage.log == [(2, PAST)]
    assert (await schedule_of(stage, "note")).revision == 2


async def test_a_blocked_event_loop_delays_no_schedule(make_stage: Any) -> None:
    stage = await make_stage(stall_limit=600.0)
    began, released = threading.Event(), threading.Event()

    @task(name="schedules.blocks")
    async def blocks() -> None:
        began.set()
        assert released.wait(60.0)

    driver = await stage.driver()
    elsewhere = driver.clone()
    at_past = await _template(stage)

    def put_and_wait() -> None:
        async def run() -> None:
            assert began.wait(60.0)
            await elsewhere.open()
            try:
                await elsewhere.put_schedules([at_past])

                async def has_fired() -> bool:
                    return bool((await elsewhere.count("elsewhere")).ready)

                await eventually(has_fired)
            finally:
                await elsewhere.close()
                released.set()

        asyncio.run(run())

    thread = threading.Thread(target=put_and_wait)
    with registry.preserved():
        registry.add(blocks._definition)
        async with stage.worker(queues=["default"]):
            thread.start()
            handle = await blocks.dispatch()
            await handle.result(timeout=120)
            await asyncio.to_thread(thread.join)
    assert (await driver.count("elsewhere")).ready == 1


async def _template(stage: Stage) -> Schedule:
    """Return a schedule for another queue that is due, as the application makes it."""
    await notes(5).on_queue("elsewhere").schedule("blocked", at=PAST)
    made = await schedule_of(stage, "blocked")
    driver = await stage.driver()
    await driver.change_schedules(["blocked"], ScheduleChange.REMOVE)
    return made


async def test_a_burst_fires_nothing(stage: Stage) -> None:
    await notes(1).schedule("note", at=PAST)
    await notes(2).dispatch()
    await stage.burst()
    assert stage.log == [(2, None)]
    assert (await schedule_of(stage, "note")).next_at == PAST.timestamp()


async def test_a_process_task_knows_its_planned_time(stage: Stage) -> None:
    await notes_in_process().schedule("process", at=PAST)
    driver = await stage.driver()
    async with stage.worker(process_pool_size=1):

        async def has_fired() -> bool:
            return (await schedule_of(stage, "process")).next_at is None

        await eventually(has_fired)
        from asynctasq.message import ScheduledRun, id_to_text
        from asynctasq.schedules.policies import id_of_run

        run_id = id_of_run(ScheduledRun("process", PAST.timestamp()))
        handle = stage.app.handle(id_to_text(run_id))
        assert await handle.result(timeout=60) == PAST
    assert driver is not None


async def test_a_schedule_that_cannot_be_read_holds_up_no_other(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    driver = await stage.driver()
    await driver.put_schedules(
        [
            Schedule("damaged", b"nonsense", 1.0),
            Schedule("newer", b"[99]\n", 2.0),
            Schedule("message", b'[1, "every 60.0", "one", 1.0, "skip", 0.0]\nnonsense', 3.0),
        ]
    )
    await notes(1).schedule("note", at=PAST)
    with caplog.at_level(logging.ERROR):
        async with stage.worker():
            await stage.probe.noted(1)
    logged = [record.getMessage() for record in caplog.records]
    assert len([line for line in logged if "Could not fire schedule 'damaged'" in line]) == 1
    assert len([line for line in logged if "Could not fire schedule 'message'" in line]) == 1
    assert not [line for line in logged if "newer" in line]
    assert stage.log == [(1, PAST)]


@pytest.mark.usefixtures("declared")
async def test_orphans_are_reported_and_stopped_after_a_day(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    driver = await stage.driver()
    await notes(1).schedule("old", cron="* * * * *")
    old = await schedule_of(stage, "old")
    await driver.put_schedules(
        [Schedule("old", old.definition, 9e9, old.rhythm, declared_by="shop")]
    )
    await let_time_pass(stage, 3 * 3600.0)

    async def is_declared() -> bool:
        return await found(stage, "schedules.yearly") is not None

    async with stage.worker():
        await eventually(is_declared)
        await stage.probe.noted(1)  # it was fired after the declarations and the look for orphans
    assert "no running worker declares it (it was declared in shop)" in caplog.text
    assert not (await schedule_of(stage, "old")).orphaned
    await let_time_pass(stage, timedelta(days=1).total_seconds())

    async def is_orphaned() -> bool:
        return (await schedule_of(stage, "old")).orphaned

    async with stage.worker():
        await eventually(is_orphaned)
    assert "Stopped schedule 'old'" in caplog.text


class WithoutSchedules(MemoryDriver):
    capabilities = FULL_STORE


@pytest.mark.usefixtures("declared")
async def test_a_driver_without_schedules_is_refused(make_stage: Any) -> None:
    stage = await make_stage(driver=WithoutSchedules())
    with pytest.raises(CapabilityMissing, match="needs the capability SCHEDULES"):
        await stage.make_worker().start()
    with pytest.raises(CapabilityMissing, match="A schedule needs the capability SCHEDULES"):
        await notes(1).schedule("note", at=PAST)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "must have one of cron, every or at, got none"),
        ({"cron": "@daily", "every": 3}, "got cron and every"),
        ({"cron": "nonsense"}, "five fields"),
        ({"cron": 5}, "cron must be a string"),
        ({"cron": "@daily", "zone": "Nowhere"}, "zone must be a time zone"),
        ({"every": 60, "zone": "UTC"}, "zone only with cron"),
        ({"every": 0.5}, "every must be greater|every must be at least 1"),
        ({"every": True}, "every must be a number of seconds"),
        ({"at": datetime(2027, 1, 1)}, "at must be a datetime with a time zone"),
        ({"every": 60, "catch_up": "never"}, "catch_up must be 'skip' or 'one' or 'all'"),
        ({"every": 60, "catch_up_window": 60}, "only with catch_up='all'"),
        ({"every": 60, "overlap": "queue"}, "dependencies between messages"),
        ({"every": 60, "overlap": "both"}, "overlap must be"),
        ({"every": 60, "jitter": -1}, "jitter must be at least 0"),
        ({"every": 60, "interval": 1}, "unknown option 'interval'"),
    ],
)  # fmt: skip
async def test_invalid_schedules_are_refused(
    stage: Stage, options: dict[str, Any], error: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        await notes().schedule("note", **options)


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a\0"])
async def test_invalid_names_are_refused(stage: Stage, name: str) -> None:
    with pytest.raises(ValueError, match="1 to 200 printable characters"):
        await notes().schedule(name, every=60)


async def test_options_that_do_not_go_with_a_schedule_are_refused(stage: Stage) -> None:
    for call in (
        notes().options(id="0197f2a0-0000-7000-8000-000000000000"),
        notes().options(eta=FUTURE),
    ):
        with pytest.raises(ValueError, match="must not have the option"):
            await call.schedule("note", every=60)
    with pytest.raises(ValueError, match="unique together with overlap"):
        await notes().options(unique="key").schedule("note", every=60, overlap="skip")
    await notes().options(unique="key", delay=5).schedule("note", every=60)


def test_declarations_are_checked() -> None:
    with registry.preserved():
        with pytest.raises(TaskDefinitionError, match="work without arguments"):

            @task(every=60)
            async def needs_a_number(number: int) -> None: ...

        with pytest.raises(TaskDefinitionError, match="both a schedule and a driver"):

            @task(every=60, driver="memory")
            async def elsewhere() -> None: ...

        with pytest.raises(ValueError, match="wrong: cron must be a valid"):

            @task(cron="61 * * * *")
            async def wrong() -> None: ...
