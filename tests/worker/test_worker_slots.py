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


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def slots(
    runs: int = 0, seconds: float = SHORT, *, busy: float = 0.0, clock: Clock | None = None
) -> Slots:
    """Ten slots, in which so many tasks have run, one or more of them at any time in `busy` seconds."""
    clock = clock or Clock()
    made = Slots(10, {"default": None}, clock=clock)
    run(made, runs, seconds, busy=busy, clock=clock)
    return made


def run(made: Slots, runs: int, seconds: float, *, busy: float, clock: Clock) -> None:
    for number in range(runs):
        made.take("default")
        if number == 0:
            clock.now += busy
        made.give("default", seconds)


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
    made = slots(runs, busy=HAND_WAIT_SECONDS)
    for _ in range(running):
        made.take("default")
    assert made.room(in_hand) == room


def test_what_is_in_hand_begins_soon_at_the_rate_of_the_last_tasks() -> None:
    clock = Clock()
    made = slots(100, busy=1.0, clock=clock)
    assert made.room(0) == 10 + 100 * HAND_WAIT_SECONDS
    run(made, 100, SHORT, busy=RATE_SECONDS / 2, clock=clock)
    assert made.room(0) == 10 + 100 * HAND_WAIT_SECONDS, "too soon to tell"
    run(made, 200, SHORT, busy=RATE_SECONDS, clock=clock)
    assert made.room(0) == pytest.approx(10 + 200 / RATE_SECONDS * HAND_WAIT_SECONDS, abs=1)


def test_the_first_estimate_comes_as_soon_as_tasks_have_proved_short() -> None:
    assert slots(20, busy=0.001).room(0) == 10 + 20 / 0.001 * HAND_WAIT_SECONDS


def test_the_rate_is_that_of_the_time_in_which_anything_runs() -> None:
    clock = Clock()
    made = slots(100, busy=1.0, clock=clock)
    before = made.room(0)
    clock.now += 1.0  # the store is slow
    assert made.room(0) == before
    run(made, 100, SHORT, busy=1.0, clock=clock)
    assert made.room(0) == before
    made.take("default")
    clock.now += 1.0  # nothing ends
    assert made.room(0) == 9


def test_nothing_is_held_once_tasks_have_turned_long_until_they_are_short_again() -> None:
    clock = Clock()
    made = slots(50, busy=1.0, clock=clock)
    made.turned_long()
    for _ in range(20):
        assert made.room(0) == 10
        run(made, 1, SHORT, busy=HAND_WAIT_SECONDS / 20, clock=clock)
    assert made.room(0) > 10


def test_a_limited_number_of_runs_is_not_exceeded() -> None:
    made = Slots(10, {"default": None}, most_runs=3)
    assert (made.room(0), made.used_up) == (3, False)
    for _ in range(3):
        made.take("default")
        made.give("default", SHORT)
    assert (made.room(0), made.used_up) == (0, True)


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
    clock = Clock()
    made = Slots(10, {"emails": 2, "default": None}, clock=clock)
    run(made, 100, SHORT, busy=HAND_WAIT_SECONDS, clock=clock)
    assert made.room(0) == 10
