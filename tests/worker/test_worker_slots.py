"""How much a worker takes on, as tables."""

import pytest

from asynctasq.worker.slots import PREFETCH_MAX, Slots, parse_queues
from asynctasq.worker.timing import PrefetchTiming

TIMING = PrefetchTiming()
SHORT = TIMING.short_task / 10
LONG = TIMING.short_task * 100


class Shift:
    """Slots of a worker, and the time that passes there."""

    def __init__(
        self, limits: dict[str, int | None] | None = None, *, most_runs: int | None = None
    ) -> None:
        self.slots = Slots(10, limits or {"default": None}, most_runs=most_runs)
        self.now = 1000.0

    def run(self, tasks: int, seconds: float = SHORT, queue: str = "default") -> None:
        """One after the other."""
        for _ in range(tasks):
            self.slots.take(queue)
            self.now += seconds
            self.slots.give(queue, self.now - seconds, self.now)

    def run_side_by_side(self, tasks: int, seconds: float) -> None:
        for _ in range(tasks):
            self.slots.take("default")
        self.now += seconds
        for _ in range(tasks):
            self.slots.give("default", self.now - seconds, self.now)


def slots(runs: int = 0, seconds: float = SHORT) -> Slots:
    """Ten slots, in one of which so many tasks have run."""
    shift = Shift()
    shift.run(runs, seconds)
    return shift.slots


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
def test_a_batch_is_held_prefetched_once_tasks_have_proved_short(
    runs: int, seconds: float, short: bool
) -> None:
    assert slots(runs=runs, seconds=seconds).short is short


def test_one_long_task_among_short_ones_ends_that() -> None:
    shift = Shift()
    shift.run(100)
    assert shift.slots.short
    shift.run(1, LONG)
    assert not shift.slots.short


@pytest.mark.parametrize(
    ("runs", "running", "prefetched", "room"),
    [
        (0, 0, 0, 10),  # nothing is known of the tasks: no more than fit
        (0, 4, 0, 6),
        (0, 10, 0, 0),
        (0, 10, 3, 0),
        (100, 0, 0, 30),  # short: also prefetches as many as run within a moment
        (100, 10, 0, 20),
        (100, 10, 15, 5),
        (100, 10, 16, 0),  # enough are prefetched
        (100, 9, 16, 5),
    ],
)
def test_room(runs: int, running: int, prefetched: int, room: int) -> None:
    made = slots(runs, TIMING.wait / 20)
    for _ in range(running):
        made.take("default")
    assert made.room(prefetched) == room


def test_no_more_than_the_maximum_is_prefetched() -> None:
    assert slots(100, TIMING.wait / PREFETCH_MAX / 10).room(0) == 10 + PREFETCH_MAX


def test_the_first_estimate_comes_at_once_and_each_later_one_after_some_time() -> None:
    shift = Shift()
    shift.run(20, TIMING.wait / 100)
    assert shift.slots.room(0) == 10 + 100
    shift.run(10, TIMING.rate / 20)
    assert shift.slots.room(0) == 10 + 100
    shift.run(15, TIMING.rate / 20)
    assert shift.slots.room(0) == 10 + 40


def test_tasks_side_by_side_are_as_fast_as_they_are_together() -> None:
    shift = Shift()
    for _ in range(10):
        shift.run_side_by_side(10, TIMING.wait / 10)
    assert shift.slots.room(0) == 10 + 100


@pytest.mark.parametrize("beside", [0, 1])
def test_waiting_for_the_store_makes_no_task_slower(beside: int) -> None:
    shift = Shift()
    for _ in range(beside):
        shift.slots.take("default")  # and runs all the time
    for _ in range(20):
        shift.run(10, TIMING.wait / 100)
        shift.now += 1.0
    assert shift.slots.room(0) == 10 - beside + 100


def test_nothing_is_prefetched_where_anything_may_come_until_it_has_proved_short() -> None:
    shift = Shift()
    shift.run(50)
    shift.slots.expect_anything()
    for _ in range(20):
        assert shift.slots.room(0) == 10
        shift.run(1)
    assert shift.slots.room(0) > 10


def test_a_limited_number_of_runs_is_not_exceeded() -> None:
    shift = Shift(most_runs=3)
    assert (shift.slots.room(0), shift.slots.used_up) == (3, False)
    shift.run(3)
    assert (shift.slots.room(0), shift.slots.used_up) == (0, True)


def test_a_queue_at_its_limit_is_left_out() -> None:
    shift = Shift({"emails": 2, "default": None})
    made = shift.slots
    assert made.caps(10) == {"emails": 2, "default": 10}
    assert made.caps(1) == {"emails": 1, "default": 1}
    made.take("emails")
    assert made.caps(10) == {"emails": 1, "default": 10}
    made.take("emails")
    assert list(made.caps(10)) == ["default"]
    made.give("emails", shift.now, shift.now + SHORT)
    assert made.caps(10) == {"emails": 1, "default": 10}


def test_queues_with_limits_prefetch_nothing() -> None:
    shift = Shift({"emails": 2, "default": None})
    shift.run(100)
    assert shift.slots.room(0) == 10
