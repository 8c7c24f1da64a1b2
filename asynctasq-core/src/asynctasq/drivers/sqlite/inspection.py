"""Counts, snapshots, outcomes, progress and workers; and pauses."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson

from asynctasq.contracts.capabilities import Outcome, Page, QueueInfo, Snapshot, WorkerInfo
from asynctasq.contracts.driver import QueueCounts
from asynctasq.driverkit.packing import damage_info
from asynctasq.driverkit.sql import STATES
from asynctasq.driverkit.times import micros
from asynctasq.driverkit.worker_requests import worker_of
from asynctasq.drivers.sqlite.codec import join_ids, json_list, log
from asynctasq.drivers.sqlite.leasing import NEVER
from asynctasq.drivers.sqlite.listing import (
    Listing,
    Stretches,
    of_leases,
    of_one,
    of_queue,
    of_queues,
    read_page,
    task_parameters,
)
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import (
    as_bytes,
    as_count,
    as_micros,
    as_reason,
    as_state,
    read_error,
    read_message,
)
from asynctasq.drivers.sqlite.session import Row, Session
from asynctasq.errors import BodyCorrupt
from asynctasq.message import State
from asynctasq.records import record
from asynctasq.settlement import Reason

_COLUMNS = (
    "messages.id, queue, profile, payload, state, attempt, lost, enqueued_at, due_at,"
    " CASE state WHEN 5 THEN (SELECT name FROM owners WHERE key = owner) END,"
    " CASE state WHEN 5 THEN coalesce(reserved_at, leased_at) END, cancelling, error"
)
_SQL = queries("inspect")
_LEASE = queries("lease")
_COUNT = _SQL["count"].replace("{holders}", _SQL["holders"])
_FIND = _SQL["find"].replace("{columns}", f"named.key, {_COLUMNS}")


_FILTER = queries("listings")["filter"]


@record
class Count:
    """The operation behind `Driver.count`."""

    queue: str
    bound: int | None

    def __call__(self, session: Session) -> QueueCounts:
        key = session.queue_key(self.queue)
        if key is None:
            return QueueCounts()
        ready, scheduled, leased, dead, *_ = _count(session, key, self.bound)
        return QueueCounts(ready, scheduled, 0, leased, dead)


@record
class Queues:
    """The operation behind `SupportsInspect.queues`."""

    bound: int | None

    def __call__(self, session: Session) -> list[QueueInfo]:
        infos = []
        for key, name in session.rows(_SQL["queues"], {}):
            ready, scheduled, leased, dead, paused, paused_at, oldest = _count(
                session, key, self.bound
            )
            if paused or ready or scheduled or leased or dead:
                infos.append(
                    QueueInfo(
                        name=str(name),
                        ready=ready,
                        scheduled=scheduled,
                        blocked=0,
                        leased=leased,
                        dead=dead,
                        paused=bool(paused),
                        oldest_ready_at=None if oldest == NEVER else oldest / 1e6,
                        paused_at=None if paused_at is None else as_micros(paused_at) / 1e6,
                    )
                )
        return infos


def _count(session: Session, key: int, bound: int | None) -> Row:
    most = NEVER if bound is None else max(bound, 0)
    return session.rows(_COUNT, {"queue": key, "never": NEVER, "bound": most})[0]


@record
class Find:
    """A step of `SupportsInspect.find`; answers as many of the ids as its bound in bytes allows."""

    ids: Sequence[bytes]

    def __call__(self, session: Session) -> list[Snapshot | None]:
        ids, index = join_ids(self.ids)
        rows, _, cut = session.rows_within(_FIND, {"ids": ids, "index": index})
        return in_order(
            _answered(len(self.ids), rows, cut),
            ((row[0], _snapshot(session, row[1:])) for row in rows),
        )


@record
class Browse:
    """The operation behind `SupportsInspect.browse`."""

    state: State
    queue: str | None
    task: str | None
    owner: str | None
    since: float | None
    until: float | None
    limit: int
    cursor: str | None

    def __call__(self, session: Session) -> Page[Snapshot]:
        key = None if self.queue is None else session.queue_key(self.queue)
        stretches = self._stretches(session, key)
        if stretches is None or (key is None and self.queue is not None):
            return Page([])
        return read_page(
            session,
            Listing(self.state.value, _COLUMNS, stretches),
            _FILTER,
            {
                "queue": key,
                "since": None if self.since is None else micros(self.since),
                "until": None if self.until is None else micros(self.until),
                **task_parameters(self.task),
            },
            limit=max(self.limit, 0),
            cursor=self.cursor,
            make=lambda row: _snapshot(session, row),
        )

    def _stretches(self, session: Session, key: int | None) -> Stretches | None:
        """Return the stretches of the listing; None if it is empty."""
        if self.state is State.RUNNING:
            if self.owner is None:
                return of_leases(None, key)
            found = session.row(_LEASE["owner"], {"owner": self.owner})
            return None if found is None else of_leases(found[0], key)
        if self.owner is not None:
            return None
        if self.state is State.READY:
            return of_queues("walk_ready") if key is None else of_queue("walk_ready", key)
        if self.state is State.SCHEDULED:
            if key is None:
                return of_one("walk_scheduled")
            return of_queue("walk_scheduled_of_queue", key)
        if self.state is State.DEAD:
            return of_one("walk_dead") if key is None else of_one("walk_dead_of_queue", key)
        return None


def _snapshot(session: Session, row: Row) -> Snapshot:
    message_id, queue, profile, payload, state, attempt, lost, enqueued_at, due_at = row[:9]
    owner, leased_at, cancelling, error = row[9:13]
    message, damage = read_message(message_id, session.queue_name(queue), profile, payload)
    return Snapshot(
        message=message,
        state=as_state(state, due_at, session.now),
        attempt=as_count(attempt),
        lost=as_count(lost),
        enqueued_at=as_micros(enqueued_at) / 1e6,
        due_at=as_micros(due_at) / 1e6,
        owner=None if owner is None else str(owner),
        cancelling=cancelling == 1,
        error=damage or read_error(error),
        leased_at=None if leased_at is None else as_micros(leased_at) / 1e6,
    )


@record
class Results:
    """A step of `SupportsResults.results`; answers as many of the ids as its bound in bytes allows."""

    ids: Sequence[bytes]

    def __call__(self, session: Session) -> list[Outcome | None]:
        ids, index = join_ids(self.ids)
        parameters = {"ids": ids, "index": index}
        rows, _, cut = session.rows_within(_SQL["outcomes"], parameters)
        return in_order(
            _answered(len(self.ids), rows, cut),
            ((row[0], _outcome(self.ids[row[0]], row[1:])) for row in rows),
        )


def _outcome(message_id: bytes, row: Row) -> Outcome:
    stored, finished_at, payload, reason, error, about = row
    state = STATES.get(stored)
    ended_at = as_micros(finished_at) / 1e6
    known = as_bytes(about)
    if state is State.COMPLETED or state is State.CANCELLED:
        result = None if payload is None else as_bytes(payload)
        return Outcome(message_id, state, ended_at, result, about=known)
    if state is State.DEAD:
        why, cause = as_reason(reason), read_error(error)
        return Outcome(message_id, State.DEAD, ended_at, None, why, cause, known)
    damage = damage_info(BodyCorrupt("The stored outcome of a message is damaged."))
    return Outcome(message_id, State.DEAD, ended_at, None, Reason.UNDECODABLE, damage)


@record
class Progress:
    """The operation behind `SupportsProgress.progress`."""

    ids: Sequence[bytes]

    def __call__(self, session: Session) -> list[bytes | None]:
        ids, index = join_ids(self.ids)
        rows = session.rows(_SQL["progress"], {"ids": ids, "index": index})
        return in_order(
            len(self.ids), ((key, None if word is None else as_bytes(word)) for key, word in rows)
        )


def _answered(count: int, rows: Sequence[Row], cut: bool) -> int:
    """Return how many of the ids are answered by rows that begin with their numbers."""
    return rows[-1][0] + 1 if cut else count


def in_order(count: int, found: Iterable[Any]) -> list[Any]:
    """Return answers in the order of their numbers, with None for those that are missing."""
    by_number = dict(found)
    return [by_number.get(number) for number in range(count)]


@record
class Known:
    """The operation behind `SupportsResults.known`."""

    ids: Sequence[bytes]

    def __call__(self, session: Session) -> list[bool]:
        ids, index = join_ids(self.ids)
        found = set(orjson.loads(session.rows(_SQL["known"], {"ids": ids, "index": index})[0][0]))
        return [number in found for number in range(len(self.ids))]


def ended(session: Session, ids: Collection[bytes]) -> set[bytes]:
    """Return the IDs of the messages that have ended."""
    listed = list(ids)
    joined, index = join_ids(listed)
    row = session.rows(_SQL["ended"], {"ids": joined, "index": index})[0]
    return {listed[number] for number in orjson.loads(row[0])}


@record
class SetPaused:
    """The operation behind `SupportsPause.pause` and `resume`."""

    queue: str
    paused: bool

    def __call__(self, session: Session) -> None:
        key = session.used_queue_key(self.queue) if self.paused else session.queue_key(self.queue)
        if key is not None:
            session.run(_SQL["pause"], {"queue": key, "paused": self.paused})


@record
class Paused:
    """The operation behind `SupportsPause.paused`."""

    def __call__(self, session: Session) -> frozenset[str]:
        return frozenset(str(row[0]) for row in session.rows(_SQL["paused"], {}))


@record
class RecordWorker:
    """The operation behind `SupportsWorkers.record_worker`."""

    worker: WorkerInfo
    ttl: float

    def __call__(self, session: Session) -> None:
        session.run(
            _SQL["record_worker"],
            {
                "id": self.worker.id,
                "description": orjson.dumps(self.worker).decode(),
                "ends_at": session.now + micros(self.ttl),
            },
        )


@record
class ForgetWorker:
    """The operation behind `SupportsWorkers.forget_worker`."""

    worker_id: str

    def __call__(self, session: Session) -> None:
        session.run(_SQL["forget_worker"], {"id": self.worker_id})


@record
class Workers:
    """The operation behind `SupportsWorkers.workers`."""

    def __call__(self, session: Session) -> list[WorkerInfo]:
        found = []
        for row in session.rows(_SQL["workers"], {}):
            try:
                found.append(worker_of(orjson.loads(row[0])))
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                log.warning(
                    "The record of a worker in %s is damaged: %s", session.settings.path, error
                )
        return found


def numbers(rows: Sequence[Row]) -> str:
    """Return the first column as a JSON array."""
    return json_list(row[0] for row in rows)
