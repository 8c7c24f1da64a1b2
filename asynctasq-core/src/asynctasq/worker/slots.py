"""How much a worker may take on: its slots, those of each queue, and what it may hold in hand."""

from collections.abc import Collection, Mapping, Sequence

from asynctasq.errors import ConfigurationError
from asynctasq.tasks.options import check_queue_name

SHORT_TASK_SECONDS = 0.02
"""Below this, a slot that waits for a round trip to the store is idle for a good part of its time."""
HAND_WAIT_SECONDS = 0.04
"""Within which what waits in hand is to begin, as fast as tasks have begun of late."""
HAND_MOST = 2000
"""Deliveries in hand."""
RATE_SECONDS = 0.02
"""Of busy time, over which it is counted how fast tasks end, once there is a first estimate."""
_WEIGHT_OF_LAST = 0.05
_ENOUGH_RUNS = 20


def parse_queues(queues: Sequence[str]) -> dict[str, int | None]:
    """Names in order, each with its own limit of tasks at once, if it has one (`emails:5`).

    Raises:
        ConfigurationError: a name or limit is not valid, or a queue stands twice.
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
                f"queues: {text!r} has no valid limit: write NAME or NAME:LIMIT, as in 'emails:5'."
            )
        if name in parsed:
            raise ConfigurationError(f"queues: {name!r} stands twice.")
        parsed[name] = int(limit) if separator else None
    return parsed


class Slots:
    """Counts what runs. A slot is taken by a running task; a queue may have fewer than the worker."""

    def __init__(
        self, concurrency: int, queues: Mapping[str, int | None], *, most_runs: int | None = None
    ) -> None:
        """Make slots, none of them taken.

        Args:
            concurrency: how many.
            queues: each with its own limit, if it has one.
            most_runs: how often a slot is taken at most; None for no limit.
        """
        self.concurrency = concurrency
        self._runs_left = most_runs
        self._limits = queues
        self._limited = any(limit is not None for limit in queues.values())
        self._by_queue = dict.fromkeys(queues, 0)
        self.running = 0
        """Slots taken, without those that are lent; more than there are after some were taken back."""
        self.lent = 0
        self._runs = 0
        self._mean_seconds = 0.0
        self._ended = 0
        self._last_end = 0.0
        self._busy_seconds = 0.0
        """In which tasks ran that have ended; what ran side by side counts once."""
        self._rated = (0.0, 0)
        """Busy seconds, and how many had ended, when it was last counted how fast they do."""
        self._rate = 0.0
        """Tasks in a busy second, of late.

        Waiting for the store is not part of it: the slower the store, the more has to be in hand.
        """

    @property
    def free(self) -> int:
        """Slots that nothing runs in; below zero after lent ones were taken back."""
        return self.concurrency - self.running

    @property
    def short(self) -> bool:
        """Whether tasks have been so short of late that some may be held in hand."""
        return (
            self._runs >= _ENOUGH_RUNS
            and self._mean_seconds < SHORT_TASK_SECONDS
            and not self._limited
        )

    @property
    def hand(self) -> int:
        """How many may wait in hand."""
        return min(round(self._rate * HAND_WAIT_SECONDS), HAND_MOST) if self.short else 0

    @property
    def used_up(self) -> bool:
        """Whether there have been as many runs as there may be."""
        return self._runs_left == 0

    def expect_anything(self) -> None:
        """What comes next may be of another kind: hold nothing in hand until it has proved short."""
        self._runs = 0

    def room(self, in_hand: int) -> int:
        """How many to reserve now; 0 to wait."""
        if self._runs_left is not None:
            return min(self.free, self._runs_left) - in_hand
        self._count_rate()
        hand = self.hand
        return self.free + hand - in_hand if self.free or in_hand <= hand * 3 // 4 else 0

    def _count_rate(self) -> None:
        seconds, ended = self._rated
        busy = self._busy_seconds
        if busy - seconds >= RATE_SECONDS or (not self._rate and busy > seconds):
            self._rate = (self._ended - ended) / (busy - seconds)
            self._rated = busy, self._ended

    def caps(self, limit: int) -> dict[str, int]:
        """For each queue in order, how many to reserve at most; queues at their limit are left out."""
        if not self._limited:
            return dict.fromkeys(self._limits, limit)
        return {
            queue: cap
            for queue, most in self._limits.items()
            if (cap := limit if most is None else min(limit, most - self._by_queue[queue])) > 0
        }

    @property
    def queues(self) -> Collection[str]:
        """The names of the queues."""
        return self._limits.keys()

    def is_full(self, queue: str, count: int) -> bool:
        """Check whether so many tasks are all that may run of a queue with a limit of its own."""
        limit = self._limits.get(queue)
        return limit is not None and count >= limit

    def lend(self) -> None:
        """Count the slot of a waiting task as free. The limit of its queue is not lent."""
        self.running -= 1
        self.lent += 1

    def take_back(self) -> None:
        """Count it as taken again, even if there is no free slot."""
        self.running += 1
        self.lent -= 1

    def take(self, queue: str) -> None:
        """A task of this queue begins."""
        self.running += 1
        if self._runs_left is not None:
            self._runs_left -= 1
        if self._limited:
            self._by_queue[queue] += 1

    def give(self, queue: str, began_at: float, ended_at: float) -> None:
        """It has ended. Times are seconds by one clock."""
        self.running -= 1
        if self._limited:
            self._by_queue[queue] -= 1
        self._runs += 1
        self._ended += 1
        self._busy_seconds += ended_at - max(began_at, self._last_end)
        self._last_end = ended_at
        self._mean_seconds += (ended_at - began_at - self._mean_seconds) * _WEIGHT_OF_LAST
