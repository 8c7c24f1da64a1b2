"""The stream of events: batches in the order of their commits, and until when there is a listener."""

from typing import Any

from asynctasq.contracts.capabilities.events import EventPage
from asynctasq.driverkit.events import (
    DROPPED_AT_ONCE,
    NO_STREAM,
    Position,
    Stream,
    hold_seconds,
    is_old,
    kept_since,
    listened,
    page_of,
    start_of,
)
from asynctasq.driverkit.times import micros
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_bytes
from asynctasq.drivers.sqlite.session import Session
from asynctasq.records import record

_SQL = queries("events")
SECOND = 1e6


def _stream(session: Session) -> Stream:
    """Return the stream; a damaged one begins again, behind the last batch."""
    row = session.row(_SQL["stream"], {})
    if row is not None and all(type(value) is int and value >= 0 for value in row):
        return Stream(*row)
    last = session.row(_SQL["last_batch"], {})
    if last is None or not all(type(value) is int for value in last):
        return NO_STREAM
    return Stream(0, 0, *last)


def _set(session: Session, stream: Stream) -> None:
    session.run(
        _SQL["set_stream"],
        {
            "until": stream.until,
            "since": stream.since,
            "last": stream.last,
            "size": stream.size,
        },
    )


def _old(session: Session, stream: Stream) -> int | None:
    """Return the number up to which some batches are old; None if none is."""
    since = kept_since(session.now, second=SECOND)
    found = None
    for number, at, size in session.rows(_SQL["oldest"], {"bound": DROPPED_AT_ONCE}):
        if not (
            type(at) is int
            and type(size) is int
            and not is_old(number, at, size, stream=stream, since=since)
        ):
            found = number
        else:
            break
    return found


def look(session: Session) -> tuple[bool, bool]:
    """Return whether there is a listener, and whether there are old batches."""
    stream = _stream(session)
    return stream.until > session.now, _old(session, stream) is not None


def drop(session: Session) -> None:
    """Delete some old batches."""
    number = _old(session, _stream(session))
    if number is not None:
        session.run(_SQL["drop"], {"n": number})


@record
class Publish:
    """The operation behind `SupportsEvents.publish`."""

    data: bytes

    def __call__(self, session: Session) -> None:
        stream = _stream(session)
        added = Stream(stream.until, stream.since, stream.last + 1, stream.size + len(self.data))
        batch: dict[str, Any] = {"n": added.last, "size": added.size, "data": self.data}
        session.run(_SQL["add_batch"], batch)
        _set(session, added)
        drop(session)


@record
class Listen:
    """Counts as listening, and returns the position at which to read and the first page."""

    after: str | None
    limit: int
    hold: float

    def __call__(self, session: Session) -> tuple[Position, EventPage]:
        hold = micros(hold_seconds(self.hold))
        stream = listened(_stream(session), now=session.now, hold=hold)
        _set(session, stream)
        start = start_of(self.after, stream)
        return start, _page(session, start, stream, self.limit)


@record
class Page:
    """Returns a page."""

    start: Position
    limit: int

    def __call__(self, session: Session) -> EventPage:
        return _page(session, self.start, _stream(session), self.limit)


def _page(session: Session, start: Position, stream: Stream, limit: int) -> EventPage:
    if limit <= 0:
        return page_of([], start=start, stream=stream, limit=limit)
    found, _, _ = session.rows_within(_SQL["batches"], {"n": start.number, "bound": limit})
    rows = [(number, as_bytes(data)) for number, data in found]
    return page_of(rows, start=start, stream=stream, limit=limit)
