"""Positions in a stream of events, and the rules by which old batches are dropped."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities.events import (
    BATCH_BYTES,
    BATCH_BYTES_KEPT,
    BATCHES_KEPT,
    EVENTS_KEPT_FOR,
    LONGEST_HOLD,
    EventBatch,
    EventPage,
)
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.errors import DriverError, InvalidCursor
from asynctasq.records import record

LISTING = "events"
DROPPED_AT_ONCE = 100
"""Old batches that one call deletes, at most."""


@record
class Stream:
    """The state of the stream of one namespace. Times are in any unit, the same for all."""

    until: int
    """Time at which the last call no longer counts as listening."""
    since: int
    """Time at which listening began, after a time without a listener."""
    last: int
    """Number of the last batch; 0 if there was none."""
    size: int = 0
    """Bytes of all batches that were ever published."""


NO_STREAM = Stream(0, 0, 0)


def listened(stream: Stream, *, now: int, hold: int) -> Stream:
    """Return the stream after a call that counts as listening for `hold` from now."""
    since = stream.since if stream.until > now else max(now, stream.since + 1)
    return Stream(max(stream.until, now + hold), since, stream.last, stream.size)


def check_batch(batch: bytes) -> None:
    """Check the size of a batch.

    Raises:
        DriverError: it is too long.
    """
    if len(batch) > BATCH_BYTES:
        raise DriverError(
            f"A batch of events must have at most {BATCH_BYTES:,} bytes, got {len(batch):,}."
        )


def hold_seconds(hold: float) -> float:
    """Return the seconds for which a call counts as listening."""
    return min(max(hold, 0.0), LONGEST_HOLD)


def is_old(number: int, at: float, size: int, *, stream: Stream, since: float) -> bool:
    """Return whether a batch is to be dropped.

    Args:
        number: of the batch.
        at: its time.
        size: bytes of all batches up to this one.
        stream: of the batch.
        since: batches of an earlier time are dropped.
    """
    return (
        at < since or number <= stream.last - BATCHES_KEPT or size <= stream.size - BATCH_BYTES_KEPT
    )


def kept_since(now: float, *, second: float = 1.0) -> float:
    """Return the time of the oldest batches that are kept; `second` is the length of one in the unit of `now`."""
    return now - EVENTS_KEPT_FOR * second


@record
class Position:
    """A place behind a batch."""

    since: int
    """`Stream.since` when the place was read."""
    number: int

    @property
    def cursor(self) -> str:
        """The position as a text."""
        return pack_cursor(LISTING, (self.since, self.number))


def position_of(cursor: str) -> Position:
    """Return the position in a cursor.

    Raises:
        InvalidCursor: it is not a position in a stream of events.
    """
    since, number = unpack_cursor(LISTING, cursor, length=2)
    if type(since) is not int or type(number) is not int:
        raise InvalidCursor(
            f"The cursor must come from an event, got {cursor!r}. Leave it out to begin at the present."
        )
    return Position(since, number)


def start_of(after: str | None, stream: Stream) -> Position:
    """Return the position from which to read; that of a store that lost its batches begins with the first.

    Raises:
        InvalidCursor: `after` is not a position in a stream of events.
    """
    if after is None:
        return Position(stream.since, stream.last)
    position = position_of(after)
    return Position(position.since, 0) if position.number > stream.last else position


def page_of(
    rows: Sequence[tuple[int, bytes]], *, start: Position, stream: Stream, limit: int
) -> EventPage:
    """Return a page.

    Args:
        rows: numbers and bytes of the batches after `start`, in order; at most `limit`.
        start: as `start_of` returned it.
        stream: read with the rows or before, after this call was counted as listening.
        limit: of the call.
    """
    since = stream.since
    if limit <= 0:
        return EventPage([], start.cursor)
    if not rows:
        last = max(stream.last, start.number)
        return EventPage([], Position(since, last).cursor, _is_gap(start, stream, last + 1))
    first = rows[0][0]
    batches = [
        EventBatch(Position(since, number).cursor, data)
        for place, (number, data) in enumerate(rows)
        if number
        == first + place  # a batch that is missing between others is a gap of the next page
    ]
    return EventPage(batches, batches[-1].cursor, _is_gap(start, stream, first))


def _is_gap(start: Position, stream: Stream, first: int) -> bool:
    return start.since != stream.since or first > start.number + 1
