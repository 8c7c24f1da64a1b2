"""Definitions of schedules as bytes, and the messages of their runs."""

from dataclasses import fields, replace

import pytest

from asynctasq.contracts.capabilities.schedules import Schedule
from asynctasq.dispatch.scheduling import NO_ID, NewerDefinition, ScheduleDefinition, definition_of
from asynctasq.errors import BodyCorrupt
from asynctasq.message import Message, ScheduledRun, Unique
from asynctasq.schedules.policies import CatchUp, Overlap, Policies, id_of_run, jitter_of
from asynctasq.schedules.rhythm import Every

TEMPLATE = Message(
    NO_ID,
    "mail",
    "app.send",
    b"\x00body\n",
    priority=7,
    delay=5.0,
    expires=60.0,
    max_attempts=4,
    max_lost=0,
    result_ttl=9.0,
    limits=("mail",),
    group="shop",
    headers={"a": "ü"},
)
DEFINITION = ScheduleDefinition(
    Every(60.0), Policies(CatchUp.ALL, 300.0, Overlap.SKIP, 10.0), TEMPLATE
)


def test_a_definition_is_read_back_and_its_bytes_are_stable() -> None:
    schedule = DEFINITION.schedule("poll", 1e9, "shop.tasks")
    assert definition_of(schedule) == DEFINITION
    assert schedule == replace(DEFINITION).schedule("poll", 1e9, "shop.tasks")
    assert (schedule.next_at, schedule.rhythm) == (1e9 + 60.0, "every 60.0")


def test_messages_of_runs_have_every_field_of_the_template() -> None:
    runs = [ScheduledRun("poll", time) for time in (1e9, 1e9 + 60.0)]
    messages = DEFINITION.messages("poll", [run.fire_time for run in runs])
    for run, message in zip(runs, messages, strict=True):
        expected = replace(
            TEMPLATE,
            id=id_of_run(run),
            schedule=run,
            unique=Unique("schedule:poll"),
            delay=5.0 + jitter_of(run, 10.0),
        )
        for field in fields(Message):
            assert getattr(message, field.name) == getattr(expected, field.name), field.name


@pytest.mark.parametrize(
    "definition",
    [
        b"",
        b"nonsense",
        b"\xff\xfe\n",
        b"[1]\n",
        b"{}\n",
        b'[1, "never", "one", 1.0, "skip", 0.0]\n',
        b'[1, "every 60", "maybe", 1.0, "skip", 0.0]\n',
        DEFINITION.pack()[:-9],
    ],
)
def test_damaged_definitions_are_recognized(definition: bytes) -> None:
    with pytest.raises(BodyCorrupt, match="definition of schedule 'poll' is damaged"):
        definition_of(Schedule("poll", definition, 1e9))


def test_definitions_of_a_newer_release_are_recognized() -> None:
    with pytest.raises(NewerDefinition):
        definition_of(Schedule("poll", b'[2, "new"]\n', 1e9))
