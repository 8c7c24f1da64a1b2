"""`App.schedules`: list, preview, pause, resume, run and remove schedules."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.schedules import (
    SCHEDULES_AT_ONCE,
    Schedule,
    ScheduleChange,
    SupportsSchedules,
)
from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.schedule_notices import ScheduleNotices
from asynctasq.dispatch.scheduling import (
    NewerDefinition,
    ScheduleDefinition,
    definition_of,
    schedules_of,
)
from asynctasq.errors import BodyCorrupt
from asynctasq.message import ScheduledRun, id_to_text, new_id
from asynctasq.operations.audit import Audit
from asynctasq.operations.paging import all_items, check_limit
from asynctasq.records import record
from asynctasq.schedules.rhythm import next_time
from asynctasq.tasks.schedule_options import check_schedule_name


@record
class ScheduleInfo:
    """One schedule at one moment. Times are seconds since the Unix epoch, by the store's clock.

    What its definition says is None if the definition is damaged, or was written by a newer release.
    """

    name: str
    status: str
    """`active`, `paused`, `orphaned`, `finished` or `unreadable`."""
    next_at: float | None
    """The next time; None after the last one."""
    fired_at: float | None
    """When it last fired; None if it never has."""
    declared_by: str | None
    """The module whose code declares it; None for one that was made at run time."""
    seen_at: float
    """When it was last made or declared."""
    rhythm: str
    """Its times as text, such as `every 300.0` or `cron 0 7 * * 1-5 Europe/Berlin`."""
    task: str | None = None
    queue: str | None = None
    catch_up: str | None = None
    overlap: str | None = None
    jitter: float | None = None


async def first_schedules(driver: Driver, most: int) -> list[ScheduleInfo]:
    """Return the first schedules of a store by name, at most so many. Raises as `Schedules` does."""
    store = schedules_of(driver)
    found: list[ScheduleInfo] = []
    async for each in all_items(
        lambda limit, cursor: store.schedules(limit=limit, cursor=cursor), SCHEDULES_AT_ONCE
    ):
        found.append(_info(each))
        if len(found) == most:
            break
    return found


class Schedules:
    """The schedules of a store.

    Each call raises `CapabilityMissing` if the driver has no schedules, and `DriverError` if the store refused or
    could not be reached.
    """

    def __init__(
        self, driver: Callable[[], Awaitable[Driver]], notices: ScheduleNotices, audit: Audit
    ) -> None:
        self._driver = driver
        self._audit = audit
        self._notices = notices

    async def page(self, *, limit: int = 100, cursor: str | None = None) -> Page[ScheduleInfo]:
        """Return a page of schedules by name.

        Args:
            limit: schedules on the page, 1 to 100.
            cursor: of the page before; None for the first page.

        Raises:
            ValueError: the limit is below 1.
            InvalidCursor: the cursor is not one of this listing.
        """
        check_limit(limit)
        store = await self._store()
        page = await store.schedules(limit=min(limit, SCHEDULES_AT_ONCE), cursor=cursor)
        return Page([_info(each) for each in page.items], page.cursor)

    async def each(self) -> AsyncIterator[ScheduleInfo]:
        """Yield all schedules by name."""
        async for info in all_items(
            lambda limit, cursor: self.page(limit=limit, cursor=cursor), SCHEDULES_AT_ONCE
        ):
            yield info

    async def find(self, name: str) -> ScheduleInfo | None:
        """Return the schedule of that name; None if there is none."""
        found = await self._find(name)
        return None if found is None else _info(found)

    async def pause(self, name: str) -> bool:
        """Stop a schedule from firing until `resume`. Return False if there is no such schedule."""
        return await self._change(name, ScheduleChange.PAUSE)

    async def resume(self, name: str) -> bool:
        """Let a paused schedule fire again; its catch-up decides on times that were missed.

        Return False if there is no such schedule.
        """
        return await self._change(name, ScheduleChange.RESUME)

    async def remove(self, name: str) -> bool:
        """Remove a schedule. Messages that it has dispatched stay. Return False if there is no such schedule.

        One that code declares comes back when the next worker starts.
        """
        return await self._change(name, ScheduleChange.REMOVE)

    async def run_now(self, name: str) -> str:
        """Dispatch a run of a schedule now, and return the ID of its task. The times of the schedule stay.

        A unique key that a run holds, because of `overlap`, applies: the ID is then that of the run which stands.

        Raises:
            LookupError: there is no such schedule.
            BodyCorrupt: its definition is damaged.
            ValueError: its definition was written by a newer release.
        """
        definition = await self._definition(name)
        driver = await self._driver()
        now = (await schedules_of(driver).claim_schedules(limit=0, hold=0.0)).now
        [message] = definition.messages(name, [now])
        message = replace(
            message, id=new_id(), schedule=ScheduledRun(name, now), delay=definition.template.delay
        )
        [enqueued] = await driver.enqueue([message])
        await self._audit.done(
            "schedules.run_now", {"schedule": name, "ids": [id_to_text(enqueued.id)]}
        )
        return id_to_text(enqueued.id)

    async def preview(self, name: str, count: int = 5) -> list[datetime]:
        """Return the next times of a schedule (aware, UTC), fewer if there are no more.

        Raises:
            LookupError: there is no such schedule.
            ValueError: `count` is below 1.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}.")
        definition = await self._definition(name)
        found = await self._find(name)
        next_at = None if found is None else found.next_at
        times: list[datetime] = []
        while next_at is not None and len(times) < count:
            times.append(datetime.fromtimestamp(next_at, UTC))
            next_at = next_time(definition.rhythm, next_at, next_at)
        return times

    async def _store(self) -> SupportsSchedules:
        return schedules_of(await self._driver())

    async def _find(self, name: str) -> Schedule | None:
        [found] = await (await self._store()).find_schedules([check_schedule_name(name)])
        return found

    async def _definition(self, name: str) -> ScheduleDefinition:
        found = await self._find(name)
        if found is None:
            raise LookupError(f"There is no schedule {name!r}.")
        return definition_of(found)

    async def _change(self, name: str, change: ScheduleChange) -> bool:
        store = await self._store()
        [is_known] = await store.change_schedules([check_schedule_name(name)], change)
        self._notices.changed()
        await self._audit.done(
            f"schedules.{change.value}", {"schedule": name}, {} if is_known else {"unknown": 1}
        )
        return is_known


def _info(schedule: Schedule) -> ScheduleInfo:
    try:
        definition = definition_of(schedule)
    except (BodyCorrupt, NewerDefinition):
        definition = None
    info = ScheduleInfo(
        name=schedule.id,
        status=_status(schedule, is_readable=definition is not None),
        next_at=schedule.next_at,
        fired_at=schedule.fired_at,
        declared_by=schedule.declared_by,
        seen_at=schedule.seen_at,
        rhythm=schedule.rhythm,
    )
    if definition is None:
        return info
    return replace(
        info,
        task=definition.template.task,
        queue=definition.template.queue,
        catch_up=definition.policies.catch_up.value,
        overlap=definition.policies.overlap.value,
        jitter=definition.policies.jitter,
    )


def _status(schedule: Schedule, *, is_readable: bool) -> str:
    if not is_readable:
        return "unreadable"
    if schedule.next_at is None:
        return "finished"
    if schedule.paused:
        return "paused"
    return "orphaned" if schedule.orphaned else "active"
