"""Schedules between users and stores: their definitions as bytes, and the messages of their runs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from asynctasq.contracts.capabilities import Capability, require
from asynctasq.contracts.capabilities.schedules import Schedule, SupportsSchedules
from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.messages import MessageFactory, check_supported
from asynctasq.driverkit.packing import pack_message, unpack_message
from asynctasq.errors import BodyCorrupt
from asynctasq.message import Message, ScheduledRun
from asynctasq.records import record
from asynctasq.schedules.policies import (
    CatchUp,
    Overlap,
    Policies,
    id_of_run,
    jitter_of,
    unique_key,
)
from asynctasq.schedules.rhythm import Rhythm, first_time, parse_rhythm
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.schedule_options import check_schedule_name, timetable_of

if TYPE_CHECKING:
    from asynctasq.dispatch.stores import Stores

FORMAT = 1
"""Version of the bytes of a definition."""
NO_ID = bytes(16)
"""ID of the message in a definition."""


class NewerDefinition(ValueError):
    """A definition was written by a newer release."""


@record
class ScheduleDefinition:
    """The call and the times of a schedule, as core keeps them in a store."""

    rhythm: Rhythm
    policies: Policies
    template: Message
    """The message of each run, except for its ID, its run and its delay."""

    def pack(self) -> bytes:
        """Return the definition as bytes, which are the same for equal definitions."""
        policies = self.policies
        head = [
            FORMAT,
            str(self.rhythm),
            policies.catch_up,
            policies.window,
            policies.overlap,
            policies.jitter,
        ]
        return json.dumps(head).encode() + b"\n" + pack_message(self.template)

    def schedule(self, name: str, now: float, declared_by: str | None = None) -> Schedule:
        """Return the schedule to put into a store.

        Args:
            name: of the schedule.
            now: the time of the store, in seconds since the Unix epoch.
            declared_by: the module that declares it; None for one that is made at run time.
        """
        return Schedule(
            id=name,
            definition=self.pack(),
            next_at=first_time(self.rhythm, now),
            rhythm=str(self.rhythm),
            declared_by=declared_by,
        )

    def messages(self, name: str, times: Sequence[float]) -> tuple[Message, ...]:
        """Return the messages of runs of the schedule of that name."""
        template = self.template
        unique = template.unique or unique_key(name, self.policies.overlap)
        made: list[Message] = []
        for time in times:
            run = ScheduledRun(name, time)
            # `replace` takes seven times as long, and thousands of schedules may be due at once.
            made.append(
                Message(
                    id_of_run(run),
                    template.queue,
                    template.task,
                    template.body,
                    template.priority,
                    template.delay + jitter_of(run, self.policies.jitter),
                    None,
                    template.expires,
                    template.max_attempts,
                    template.max_lost,
                    template.result_ttl,
                    unique,
                    (),
                    None,
                    run,
                    template.limits,
                    template.group,
                    template.headers,
                )
            )
        return tuple(made)


def definition_of(schedule: Schedule) -> ScheduleDefinition:
    """Return the definition of a schedule.

    Raises:
        BodyCorrupt: it is damaged.
        NewerDefinition: a newer release has written it.
    """
    head, _, message = schedule.definition.partition(b"\n")
    try:
        version, *fields = json.loads(head.decode())
    except (ValueError, TypeError) as error:
        raise _damaged(schedule, error) from error
    if type(version) is int and version > FORMAT:
        raise NewerDefinition(f"Schedule {schedule.id!r} was written by a newer release.")
    try:
        rhythm, catch_up, window, overlap, jitter = fields
        policies = Policies(CatchUp(catch_up), float(window), Overlap(overlap), float(jitter))
        return ScheduleDefinition(parse_rhythm(rhythm), policies, unpack_message(message))
    except (BodyCorrupt, ValueError, TypeError, AttributeError) as error:
        raise _damaged(schedule, error) from error


def _damaged(schedule: Schedule, error: Exception) -> BodyCorrupt:
    return BodyCorrupt(f"The definition of schedule {schedule.id!r} is damaged: {error}")


async def put_schedule(
    stores: "Stores",
    messages: MessageFactory,
    task: BaseTask[Any],
    name: str,
    options: Mapping[str, object],
) -> datetime:
    """Store the schedule of a task, and return its next time. Raises as `BaseTask.schedule` does."""
    where = "schedule()"
    timetable = timetable_of(options, where=where, allows_at=True)
    name = check_schedule_name(name)
    template = template_of(messages.make(task), has_overlap="overlap" in options, where=where)
    policies = timetable.policies
    if template.unique is not None:
        policies = replace(policies, overlap=Overlap.ALLOW)
    definition = ScheduleDefinition(timetable.rhythm, policies, template)
    driver = (await stores.store_for(task).connection()).driver
    check_supported(driver, definition.messages(name, [0.0])[0])
    store = schedules_of(driver)
    now = (await store.claim_schedules(limit=0, hold=0.0)).now
    await store.put_schedules([definition.schedule(name, now)])
    stores.schedules.changed()
    [stored] = await store.find_schedules([name])
    next_at = None if stored is None else stored.next_at
    return datetime.fromtimestamp(now if next_at is None else next_at, UTC)


def template_of(message: Message, *, has_overlap: bool, where: str) -> Message:
    """Return the message of a schedule, from which those of its runs are made.

    Raises:
        ValueError: an option of the task does not go with a schedule.
    """
    for name, is_set in (
        ("id", message.given_id),
        ("eta", message.eta is not None),
        ("after", bool(message.parents)),
        ("unique together with overlap", has_overlap and message.unique is not None),
    ):
        if is_set:
            raise ValueError(f"{where}: the task must not have the option {name}. Leave it out.")
    return replace(message, id=NO_ID)


def schedules_of(driver: Driver) -> SupportsSchedules:
    """Return the driver as a store of schedules.

    Raises:
        CapabilityMissing: it has none.
    """
    return require(driver, Capability.SCHEDULES, SupportsSchedules, purpose="A schedule")
