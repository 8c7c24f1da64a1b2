"""Where searches begin while old entries of the indexes make them slow.

The server does not count the old entries that a statement skips. So the driver takes a search for slow if the server
has worked on it for some milliseconds before it has found the first row.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from asynctasq.driverkit.hints import Hints, Search
from asynctasq_mysql.clients import Row
from asynctasq_mysql.statements import Fragment

SLOW = 5_000
"""Microseconds until a search finds its first row, from which on it is slow."""
SLOW_SEARCHES = 4
"""Slow searches in a row that make a hint: a busy machine may have delayed fewer."""
ALARMS = ("",)
"""The name of the search for times that have come. No queue has it."""
EVERYWHERE = Fragment("TRUE")
BEGINNING = -(1 << 62)
"""A time before all others, also before those in damaged records."""
NEVER = 1 << 62
"""A time after all others."""

Place: TypeAlias = tuple[int, int]
"""The rank and the time of a message, as in the index."""


class SearchHints:
    """The hints of one driver."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.ready = Hints[Place](SLOW_SEARCHES, clock)
        """The hints of searches for ready messages, by queue."""
        self.alarms = Hints[int](SLOW_SEARCHES, clock)
        """The hint of searches for times that have come."""

    @property
    def since(self) -> int:
        """The time at which a search for times that have come begins."""
        return _since(self.alarms.search(ALARMS))

    def lookout(self, queues: Sequence[str]) -> "Lookout":
        """Return where the searches of a reserve begin."""
        return Lookout(self, queues)


class Lookout:
    """The searches of one reserve: for times that have come, and for ready messages."""

    def __init__(self, hints: SearchHints, queues: Sequence[str]) -> None:
        self._hints = hints
        self._alarms = hints.alarms.search(ALARMS)
        self._ready = hints.ready.search(queues)
        self._first = 0
        self._slow: set[str] = set()
        self._short: list[str] = []
        self.since = _since(self._alarms)
        self.places = self._ready.places

    def note(self, look: Row, claims: Iterable[tuple[str, int, Sequence[Row]]]) -> None:
        """Note the answers, before any of the messages is leased.

        Args:
            look: the row of the statement `look`.
            claims: the name of each queue, the limit of its statement `claim`, and the rows of the answer.
        """
        self._first = min(each for each in look[:5] if each is not None)
        if look[7] >= SLOW:
            self._slow.update(ALARMS)
        for name, limit, rows in claims:
            if rows and rows[0][13] >= SLOW:
                self._slow.add(name)
            if len(rows) < limit:
                self._short.append(name)

    def learn(self, taken: Iterable[tuple[str, Row]]) -> None:
        """Learn from the searches, once the messages are leased.

        A search that has reached the end of its queue is followed by one from the beginning: only that one notices
        the end before it has skipped the old entries behind it.

        Args:
            taken: the messages in order, with the names of their queues.
        """
        places = {name: (row[11], row[12]) for name, row in taken}
        self._hints.ready.learn(self._ready, self._slow, places)
        self._hints.ready.restart(self._short)
        self._hints.alarms.learn(self._alarms, self._slow, {ALARMS[0]: self._first})


def _since(search: Search[int]) -> int:
    [place] = search.places
    return BEGINNING if place is None else place


def condition(place: Place | None) -> Fragment:
    """Return the condition on the messages at which a search begins.

    The form matters: the server makes two ranges of the index of it, and begins at the exact place. A range for the
    ranks before would cost as much as a search from the beginning, because the server does not notice the end of a range
    before it has skipped all old entries behind it.
    """
    if place is None:
        return EVERYWHERE
    rank, sort_at = place
    return Fragment(
        f"((priority_rank = {rank} AND sort_at >= {sort_at}) OR priority_rank > {rank})"
    )
