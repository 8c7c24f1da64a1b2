"""The capacity of a worker: its slots, the limits of its queues, and the size of its prefetch buffer."""

from collections.abc import Collection, Mapping, Sequence

from asynctasq.errors import ConfigurationError
from asynctasq.tasks.options import check_queue_name
from asynctasq.worker.timing import PrefetchTiming

PREFETCH_MAX = 2000
"""Largest number of prefetched messages."""
_WEIGHT_OF_LAST = 0.05
_ENOUGH_RUNS = 20


def parse_queues(queues: Sequence[str]) -> dict[str, int | None]:
    """Return the queue names in order, each with its limit of tasks at once (`emails:5`), or None.

    Raises:
        ConfigurationError: a name or limit is not valid, or a queue is listed more than once.
    """
    parsed: dict[str, int | None] = {}
    for text in queues:
        name, separator, limit = text.partition(":")
        try:
            check_queue_name(name)
        except ValueError as error:
            raise ConfigurationError(f"queues: {error}") from None
        if separator and not (limit.isascii() and limit.isdigit() and int(limit) > 0):
            raise ConfigurationError(
                f"queues: {text!r} does not have a valid limit. Write NAME or NAME:LIMIT, as in 'emails:5'."
            )
        if name in parsed:
            raise ConfigurationError(f"queues: {name!r} is listed more than once.")
        parsed[name] = int(limit) if separator else None
    return parsed


class Slots:
    """Counts running tasks. Each takes a slot of the worker; a queue may have a lower limit."""

    def __init__(
        self,
        concurrency: int,
        queues: Mapping[str, int | None],
        *,
        most_runs: int | None = None,
        timing: PrefetchTiming | None = None,
    ) -> None:
        """Make slots, none of them taken.

        Args:
            concurrency: number of slots.
            queues: each with its own limit, or None.
            most_runs: number of times that a slot may be taken; None for no limit.
            timing: durations that decide on prefetching.
        """
        self.timing = timing or PrefetchTiming()
        self.concurrency = concurrency
        self._runs_left = most_runs
        self._limits = queues
        self._limited = any(limit is not None for limit in queues.values())
        self._by_queue = dict.fromkeys(queues, 0)
        self.running = 0
        """Number of slots taken, without lent ones; may exceed the concurrency after some were taken back."""
        self.lent = 0
        self._mean_seconds = 0.0
        self._ended = 0
        self._known_from = 0
        """Number of tasks that had ended when the kind of the next ones became unknown."""
        self._last_end = 0.0
        self._busy_seconds = 0.0
        """Time in which tasks ran that have ended; tasks that ran side by side count once."""
        self._rated = (0.0, 0)
        """Busy seconds and number of ended tasks at the last measurement of the rate."""
        self._rate = 0.0
        """Tasks per busy second at the last measurement.

        Time spent waiting for the store does not count: a slower store needs a larger prefetch buffer.
        """

    @property
    def free(self) -> int:
        """Number of free slots; below zero after lent ones were taken back."""
        return self.concurrency - self.running

    @property
    def short(self) -> bool:
        """True if recent tasks were short enough to prefetch messages."""
        return (
            self._ended - self._known_from >= _ENOUGH_RUNS
            and self._mean_seconds < self.timing.short_task
            and not self._limited
        )

    @property
    def prefetch_limit(self) -> int:
        """Number of messages that may be prefetched."""
        return min(round(self._rate * self.timing.wait), PREFETCH_MAX) if self.short else 0

    @property
    def used_up(self) -> bool:
        """True if there have been as many runs as allowed."""
        return self._runs_left == 0

    def expect_anything(self) -> None:
        """Prefetch nothing until the next tasks have proved to be short: they may be of another kind."""
        self._known_from = self._ended

    def room(self, prefetched: int) -> int:
        """Return the number of messages to reserve now; 0 to wait."""
        if self._runs_left is not None:
            return min(self.free, self._runs_left) - prefetched
        self._measure_rate()
        limit = self.prefetch_limit
        return self.free + limit - prefetched if self.free or prefetched <= limit * 3 // 4 else 0

    def _measure_rate(self) -> None:
        seconds, ended = self._rated
        busy = self._busy_seconds
        if busy - seconds >= self.timing.rate or (not self._rate and busy > seconds):
            self._rate = (self._ended - ended) / (busy - seconds)
            self._rated = busy, self._ended

    def caps(self, limit: int) -> dict[str, int]:
        """Return for each queue in order how many messages to reserve, without queues at their limit."""
        if not self._limited:
            return dict.fromkeys(self._limits, limit)
        return {
            queue: cap
            for queue, most in self._limits.items()
            if (cap := limit if most is None else min(limit, most - self._by_queue[queue])) > 0
        }

    @property
    def queues(self) -> Collection[str]:
        """Names of the queues."""
        return self._limits.keys()

    def is_full(self, queue: str, count: int) -> bool:
        """Check whether this number of running tasks reaches the limit of a queue."""
        limit = self._limits.get(queue)
        return limit is not None and count >= limit

    def lend(self) -> None:
        """Count the slot of a waiting task as free. The limit of its queue is not lent."""
        self.running -= 1
        self.lent += 1

    def take_back(self) -> None:
        """Count a lent slot as taken again, even if there is no free slot."""
        self.running += 1
        self.lent -= 1

    def take(self, queue: str) -> bool:
        """Count the start of a task of this queue; returns False if it was the last that may start."""
        self.running += 1
        if self._limited:
            self._by_queue[queue] += 1
        if self._runs_left is None:
            return True
        self._runs_left -= 1
        return self._runs_left != 0

    def give(self, queue: str, began_at: float, ended_at: float) -> None:
        """Count the end of a task of this queue. Times are seconds by one clock."""
        self.running -= 1
        if self._limited:
            self._by_queue[queue] -= 1
        self._ended += 1
        busy_since = self._last_end
        if began_at > busy_since:  # noqa: PLR1730  a call of max() takes longer
            busy_since = began_at
        self._busy_seconds += ended_at - busy_since
        self._last_end = ended_at
        self._mean_seconds += (ended_at - began_at - self._mean_seconds) * _WEIGHT_OF_LAST
