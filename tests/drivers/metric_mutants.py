"""Seeded bugs in the counts of workers: each breaks a rule that the suite must check."""

from collections.abc import Iterator

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.metrics import MetricFlush, RecentRow
from asynctasq.counts import unpack_counts
from asynctasq.driverkit.metrics import HOUR, Key, first_hour, first_minute
from asynctasq.drivers.memory.brokered import StateStore as Store
from asynctasq.drivers.memory.metrics import Metrics
from tests.drivers.mutants import MUTANTS


def broken(metrics: type[Metrics]) -> type[Metrics]:
    """Register metrics that are broken."""
    parts = {"metrics_class": metrics, "__doc__": metrics.__doc__}
    MUTANTS[type(metrics.__name__, (Store,), parts)] = "metrics"
    return metrics


@broken
class CountsTwice(Metrics):
    """A repeated flush is added again."""

    def _was_added(self, flush: MetricFlush) -> bool:
        return False


@broken
class OnlyTheSameNumberIsKnown(Metrics):
    """A flush that is older than the last one is added again."""

    def _was_added(self, flush: MetricFlush) -> bool:
        return flush.number == self.numbers.get(flush.source, (-1, 0.0))[0]


@broken
class OneSource(Metrics):
    """Flushes of other sources with the same number are not added."""

    def _was_added(self, flush: MetricFlush) -> bool:
        return flush.number <= max((number for number, _ in self.numbers.values()), default=-1)


@broken
class LastFlushCounts(Metrics):
    """A flush replaces the counts before it."""

    def _add(self, spans: dict[Key, bytes], key: Key, counts: bytes) -> None:
        spans[key] = counts


@broken
class DamageStopsAll(Metrics):
    """Counts that are damaged cannot be replaced."""

    def _add(self, spans: dict[Key, bytes], key: Key, counts: bytes) -> None:
        known = spans.get(key)
        if known is None or unpack_counts(known) is not None:
            super()._add(spans, key, counts)


@broken
class HalfAFlush(Metrics):
    """Of a flush with many rows, only the first ones are added."""

    def add(self, flush: MetricFlush, now: float) -> None:
        super().add(MetricFlush(flush.source, flush.number, flush.rows[:5], flush.recent), now)


@broken
class MinutesForEver(Metrics):
    """Minutes are never added up."""

    def _first_minute(self, now: float) -> int:
        return 0


@broken
class MinutesForAnHour(Metrics):
    """Minutes are added up too early."""

    def _first_minute(self, now: float) -> int:
        return first_minute(now) + 23 * HOUR


@broken
class ForgetsMinutes(Metrics):
    """Minutes are deleted after a day, and not added up."""

    def _add_up(self, now: float) -> None:
        for key in [key for key in self.minutes if key[0] < first_minute(now)]:
            del self.minutes[key]


@broken
class AddsUpTwice(Metrics):
    """Minutes that were added up are counted in their hour twice."""

    def _add_up(self, now: float) -> None:
        before = dict(self.minutes)
        super()._add_up(now)
        gone = {key: counts for key, counts in before.items() if key not in self.minutes}
        for (start, queue, task), counts in gone.items():
            self._add(self.hours, (start - start % HOUR, queue, task), counts)


@broken
class HoursForEver(Metrics):
    """Hours are never deleted."""

    def _first_hour(self, now: float) -> int:
        return 0


@broken
class HoursForAWeek(Metrics):
    """Hours are deleted too early."""

    def _first_hour(self, now: float) -> int:
        return first_hour(now) + 23 * 24 * HOUR


@broken
class TakesAnyMinute(Metrics):
    """Minutes of long ago, or far ahead, are counted."""

    def add(self, flush: MetricFlush, now: float) -> None:
        super().add(MetricFlush(flush.source, flush.number, (), flush.recent), now)
        for row in flush.rows:
            self._add(self.minutes, (row.minute, row.queue, row.task), row.counts)


@broken
class NamesInAnyCase(Metrics):
    """Names that differ by case are the same."""

    def _is_wanted(self, key: Key, queue: str | None, task: str | None) -> bool:
        start, of_queue, of_task = key
        wanted = (None if queue is None else queue.lower(), None if task is None else task.lower())
        return super()._is_wanted((start, of_queue.lower(), of_task.lower()), *wanted)


@broken
class PrefixIsIgnored(Metrics):
    """A name with an asterisk is a name like any other."""

    def _is_wanted(self, key: Key, queue: str | None, task: str | None) -> bool:
        return super()._is_wanted(key, queue, None) and task in (None, key[2])


@broken
class AlsoAtTheEnd(Metrics):
    """A span that begins at the end of the time is found."""

    def _places(self, since: int, until: float) -> Iterator[tuple[tuple[int, int, str, str], Key]]:
        return super()._places(since, until + 1)


@broken
class NoRecent(Metrics):
    """Latest outcomes of a source replace those of others."""

    def add(self, flush: MetricFlush, now: float) -> None:
        for queue in flush.recent or {}:
            self.recent = {place: kept for place, kept in self.recent.items() if place[0] != queue}
        super().add(flush, now)


@broken
class RecentForEver(Metrics):
    """Latest outcomes are never deleted."""

    def _forget(self, now: float) -> None:
        before = dict(self.recent)
        super()._forget(now)
        self.recent |= before


@broken
class RecentOfAllQueues(Metrics):
    """Latest outcomes of a queue are not found if it has several sources."""

    def latest(self, *, queue: str | None, limit: int, cursor: str | None) -> Page[RecentRow]:
        page = super().latest(queue=queue, limit=limit, cursor=cursor)
        return Page(page.items[:1])
