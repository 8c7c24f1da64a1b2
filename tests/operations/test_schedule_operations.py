"""`App.schedules`: what is listed, and what each change does."""

from datetime import UTC, datetime

import pytest

from asynctasq import App, task
from asynctasq.contracts.capabilities.schedules import Schedule, SupportsSchedules
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import InvalidCursor
from asynctasq.operations import ScheduleInfo

NEW_YEAR = datetime(2100, 1, 1, tzinfo=UTC)


@task(name="schedules_operations.sync", queue="mail")
async def sync(number: int = 1) -> None: ...


@pytest.fixture
def app() -> App:
    return App({"driver": MemoryDriver()})


async def store_of(app: App) -> SupportsSchedules:
    driver = await app.driver()
    assert isinstance(driver, SupportsSchedules)
    return driver


async def test_schedules_are_listed_with_what_they_do(app: App) -> None:
    async with app:
        await sync(1).schedule("b", cron="30 7 * * *", zone="Europe/Berlin", jitter=5)
        await sync(2).schedule("a", every=60, catch_up="skip")
        await (await store_of(app)).put_schedules([Schedule("c", b"nonsense", 9e9)])
        found = [each async for each in app.schedules.each()]
        assert [each.name for each in found] == ["a", "b", "c"]
        first, second, third = found
        assert (first.rhythm, first.task, first.queue) == (
            "every 60.0",
            "schedules_operations.sync",
            "mail",
        )
        assert (first.catch_up, first.overlap, first.jitter) == ("skip", "skip", 0.0)
        assert second.rhythm == "cron 30 7 * * * Europe/Berlin"
        assert (second.catch_up, second.overlap, second.jitter) == ("one", "allow", 5.0)
        assert (third.status, third.task) == ("unreadable", None)
        page = await app.schedules.page(limit=2)
        rest = await app.schedules.page(limit=2, cursor=page.cursor)
        assert [each.name for each in (*page.items, *rest.items)] == ["a", "b", "c"]
        with pytest.raises(ValueError, match="limit must be at least 1"):
            await app.schedules.page(limit=0)
        with pytest.raises(InvalidCursor):
            await app.schedules.page(cursor="nonsense")


async def test_a_schedule_is_paused_resumed_and_removed(app: App) -> None:
    async with app:
        await sync().schedule("nightly", at=NEW_YEAR)

        async def status() -> str | None:
            found = await app.schedules.find("nightly")
            return found.status if isinstance(found, ScheduleInfo) else None

        assert await status() == "active"
        assert await app.schedules.pause("nightly")
        assert await status() == "paused"
        await sync(2).schedule("nightly", at=NEW_YEAR)
        assert await status() == "paused"
        assert await app.schedules.resume("nightly")
        assert await status() == "active"
        assert await app.schedules.remove("nightly")
        assert await status() is None
        for change in (app.schedules.pause, app.schedules.resume, app.schedules.remove):
            assert not await change("nightly")
        with pytest.raises(ValueError, match="printable"):
            await app.schedules.pause("a\nb")


async def test_a_run_now_dispatches_the_task_and_keeps_the_times(app: App) -> None:
    async with app:
        await sync(7).schedule("nightly", at=NEW_YEAR, jitter=3600)
        first = await app.schedules.run_now("nightly")
        second = await app.schedules.run_now("nightly")
        assert first != second
        details = await app.tasks.get(first)
        assert details.info.task == "schedules_operations.sync"
        assert details.info.message is not None
        assert details.info.message.schedule is not None
        assert details.info.message.schedule.schedule == "nightly"
        assert (await app.queues.count("mail")).ready == 2
        found = await app.schedules.find("nightly")
        assert found is not None
        assert (found.next_at, found.fired_at) == (NEW_YEAR.timestamp(), None)
        with pytest.raises(LookupError, match="no schedule 'other'"):
            await app.schedules.run_now("other")


async def test_the_next_times_are_previewed(app: App) -> None:
    async with app:
        await sync().schedule("yearly", cron="@yearly")
        times = await app.schedules.preview("yearly", 3)
        assert len(times) == 3
        assert [(each.month, each.day, each.hour) for each in times] == [(1, 1, 0)] * 3
        assert times[1].year == times[0].year + 1
        await sync().schedule("once", at=NEW_YEAR)
        assert await app.schedules.preview("once") == [NEW_YEAR]
        with pytest.raises(LookupError):
            await app.schedules.preview("other")
        with pytest.raises(ValueError, match="at least 1"):
            await app.schedules.preview("once", 0)
