"""How much a worker takes on, as tables."""

import pytest

from asynctasq.worker.slots import (
    HAND_MOST,
    HAND_WAIT_SECONDS,
    RATE_SECONDS,
    SHORT_TASK_SECONDS,
    Slots,
    parse_queues,
)

SHORT = SHORT_TASK_SECONDS / 10
LONG = SHORT_TASK_SECONDS * 100


def slots(
    concurrency: int = 10, runs: int = 0, seconds: float = SHORT, **limits: int | None
) -> Slots:
    made = Slots(concurrency, limits or {"default": None})
    for _ in range(runs):
        made.take("default")
        made.give("default", seconds)
    return made


def test_limits_are_parsed_in_order() -> None:
    assert list(parse_queues(["b:3", "a", "c.d-e:100"]).items()) == [
        ("b", 3),
        ("a", None),
        ("c.d-e", 100),
    ]


@pytest.mark.parametrize(
    ("runs", "seconds", "short"),
    [(0, SHORT, False), (19, SHORT, False), (20, SHORT, True), (100, LONG, False)],
)
def test_a_batch_is_held_in_hand_once_tasks_have_proved_short(
    runs: int, seconds: float, short: bool
) -> None:
    assert slots(runs=runs, seconds=seconds).short is short


def test_one_long_task_among_short_ones_ends_that() -> None:
    made = slots(runs=100)
    assert made.short
    made.take("default")
    made.give("default", LONG)
    assert not made.short


@pytest.mark.parametrize(
    ("runs", "running", "in_hand", "room"),
    [
        (0, 0, 0, 10),  # nothing is known of the tasks: no more than fit
        (0, 4, 0, 6),
        (0, 10, 0, 0),
        (0, 10, 3, 0),
        (60, 0, 0, 70),  # short: as many in hand on top as have ended of late
        (60, 10, 0, 60),
        (60, 10, 45, 15),
        (60, 10, 46, 0),  # enough in hand
        (60, 9, 46, 15),
        (100_000, 10, 0, HAND_MOST),
    ],
)
def test_room(runs: int, running: int, in_hand: int, room: int) -> None:
    made = slots()
    made.room(0, 1000.0)
    for _ in range(runs):
        made.take("default")
        made.give("default", SHORT)
    for _ in range(running):
        made.take("default")
    assert made.room(in_hand, 1000.0 + HAND_WAIT_SECONDS) == room


def test_what_is_in_hand_begins_soon_at_the_rate_of_the_last_tasks() -> None:
    made = slots()
    made.room(0, 1000.0)
    for _ in range(100):
        made.take("default")
        made.give("default", SHORT)
    assert made.room(0, 1001.0) == 10 + 100 * HAND_WAIT_SECONDS
    assert made.room(0, 1001.0 + RATE_SECONDS / 2) == 10 + 100 * HAND_WAIT_SECONDS
    assert made.room(0, 1002.0) == 10  # nothing has ended since


def test_nothing_is_held_once_tasks_have_turned_long_until_they_are_short_again() -> None:
    made = slots(runs=50)
    made.room(0, 1000.0)
    made.turned_long()
    for _ in range(20):
        assert made.room(0, 1000.0) == 10
        made.take("default")
        made.give("default", SHORT)
    assert made.room(0, 1000.0 + HAND_WAIT_SECONDS) == 30


def test_a_limited_number_of_runs_is_not_exceeded() -> None:
    made = Slots(10, {"default": None}, most_runs=3)
    assert (made.room(0, 1000.0), made.used_up) == (3, False)
    for _ in range(3):
        made.take("default")
        made.give("default", SHORT)
    assert (made.room(0, 1000.0), made.used_up) == (0, True)


def test_a_queue_at_its_limit_is_left_out() -> None:
    made = Slots(10, {"emails": 2, "default": None})
    assert made.caps(10) == {"emails": 2, "default": 10}
    assert made.caps(1) == {"emails": 1, "default": 1}
    made.take("emails")
    assert made.caps(10) == {"emails": 1, "default": 10}
    made.take("emails")
    assert list(made.caps(10)) == ["default"]
    made.give("emails", SHORT)
    assert made.caps(10) == {"emails": 1, "default": 10}


def test_queues_with_limits_hold_nothing_in_hand() -> None:
    made = Slots(10, {"emails": 2, "default": None})
    made.room(0, 1000.0)
    for _ in range(100):
        made.take("default")
        made.give("default", SHORT)
    assert made.room(0, 1000.0 + HAND_WAIT_SECONDS) == 10
