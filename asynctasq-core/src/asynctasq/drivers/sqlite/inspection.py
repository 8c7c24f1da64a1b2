"""What can be seen: counts, snapshots, outcomes, progress, workers; and pauses."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson

from asynctasq.contracts.capabilities import Outcome, Page, QueueInfo, Snapshot, WorkerInfo
from asynctasq.contracts.driver import QueueCounts
from asynctasq.driverkit.packing import damage_info
from asynctasq.drivers.sqlite.codec import (
    STATES,
    join_ids,
    json_list,
    log,
    micros,
)
from asynctasq.drivers.sqlite.leasing import NEVER
from asynctasq.drivers.sqlite.paging import FIRST, read_cursor, read_page
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

_IS_STATE = {
    State.SCHEDULED: "state = 2 AND due_at > :now",
    State.BLOCKED: "state = 4",
    State.READY: "(state = 3 OR state = 2 AND due_at <= :now)",
    State.LEASED: "state = 5",
    State.DEAD: "reason IS NOT NULL",
}
_INDEXES = {
    State.SCHEDULED: "messages_scheduled",
    State.LEASED: "messages_leased",
    State.DEAD: "messages_dead",
}
FEW = 10_000
"""So many messages in one state are rather sorted than looked for among all others."""
_COLUMNS = (
    "messages.id, queue, profile, payload, state, attempt, lost, enqueued_at, due_at,"
    " CASE state WHEN 5 THEN owner END, cancelling, error"
)
_SQL = queries("inspect")
_FIND = _SQL["find"].replace("{columns}", f"named.key, {_COLUMNS}")


def _browse_by(index: str, state: State) -> str:
    browse = _SQL["browse"].replace("{columns}", _COLUMNS).replace("{index}", index)
    return browse.replace("{is_state}", _IS_STATE[state])


_BROWSE = {state: _browse_by("messages_by_enqueue", state) for state in _IS_STATE}
_BROWSE_FEW = {state: _browse_by(index, state) for state, index in _INDEXES.items()}
_ARE_FEW = {
    state: _SQL["are_few"].replace("{index}", index).replace("{is_state}", _IS_STATE[state])
    for state, index in _INDEXES.items()
}


@record
class Count:
    """The operation behind `Driver.count`."""

    queue: str

    def __call__(self, session: Session) -> QueueCounts:
        key = session.queue_key(self.queue)
        if key is None:
            return QueueCounts()
        ready, scheduled, leased, dead, _, _ = _count(session, key)
        return QueueCounts(ready, scheduled, 0, leased, dead)


@record
class Queues:
    """The operation behind `SupportsInspect.queues`."""

    def __call__(self, session: Session) -> list[QueueInfo]:
        infos = []
        for key, name in session.rows(_SQL["queues"], {}):
            ready, scheduled, leased, dead, paused, oldest = _count(session, key)
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
                    )
                )
        return infos


def _count(session: Session, key: int) -> Row:
    return session.rows(_SQL["count"], {"queue": key, "never": NEVER})[0]


@record
class Find:
    """A step of `SupportsInspect.find`; answers as many of the ids as its bound in bytes allows."""

    ids: Sequence[bytes]

    def __call__(self, session: Session) -> list[Snapshot | None]:
        ids, index = join_ids(self.ids)
        rows, cut = session.rows_within(_FIND, {"ids": ids, "index": index}, value=4)
        owners = _owners(session)
        return in_order(
            _answered(len(self.ids), rows, cut),
            ((row[0], _snapshot(session, row[1:], owners)) for row in rows),
        )


@record
class Browse:
    """The operation behind `SupportsInspect.browse`."""

    state: State
    queue: str | None
    since: float | None
    until: float | None
    limit: int
    cursor: str | None

    def __call__(self, session: Session) -> Page[Snapshot]:
        sql = self._query(session)
        key = None if self.queue is None else session.queue_key(self.queue)
        if sql is None or (key is None and self.queue is not None):
            return Page([])
        after, after_id = (FIRST, b"") if self.cursor is None else read_cursor(self.cursor)
        owners = _owners(session)
        return read_page(
            session,
            sql,
            {
                "queue": key,
                "after": after,
                "after_id": after_id,
                "since": FIRST if self.since is None else micros(self.since),
                "until": None if self.until is None else micros(self.until),
            },
            limit=self.limit,
            time=7,
            descending=False,
            make=lambda row: _snapshot(session, row, owners),
        )

    def _query(self, session: Session) -> str | None:
        are_few = _ARE_FEW.get(self.state)
        if are_few is not None and session.rows(are_few, {"few": FEW})[0][0] < FEW:
            return _BROWSE_FEW[self.state]
        return _BROWSE.get(self.state)


def _owners(session: Session) -> dict[Any, str]:
    """Return the names of owners."""
    return {key: str(name) for key, name in session.rows(_SQL["owner_names"], {})}


def _snapshot(session: Session, row: Row, owners: dict[Any, str]) -> Snapshot:
    message_id, queue, profile, payload, state, attempt, lost, enqueued_at, due_at = row[:9]
    owner, cancelling, error = row[9:]
    message, damage = read_message(message_id, session.queue_name(queue), profile, payload)
    return Snapshot(
        message=message,
        state=as_state(state, due_at, session.now),
        attempt=as_count(attempt),
        lost=as_count(lost),
        enqueued_at=as_micros(enqueued_at) / 1e6,
        due_at=as_micros(due_at) / 1e6,
        owner=owners.get(owner),
        cancelling=cancelling == 1,
        error=damage or read_error(error),
    )


@record
class Results:
    """A step of `SupportsResults.results`; answers as many of the ids as its bound in bytes allows."""

    ids: Sequence[bytes]

    def __call__(self, session: Session) -> list[Outcome | None]:
        ids, index = join_ids(self.ids)
        parameters = {"ids": ids, "index": index}
        rows, cut = session.rows_within(_SQL["outcomes"], parameters, value=3)
        return in_order(
            _answered(len(self.ids), rows, cut),
            ((row[0], _outcome(self.ids[row[0]], row[1:])) for row in rows),
        )


def _outcome(message_id: bytes, row: Row) -> Outcome:
    stored, finished_at, payload, reason, error = row
    state = STATES.get(stored)
    ended_at = as_micros(finished_at) / 1e6
    if state is State.COMPLETED or state is State.CANCELLED:
        return Outcome(message_id, state, ended_at, None if payload is None else as_bytes(payload))
    if state is State.DEAD:
        return Outcome(message_id, State.DEAD, ended_at, None, as_reason(reason), read_error(error))
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
    """Answers by their numbers, with None for those that are missing."""
    by_number = dict(found)
    return [by_number.get(number) for number in range(count)]


def ended(session: Session, ids: Collection[bytes]) -> set[bytes]:
    """Which of the messages have ended."""
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
                found.append(_worker(row[0]))
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                log.warning(
                    "The record of a worker in %s is damaged: %s", session.settings.path, error
                )
        return found


def _worker(description: str) -> WorkerInfo:
    fields: dict[str, Any] = orjson.loads(description)
    queues = tuple(fields.pop("queues"))
    tasks = tuple(fields.pop("tasks", ()))
    return WorkerInfo(queues=queues, tasks=tasks, **fields)


def numbers(rows: Sequence[Row]) -> str:
    """The first column as a JSON array."""
    return json_list(row[0] for row in rows)
