"""Rows of schedules: what they show, and how definitions and changes affect them."""

from asynctasq.contracts.capabilities.schedules import (
    ORPHANED_AFTER,
    Firing,
    Schedule,
    ScheduleChange,
)
from asynctasq.driverkit.schedules import claimable_at
from asynctasq.driverkit.sql import name_bytes
from asynctasq.driverkit.times import FOREVER, micros, seconds
from asynctasq_mysql.clients import Row
from asynctasq_mysql.statements import Value


def _text(data: bytes | None) -> str | None:
    """Return a stored text; None if it is damaged."""
    try:
        return None if data is None else data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None


def _time(value: float | None) -> int | None:
    return None if value is None else micros(value)


def _claimable(next_at: int | None, now: int) -> int:
    at = None if next_at is None else seconds(next_at)
    return micros(claimable_at(at, fired_at=seconds(now)))


class ScheduleRow:
    """A schedule as a call has locked or read it."""

    __slots__ = (
        "claimable_at",
        "declared_by",
        "definition",
        "fired_at",
        "id",
        "n",
        "next_at",
        "orphaned",
        "paused",
        "revision",
        "rhythm",
        "seen_at",
    )

    def __init__(self, row: Row) -> None:
        self.n: int | None = row[0]
        self.id = bytes(row[1])
        self.definition = bytes(row[2])
        self.rhythm = bytes(row[3])
        self.next_at: int | None = row[4]
        self.claimable_at: int | None = row[5]
        self.revision: int = row[6]
        self.paused = row[7] != 0
        self.orphaned = row[8] != 0
        self.declared_by = None if row[9] is None else bytes(row[9])
        self.seen_at: int = row[10]
        self.fired_at: int | None = row[11]

    @classmethod
    def new(cls, given: Schedule, now: int) -> "ScheduleRow":
        """Return the row of a schedule that is not in the store."""
        row = cls((None, name_bytes(given.id), b"", b"", None, None, 0, 0, 0, None, now, None))
        row.put(given, now)
        return row

    @property
    def is_whole(self) -> bool:
        """True if the schedule can be fired."""
        return (
            self.definition != b""
            and _text(self.id) is not None
            and _text(self.rhythm) is not None
            and (self.next_at is None or abs(self.next_at) <= FOREVER)
            and 0 < self.revision <= FOREVER
        )

    def schedule(self) -> Schedule:
        """Return the schedule; without a definition if the row is damaged."""
        is_whole = self.is_whole
        return Schedule(
            id=_text(self.id) or "",
            definition=self.definition if is_whole else b"",
            next_at=seconds(self.next_at) if is_whole and self.next_at is not None else None,
            rhythm=_text(self.rhythm) or "",
            revision=min(max(self.revision, 0), FOREVER),
            paused=self.paused,
            orphaned=self.orphaned,
            declared_by=_text(self.declared_by),
            seen_at=seconds(self.seen_at),
            fired_at=None if self.fired_at is None else seconds(self.fired_at),
        )

    def put(self, given: Schedule, now: int) -> int:
        """Store a definition; return the revision."""
        self._see(now)
        self.declared_by = None if given.declared_by is None else name_bytes(given.declared_by)
        rhythm, was_whole = name_bytes(given.rhythm), self.is_whole
        if was_whole and self.definition == given.definition:
            return self.revision
        if not was_whole or self.rhythm != rhythm:
            self.next_at = _time(given.next_at)
        self.definition, self.rhythm = given.definition, rhythm
        self.revision = self.revision + 1 if 0 <= self.revision < FOREVER else 1
        self._set_claimable(now)
        return self.revision

    def change(self, change: ScheduleChange, now: int) -> bool:
        """Change the schedule; False if the change does not apply."""
        if change is ScheduleChange.SEEN:
            self._see(now)
        elif change is ScheduleChange.PAUSE:
            self.paused, self.claimable_at = True, None
        elif change is ScheduleChange.RESUME:
            if self.paused:
                self.paused = False
                self._set_claimable(now)
        elif change is ScheduleChange.ORPHAN:
            if self.declared_by is None or self.seen_at > now - micros(ORPHANED_AFTER):
                return False
            self.orphaned, self.claimable_at = True, None
        return True

    def _see(self, now: int) -> None:
        self.seen_at = now
        if self.orphaned:
            self.orphaned = False
            self._set_claimable(now)

    def _set_claimable(self, now: int) -> None:
        can_be_claimed = self.is_whole and not self.paused and not self.orphaned
        self.claimable_at = _claimable(self.next_at, now) if can_be_claimed else None

    def states(self) -> tuple[int | None, ...]:
        """Return the columns that changes write."""
        return self.n, self.claimable_at, self.paused, self.orphaned, self.seen_at

    def columns(self, namespace: int) -> tuple[Value, ...]:
        """Return the columns that definitions write."""
        return (
            self.n,
            namespace,
            self.id,
            self.definition,
            self.rhythm,
            self.next_at,
            self.claimable_at,
            self.revision,
            self.paused,
            self.orphaned,
            self.declared_by,
            self.seen_at,
        )


class ScheduleTimes:
    """The times of a schedule that a firing has locked. It is neither paused nor orphaned."""

    __slots__ = ("_fired_at", "_n", "_next_at", "_revision", "has_fired")

    def __init__(self, row: Row) -> None:
        self._n: int = row[0]
        self._next_at: int | None = row[2]
        self._revision: int = row[3]
        self._fired_at: int | None = None
        self.has_fired = False

    def fire(self, firing: Firing, now: int) -> bool:
        """Set the next time; return whether the schedule fires."""
        if self._revision != firing.revision or self._next_at != micros(firing.planned):
            return False
        self._next_at = _time(firing.next_at)
        if firing.messages:
            self._fired_at = now
        self.has_fired = True
        return True

    def columns(self, now: int) -> tuple[int, int | None, int, int | None]:
        """Return the columns that firings write."""
        return self._n, self._next_at, _claimable(self._next_at, now), self._fired_at
