"""Hints where to begin the search for ready messages.

While a transaction is open anywhere in the database, vacuum cannot remove the index entries of messages that have
been taken since, and each search would begin by skipping all of them. A search that was slow is followed by
searches that begin where it has found something. Once a second, one begins at the beginning, for messages that
were released or committed late.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

SLOW = -2
PLAIN_SECONDS = 1.0
"""After which a search begins at the beginning again."""


class _Hint:
    __slots__ = ("is_slow", "plain_at", "rank", "time")

    def __init__(self) -> None:
        self.is_slow = False
        self.plain_at = 0.0
        self.rank = 0
        self.time = 0


class Hints:
    """The hints of one driver, by the names of queues."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hints: dict[str, _Hint] = {}
        self._plain: set[str] = set()

    def parameters(
        self, names: Sequence[str]
    ) -> tuple[list[int | None] | None, list[int | None] | None]:
        """Return where the searches in some queues begin: ranks and times, or None for the beginning."""
        if not self._hints:
            return None, None
        now = self._clock()
        hints = [self._hints.get(name) for name in names]
        used = [
            hint if hint is not None and now - hint.plain_at < PLAIN_SECONDS else None
            for hint in hints
        ]
        return (
            [None if hint is None else hint.rank for hint in used],
            [None if hint is None else hint.time for hint in used],
        )

    def learn(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Learn from the rows of a reserve, which are sorted."""
        slow = {names[row[4] - 1] for row in rows if row[0] == SLOW}
        if not slow and not self._hints:
            return
        now = self._clock()
        last = {names[row[0] - 1]: (row[1], row[2]) for row in rows if row[0] > 0}
        for name in names:
            hint = self._hints.get(name)
            was_plain = hint is None or now - hint.plain_at >= PLAIN_SECONDS
            if was_plain and name not in slow:
                self._hints.pop(name, None)
            elif name in last:
                if hint is None:
                    hint = self._hints[name] = _Hint()
                hint.rank, hint.time = last[name]
                if was_plain:
                    hint.plain_at = now
            elif was_plain and hint is not None:
                hint.plain_at = now
