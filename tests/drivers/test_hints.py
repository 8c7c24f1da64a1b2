"""Searches begin where the last one has found something, as long as they are slow otherwise."""

from collections.abc import Mapping

import pytest

from asynctasq.driverkit.hints import PLAIN_LIMIT, PLAIN_SECONDS, PLAIN_SHARE, Hints

NAMES = ["a", "b"]


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hints(clock: Clock) -> Hints[int]:
    return Hints(clock=clock)


def search(hints: Hints[int], last: Mapping[str, int], *slow: str) -> list[int | None]:
    """Search, learn from it, and return where it began."""
    begun = hints.search(NAMES)
    hints.learn(begun, slow, last)
    return list(begun.places)


def places(hints: Hints[int]) -> list[int | None]:
    return list(hints.search(NAMES).places)


def test_searches_that_are_quick_begin_at_the_beginning(hints: Hints[int]) -> None:
    search(hints, {"a": 10})
    assert places(hints) == [None, None]


def test_a_slow_search_is_followed_by_one_from_its_last_place_on(hints: Hints[int]) -> None:
    search(hints, {"a": 20, "b": 5}, "a")
    assert places(hints) == [20, None]
    search(hints, {"a": 30})
    assert places(hints) == [30, None]


def test_a_slow_search_that_finds_nothing_makes_no_hint(hints: Hints[int]) -> None:
    search(hints, {}, "a")
    assert places(hints) == [None, None]


def test_a_search_from_the_beginning_decides_again_after_a_while(
    clock: Clock, hints: Hints[int]
) -> None:
    search(hints, {"a": 20}, "a")
    clock.now += PLAIN_SECONDS
    assert search(hints, {"a": 40}, "a") == [None, None]
    assert places(hints) == [40, None]
    clock.now += PLAIN_SECONDS
    assert search(hints, {"a": 50}) == [None, None]
    assert places(hints) == [None, None]


def test_a_search_from_the_beginning_that_finds_nothing_keeps_the_hint(
    clock: Clock, hints: Hints[int]
) -> None:
    search(hints, {"a": 20}, "a")
    clock.now += PLAIN_SECONDS
    search(hints, {})
    assert places(hints) == [20, None]


def test_a_hint_follows_messages_that_were_found_at_an_earlier_place(
    clock: Clock, hints: Hints[int]
) -> None:
    search(hints, {"a": 20}, "a")
    clock.now += PLAIN_SECONDS
    search(hints, {"a": 3}, "a")
    assert places(hints) == [3, None]


def test_a_search_that_is_still_under_way_does_not_count_as_one_from_the_beginning(
    clock: Clock, hints: Hints[int]
) -> None:
    search(hints, {"a": 20}, "a")
    hinted = hints.search(NAMES)
    clock.now += PLAIN_SECONDS
    hints.learn(hinted, (), {"a": 30})
    assert places(hints) == [None, None]


def test_searches_from_the_beginning_take_a_share_of_the_time_however_slow_they_are(
    clock: Clock, hints: Hints[int]
) -> None:
    begun = hints.search(NAMES)
    clock.now += 2.0
    hints.learn(begun, {"a"}, {"a": 20})
    clock.now += PLAIN_SHARE * 2.0 - 0.5
    assert places(hints) == [20, None]
    clock.now += 0.5
    assert places(hints) == [None, None]


def test_a_driver_may_want_some_slow_searches_in_a_row(clock: Clock) -> None:
    hints = Hints[int](3, clock)
    search(hints, {"a": 1}, "a")
    search(hints, {"a": 2}, "a")
    search(hints, {"a": 3})
    search(hints, {"a": 4}, "a")
    search(hints, {"a": 5}, "a")
    assert places(hints) == [None, None]
    search(hints, {"a": 6}, "a")
    assert places(hints) == [6, None]


def test_a_worker_that_was_suspended_in_a_search_searches_from_the_beginning_soon(
    hints: Hints[int], clock: Clock
) -> None:
    begun = hints.search(NAMES)
    clock.now += 600.0
    hints.learn(begun, "a", {"a": 20})
    assert places(hints) == [20, None]
    clock.now += PLAIN_LIMIT
    assert places(hints) == [None, None]
