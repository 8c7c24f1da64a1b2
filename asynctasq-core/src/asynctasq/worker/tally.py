"""Counts what a worker has done, in about a microsecond a run, until a store keeps the counts."""

import threading
import time
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence

from asynctasq.contracts.capabilities import News
from asynctasq.contracts.capabilities.metrics import MetricCounts, MetricFlush
from asynctasq.counts import BOUNDS, RUN, WAIT, Count, add_to, pack_counts
from asynctasq.finished import Finished, pack_finished
from asynctasq.message import State
from asynctasq.settlement import (
    Cancelled,
    Complete,
    Fail,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
)
from asynctasq.worker.in_flight import InFlightMessage
from asynctasq.worker.totals import Totals

PAIRS = 500
"""Pairs of queue and task that are counted on their own. Further tasks are counted as `OTHER`."""
OTHER = "other"
"""Name of all tasks that have no counts of their own."""
MINUTES_HELD = 60
"""Minutes whose counts are held while the store does not take them. Then the oldest are dropped."""
ROWS_AT_ONCE = 1000
"""Rows of one flush, at most."""
RECENT = 100
"""Latest outcomes of a queue that are kept."""
SLOWEST = 20
"""Slowest outcomes of a queue that are kept, of those of the last hour."""
SLOWEST_SECONDS = 3600.0

_DONE = Settled.DONE
_NUMBERS = WAIT + len(BOUNDS) + 1
_RUN_SUM, _WAIT_SUM = Count.RUN_MICROS.value, Count.WAIT_MICROS.value
_COUNTS: dict[type[Settlement], int] = {
    Complete: Count.COMPLETED.value,
    Retry: Count.RETRIED.value,
    Fail: Count.DEAD.value,
    Cancelled: Count.CANCELLED.value,
    Release: Count.RELEASED.value,
}
_STATES: dict[type[Settlement], State] = {
    Complete: State.COMPLETED,
    Fail: State.DEAD,
    Cancelled: State.CANCELLED,
}

_Ended = tuple[bytes, type[Settlement], bytes]
"""ID of a message, its settlement, and `about`."""


class _Latest:
    """The latest and the slowest outcomes of one queue."""

    __slots__ = ("changed", "recent", "slowest", "threshold")

    def __init__(self) -> None:
        self.recent: deque[_Ended] = deque(maxlen=RECENT)
        self.slowest: list[tuple[float, float, _Ended]] = []
        """Run time, monotonic time of the end, and outcome; the fastest first."""
        self.threshold = 0.0
        """Run time that an outcome must exceed to be among the slowest."""
        self.changed = False

    def add_slow(self, seconds: float, ended_at: float, ended: _Ended) -> None:
        insort(self.slowest, (seconds, ended_at, ended))
        if len(self.slowest) > SLOWEST:
            del self.slowest[0]
            self.threshold = self.slowest[0][0]

    def pack(self) -> bytes:
        """Return all outcomes, and drop slow ones that are too old."""
        since = time.monotonic() - SLOWEST_SECONDS
        self.slowest = [each for each in self.slowest if each[1] > since]
        if len(self.slowest) < SLOWEST:
            self.threshold = 0.0
        ended = dict.fromkeys([*self.recent, *(each[2] for each in self.slowest)])
        return pack_finished(
            Finished(message_id, _STATES[kind], about) for message_id, kind, about in ended
        )


class _Counter:
    """Counts of one task of one queue since they were last taken."""

    __slots__ = ("latest", "queue", "task", "values")

    def __init__(self, queue: str, task: str, latest: _Latest) -> None:
        self.queue = queue
        self.task = task
        self.latest = latest
        self.values: list[float] = [0] * _NUMBERS

    def take(self) -> dict[int, int]:
        values = self.values
        values[_RUN_SUM] *= 1e6
        values[_WAIT_SUM] *= 1e6
        return {number: round(value) for number, value in enumerate(values) if value}


class Tally:
    """Counts of one worker, by minute, queue and task, that no store has yet.

    The worker's loop adds to it, and another thread takes from it.
    """

    def __init__(self, source: str, *, stored: bool = True) -> None:
        """Make an empty tally.

        Args:
            source: name of this start of the worker.
            stored: False if the store does not keep counts, so that they are not taken.
        """
        self._source = source
        self._stored = stored
        self._lock = threading.Lock()
        self._minute = 0
        self._by_task: dict[str, _Counter] = {}
        """The last counter of each name, of this minute."""
        self._counters: dict[tuple[str, str], _Counter] = {}
        """Counters of this minute by queue and task."""
        self._named: set[tuple[str, str]] = set()
        """Pairs of queue and task that have counts of their own."""
        self._latest: dict[str, _Latest] = {}
        self._held: dict[tuple[int, str, str], dict[int, int]] = {}
        """Counts that were taken from the counters, by minute, queue and task."""
        self._totals: Totals = {}
        """Everything that was ever taken from the counters."""
        self._number = 0
        self.dropped = 0
        """Rows that were dropped because the store did not take them for too long."""

    def settled(
        self,
        batch: Sequence[tuple[InFlightMessage, Settlement]],
        answers: Sequence[Settled],
        *,
        uncertain: bool = False,
    ) -> None:
        """Count settlements that the store has answered.

        Args:
            batch: messages and their settlements.
            answers: of the store, in this order.
            uncertain: an earlier try of this batch was not answered. LOST means then that it was applied: the
                store lets a worker keep its leases through an outage.
        """
        if len(answers) != len(batch):  # the settler repeats such a batch
            return
        now = time.time()
        offset = now - time.monotonic()
        with self._lock:
            if not self._minute <= now / 60.0 < self._minute + 1:
                self._begin_minute(int(now // 60))
            by_task = self._by_task
            for (held, settlement), answer in zip(batch, answers, strict=False):
                if answer is not _DONE and not (
                    answer is Settled.LOST and (uncertain or has_completed(held))
                ):
                    continue
                delivery = held.delivery
                message = delivery.message
                counter = by_task.get(message.task)
                if counter is None or counter.queue != message.queue:
                    counter = self._counter(message.queue, message.task)
                values = counter.values
                kind = type(settlement)
                values[_COUNTS[kind]] += 1
                started_at, ended_at = held.started_at, held.ended_at
                run = ended_at - started_at if ended_at > started_at > 0.0 else 0.0
                if run > 0.0:
                    values[_RUN_SUM] += run
                    values[RUN + bisect_left(BOUNDS, run)] += 1
                    wait = started_at + offset - delivery.due_at
                    if wait > 0.0:  # the clocks of store and worker may differ
                        values[_WAIT_SUM] += wait
                        values[WAIT + bisect_left(BOUNDS, wait)] += 1
                    else:
                        values[WAIT] += 1
                if kind is Complete or type(settlement) is Fail or type(settlement) is Cancelled:
                    about: bytes = settlement.about  # type: ignore[union-attr]  # it has one of these kinds
                    latest = counter.latest
                    ended = (message.id, kind, about)
                    latest.recent.append(ended)
                    latest.changed = True
                    if run > latest.threshold:
                        latest.add_slow(run, ended_at, ended)

    def news(self, news: Sequence[News]) -> None:
        """Count what the store's upkeep has found."""
        with self._lock:
            self._begin_minute(int(time.time() // 60))
            for each in news:
                values = self._counter(each.queue, each.task).values
                if each.reason is Reason.EXPIRED:
                    values[Count.EXPIRED] += 1
                elif each.state is not State.DEAD or each.reason is Reason.LOST:
                    values[Count.LOST] += 1
                if each.state is State.DEAD and each.reason is not Reason.EXPIRED:
                    values[Count.DEAD] += 1

    def _begin_minute(self, minute: int) -> None:
        if minute != self._minute:
            self._take_counters()
            self._minute = minute

    def _counter(self, queue: str, task: str) -> _Counter:
        """Return the counter of a task of a queue. Its name is `OTHER` if there are too many."""
        pair = (queue, task)
        if pair not in self._named:
            if len(self._named) >= PAIRS:
                pair = (queue, OTHER)
            else:
                self._named.add(pair)
        counter = self._counters.get(pair)
        if counter is None:
            latest = self._latest.setdefault(queue, _Latest())
            self._counters[pair] = counter = _Counter(queue, pair[1], latest)
        if pair[1] == task:
            self._by_task[task] = counter
        return counter

    # For other threads.

    def take(self) -> MetricFlush | None:
        """Return what was counted since the last call; None if that is nothing.

        The counts of a flush are in no later one, so repeat it until the store has taken it.
        """
        with self._lock:
            self._take_counters()
            rows = list(self._held)[:ROWS_AT_ONCE]
            counts = [MetricCounts(*key, pack_counts(self._held.pop(key))) for key in rows]
            recent = {
                queue: latest.pack() for queue, latest in self._latest.items() if latest.changed
            }
            for queue in recent:
                self._latest[queue].changed = False
        if not counts and not recent:
            return None
        self._number += 1
        return MetricFlush(self._source, self._number, counts, recent)

    def totals(self) -> Totals:
        """Return the counts since the worker started, by queue and task."""
        with self._lock:
            self._take_counters()
            return {pair: dict(counts) for pair, counts in self._totals.items()}

    def _take_counters(self) -> None:
        for (queue, task), counter in self._counters.items():
            taken = counter.take()
            add_to(self._totals.setdefault((queue, task), {}), taken)
            if self._stored:
                add_to(self._held.setdefault((self._minute, queue, task), {}), taken)
        self._counters = {}
        self._by_task = {}
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = self._minute - MINUTES_HELD
        if self._held and next(iter(self._held))[0] < oldest:
            kept = {key: counts for key, counts in self._held.items() if key[0] >= oldest}
            self.dropped += len(self._held) - len(kept)
            self._held = kept


def has_completed(held: InFlightMessage) -> bool:
    """Return whether the task has completed itself in a transaction, after which LOST means committed."""
    return held.call is not None and held.call.completion is not None
