"""Hints where to begin a search, for stores whose indexes keep entries of rows that have gone.

While a transaction is open anywhere in the database, the server cannot remove the index entries of messages that
have been taken since, and each search would begin by skipping all of them. A search that was slow is followed by
searches that begin at the last place found. Once a second, one begins at the beginning, for messages that were
released or committed late.
"""

import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

P = TypeVar("P")

PLAIN_SECONDS = 1.0
"""The time after which a search begins at the beginning again."""
PLAIN_SHARE = 5.0
"""Shortest interval of such searches, as a multiple of the time that one took."""
PLAIN_LIMIT = 30.0
"""The longest such time in seconds: a worker may have been suspended during the search."""


class _Hint(Generic[P]):
    __slots__ = ("place", "plain_after", "slow_searches")

    def __init__(self) -> None:
        self.place: P | None = None
        self.plain_after = 0.0
        self.slow_searches = 0


class Search(Generic[P]):
    """The places at which one search begins."""

    __slots__ = ("began_at", "names", "places")

    def __init__(self, names: Sequence[str], places: Sequence[P | None], began_at: float) -> None:
        self.names = names
        self.places = places
        """The places, in the order of the names. None is the beginning."""
        self.began_at = began_at


class Hints(Generic[P]):
    """The hints of one driver, by the names of queues.

    Args:
        slow_searches: the number of slow searches in a row that make a hint. A driver that only measures time needs
            some, because a busy machine may delay any of them.
        clock: the seconds of a clock that is never set.
    """

    def __init__(self, slow_searches: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._slow_searches = slow_searches
        self._clock = clock
        self._hints: dict[str, _Hint[P]] = {}

    def search(self, names: Sequence[str]) -> Search[P]:
        """Return where a search in some queues begins."""
        now = self._clock()
        hints = [self._hints.get(name) for name in names] if self._hints else [None] * len(names)
        places = [
            hint.place if hint is not None and now < hint.plain_after else None for hint in hints
        ]
        return Search(names, places, now)

    def learn(self, search: Search[P], slow: Container[str], last: Mapping[str, P]) -> None:
        """Learn from a search, once its transaction is committed.

        Args:
            search: the search.
            slow: the queues in which it was slow.
            last: the last place in each queue in which it found something.
        """
        now = self._clock()
        for name, place in zip(search.names, search.places, strict=True):
            if place is not None:
                self._move(name, last)
            elif name in slow:
                self._note_slow(name, last, self._next_plain(search, now))
            elif name in last:
                self._hints.pop(name, None)
            elif name in self._hints:
                self._hints[name].plain_after = self._next_plain(search, now)

    def restart(self, names: Iterable[str]) -> None:
        """Let the next search in some queues begin at the beginning."""
        for name in names:
            if name in self._hints:
                self._hints[name].plain_after = 0.0

    def _move(self, name: str, last: Mapping[str, P]) -> None:
        hint = self._hints.get(name)
        if hint is not None and name in last:
            hint.place = last[name]

    def _note_slow(self, name: str, last: Mapping[str, P], plain_after: float) -> None:
        hint = self._hints.get(name)
        if hint is None:
            if name not in last:
                return
            hint = self._hints[name] = _Hint()
        hint.slow_searches += 1
        if hint.slow_searches >= self._slow_searches:
            hint.plain_after = plain_after
            hint.place = last.get(name, hint.place)

    def _next_plain(self, search: Search[P], now: float) -> float:
        took = now - search.began_at
        return now + min(max(PLAIN_SECONDS, PLAIN_SHARE * took), PLAIN_LIMIT)
