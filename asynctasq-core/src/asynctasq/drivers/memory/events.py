"""The stream of events of the memory driver."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

from asynctasq.contracts.capabilities.events import EventPage
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.events import (
    DROPPED_AT_ONCE,
    NO_STREAM,
    Position,
    Stream,
    check_batch,
    hold_seconds,
    is_old,
    kept_since,
    listened,
    page_of,
    start_of,
)
from asynctasq.driverkit.times import micros
from asynctasq.records import record


@record
class _Batch:
    number: int
    at: float
    size: int
    data: bytes


class Events:
    """The batches of a store, and until when there is a listener."""

    def __init__(self) -> None:
        self.stream: Stream = NO_STREAM
        self.batches: deque[_Batch] = deque()

    def listening(self, now: float) -> bool:
        self._drop(now)
        return self.stream.until > micros(now)

    def publish(self, data: bytes, now: float) -> None:
        check_batch(data)
        stream = self.stream
        self.stream = Stream(
            stream.until, stream.since, self._number(stream), stream.size + len(data)
        )
        self.batches.append(_Batch(self.stream.last, now, self.stream.size, data))
        self._drop(now)

    def _number(self, stream: Stream) -> int:
        return stream.last + 1

    def _drop(self, now: float) -> None:
        since = self._since(now)
        for _ in range(DROPPED_AT_ONCE):
            if not self.batches or not self._is_old(self.batches[0], since):
                return
            self.batches.popleft()

    def _since(self, now: float) -> float:
        return kept_since(now)

    def _is_old(self, batch: _Batch, since: float) -> bool:
        return is_old(batch.number, batch.at, batch.size, stream=self.stream, since=since)

    def listen(self, hold: float, now: float) -> None:
        self.stream = listened(self.stream, now=micros(now), hold=micros(hold_seconds(hold)))

    def start(self, after: str | None) -> Position:
        return start_of(after, self.stream)

    def page(self, start: Position, limit: int) -> EventPage:
        rows = [(each.number, each.data) for each in islice(self._after(start), max(limit, 0))]
        return page_of(rows, start=start, stream=self.stream, limit=limit)

    def _after(self, start: Position) -> Iterator[_Batch]:
        room = BYTES_AT_ONCE
        for each in self.batches:
            if each.number > start.number:
                if room <= 0:
                    return
                room -= len(each.data)
                yield each
