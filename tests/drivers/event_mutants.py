"""Seeded bugs in the stream of events: each breaks a rule that the suite must check."""

from collections.abc import Iterator
from itertools import islice

from asynctasq.contracts.capabilities.events import EventPage
from asynctasq.driverkit.events import Position, Stream
from asynctasq.drivers.memory.brokered import StateStore as Store
from asynctasq.drivers.memory.events import Events, _Batch
from tests.drivers.mutants import MUTANTS


def broken(events: type[Events]) -> type[Events]:
    """Register a stream that is broken."""
    parts = {"events_class": events, "__doc__": events.__doc__}
    MUTANTS[type(events.__name__, (Store,), parts)] = "events"
    return events


@broken
class AlwaysListening(Events):
    """Somebody listens at all times."""

    def listening(self, now: float) -> bool:
        super().listening(now)
        return True


@broken
class ListensForEver(Events):
    """A call counts as listening without an end."""

    def listen(self, hold: float, now: float) -> None:
        super().listen(hold, now)
        self.stream = Stream(1 << 60, self.stream.since, self.stream.last, self.stream.size)


@broken
class LastHoldCounts(Events):
    """A short hold ends a longer one."""

    def listen(self, hold: float, now: float) -> None:
        super().listen(hold, now)
        until = round((now + hold) * 1e6)
        self.stream = Stream(until, self.stream.since, self.stream.last, self.stream.size)


@broken
class LapseIsForgotten(Events):
    """A time without a listener leaves no gap."""

    def listen(self, hold: float, now: float) -> None:
        since = self.stream.since
        super().listen(hold, now)
        stream = self.stream
        self.stream = Stream(stream.until, since, stream.last, stream.size)


@broken
class EachListenerBeginsAnew(Events):
    """Each call leaves a gap for the others."""

    def listen(self, hold: float, now: float) -> None:
        super().listen(hold, now)
        stream = self.stream
        self.stream = Stream(stream.until, stream.since + 1, stream.last, stream.size)


@broken
class NothingIsDropped(Events):
    """Batches are kept without an end."""

    def _since(self, now: float) -> float:
        return 0.0


@broken
class DroppedEarly(Events):
    """Batches are dropped after a minute."""

    def _since(self, now: float) -> float:
        return now - 60.0


@broken
class GapIsHidden(Events):
    """Batches that were dropped leave no gap."""

    def page(self, start: Position, limit: int) -> EventPage:
        page = super().page(start, limit)
        return EventPage(page.batches, page.cursor, False)


@broken
class NewestFirst(Events):
    """The newest batches come first."""

    def _after(self, start: Position) -> Iterator[_Batch]:
        return iter(sorted(super()._after(start), key=lambda each: -each.number))


@broken
class FirstBatchAgain(Events):
    """The batch at the position comes again."""

    def _after(self, start: Position) -> Iterator[_Batch]:
        return super()._after(Position(start.since, start.number - 1))


@broken
class NumbersWithHoles(Events):
    """A number is left out between two batches."""

    def _number(self, stream: Stream) -> int:
        return stream.last + 2


@broken
class AnyLimit(Events):
    """The limit does not count."""

    def page(self, start: Position, limit: int) -> EventPage:
        return super().page(start, 1000)


@broken
class HalfABatch(Events):
    """A batch ends with its first byte of zero."""

    def publish(self, data: bytes, now: float) -> None:
        super().publish(data.partition(b"\x00")[0], now)


@broken
class PageOfOne(Events):
    """A page ends after ten batches, and its cursor after all of them."""

    def page(self, start: Position, limit: int) -> EventPage:
        page = super().page(start, limit)
        return EventPage(list(islice(page.batches, 3)), page.cursor, page.gap)
