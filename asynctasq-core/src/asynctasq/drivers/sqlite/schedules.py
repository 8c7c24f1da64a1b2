"""Schedules: which are due, which are hidden by a claim, and the step in which they fire."""

from collections.abc import Sequence
from typing import Any

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.contracts.capabilities.schedules import (
    ORPHANED_AFTER,
    Claim,
    Firing,
    Schedule,
    ScheduleChange,
)
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.schedules import by_due_time, claimable_at
from asynctasq.driverkit.times import micros, seconds
from asynctasq.drivers.sqlite.codec import UNREACHABLE, json_list, log
from asynctasq.drivers.sqlite.enqueueing import admit_all
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_count, as_micros
from asynctasq.drivers.sqlite.session import Session
from asynctasq.drivers.sqlite.steps import Steps
from asynctasq.records import record

COLUMNS = (
    "id, definition, rhythm, next_at, revision, paused, orphaned, declared_by, seen_at, fired_at"
)
_SQL = {name: text.replace("{columns}", COLUMNS) for name, text in queries("schedules").items()}
_LISTING = "schedules"


def _is_whole(row: Sequence[Any]) -> bool:
    """Return whether a row can be fired."""
    _, definition, rhythm, next_at, revision, *_ = row
    return (
        type(definition) is bytes
        and len(definition) > 0
        and type(rhythm) is str
        and (next_at is None or (type(next_at) is int and abs(next_at) < UNREACHABLE))
        and type(revision) is int
        and as_count(revision) > 0
    )


def _read(row: Sequence[Any]) -> Schedule:
    """Return the schedule of a row; without a definition if the row is damaged."""
    name, definition, rhythm, next_at, revision, paused, orphaned, declared_by, seen, fired = row
    is_whole = _is_whole(row)
    return Schedule(
        id=name,
        definition=definition if is_whole else b"",
        next_at=seconds(next_at) if is_whole and next_at is not None else None,
        rhythm=rhythm if type(rhythm) is str else "",
        revision=as_count(revision),
        paused=paused != 0,
        orphaned=orphaned != 0,
        declared_by=declared_by if type(declared_by) is str else None,
        seen_at=seconds(as_micros(seen)),
        fired_at=seconds(as_micros(fired)) if type(fired) is int else None,
    )


def _claimable(next_at: float | None, session: Session) -> int:
    return micros(claimable_at(next_at, fired_at=seconds(session.now)))


# Claims.


@record
class Peek:
    """A look at when the next schedule can be claimed; reads only."""

    def __call__(self, session: Session) -> Claim:
        return _claim([], session)


@record
class ClaimDue:
    """The operation behind `SupportsSchedules.claim_schedules`."""

    limit: int
    hold: float

    def __call__(self, session: Session) -> Claim:
        claimed: list[Schedule] = []
        hidden: list[int] = []
        finished: list[int] = []
        damaged: list[int] = []
        for n, *row in session.rows(_SQL["due"], {"limit": self.limit}):
            if type(row[0]) is not str or not _is_whole(row):
                log.error("The record of schedule %r is damaged; it is not fired any more", row[0])
                damaged.append(n)
            elif row[3] is None:
                finished.append(n)
            else:
                hidden.append(n)
                claimed.append(_read(row))
        until = session.now + micros(self.hold)
        for rows, change in ((hidden, until), (damaged, None)):
            if rows:
                session.run(_SQL["hide"], {"rows": json_list(rows), "until": change})
        if finished:
            session.run(_SQL["delete_rows"], {"rows": json_list(finished)})
        return _claim(claimed, session)


def _claim(claimed: Sequence[Schedule], session: Session) -> Claim:
    found = session.row(_SQL["next"], {"never": UNREACHABLE})
    next_at = None if found is None else seconds(found[0])
    return Claim(by_due_time(claimed), seconds(session.now), next_at)


# Firing.


@record
class Fire:
    """The operation behind `SupportsSchedules.fire`."""

    firings: Sequence[Firing]

    def __call__(self, session: Session) -> list[bool]:
        answers = [self._set_next(each, session) for each in self.firings]
        pairs = zip(self.firings, answers, strict=True)
        messages = [message for each, fires in pairs if fires for message in each.messages]
        session.follow(admit_all(messages, session.now))
        return answers

    def _set_next(self, firing: Firing, session: Session) -> bool:
        """Set the next time; return whether the schedule fires."""
        next_at = firing.next_at
        parameters: dict[str, Any] = {
            "id": firing.id,
            "revision": firing.revision,
            "planned": micros(firing.planned),
            "next_at": None if next_at is None else micros(next_at),
            "claimable_at": _claimable(next_at, session),
            "fired_at": session.now if firing.messages else None,
        }
        return session.run(_SQL["fire"], parameters) > 0


# Definitions and changes.


@record
class Put:
    """The operation behind `SupportsSchedules.put_schedules`."""

    schedules: Sequence[Schedule]

    def __call__(self, session: Session) -> list[int]:
        return [session.follow(_put(each, session)) for each in self.schedules]


def _put(given: Schedule, session: Session) -> Steps[int]:
    found = yield _SQL["one"], {"id": given.id}
    old = _read(found[0]) if found else None
    if old is not None and old.definition == given.definition:
        yield from _see(old, given.declared_by, session)
        return old.revision
    keeps_time = old is not None and old.definition != b"" and old.rhythm == given.rhythm
    next_at = old.next_at if old is not None and keeps_time else given.next_at
    is_paused = old is not None and old.paused
    revision = 1 if old is None else old.revision + 1
    yield (
        _SQL["put"],
        {
            "id": given.id,
            "definition": given.definition,
            "rhythm": given.rhythm,
            "next_at": None if next_at is None else micros(next_at),
            "claimable_at": None if is_paused else _claimable(next_at, session),
            "revision": revision,
            "paused": is_paused,
            "declared_by": given.declared_by,
            "fired_at": None if old is None or old.fired_at is None else micros(old.fired_at),
        },
    )
    return revision


def _see(old: Schedule, declared_by: str | None, session: Session) -> Steps[None]:
    again_at = _claimable(old.next_at, session)
    yield _SQL["see"], {"id": old.id, "declared_by": declared_by, "claimable_at": again_at}


@record
class Change:
    """The operation behind `SupportsSchedules.change_schedules`."""

    ids: Sequence[str]
    change: ScheduleChange

    def __call__(self, session: Session) -> list[bool]:
        return [self._change(name, session) for name in self.ids]

    def _change(self, name: str, session: Session) -> bool:
        found = session.row(_SQL["one"], {"id": name})
        if found is None:
            return False
        old = _read(found)
        if self.change is ScheduleChange.SEEN:
            session.follow(_see(old, old.declared_by, session))
            return True
        parameters: dict[str, Any] = {
            "id": name,
            "claimable_at": _claimable(old.next_at, session) if old.definition else None,
            "orphaned_before": session.now - micros(ORPHANED_AFTER),
        }
        return session.run(_SQL[self.change.value], parameters) > 0


# Listings.


@record
class Find:
    """The operation behind `SupportsSchedules.find_schedules`."""

    ids: Sequence[str]

    def __call__(self, session: Session) -> list[Schedule | None]:
        rows = [session.row(_SQL["one"], {"id": name}) for name in self.ids]
        return [None if row is None else _read(row) for row in rows]


@record
class ListAll:
    """The operation behind `SupportsSchedules.schedules`."""

    limit: int
    cursor: str | None

    def __call__(self, session: Session) -> Page[Schedule]:
        after = ""
        if self.cursor is not None:
            after = str(unpack_cursor(_LISTING, self.cursor, length=1)[0])
        rows = session.rows(_SQL["list"], {"after": after, "limit": self.limit + 1})
        items = [_read(row) for row in rows[: self.limit]]
        more = len(rows) > self.limit and items
        return Page(items, pack_cursor(_LISTING, (items[-1].id,)) if more else None)
