"""What can be seen: counts, snapshots, outcomes, progress, workers; and pauses."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

import orjson

from asynctasq.contracts.capabilities import Outcome, Page, QueueInfo, Snapshot, WorkerInfo
from asynctasq.contracts.driver import QueueCounts
from asynctasq.contracts.packing import ID_BYTES
from asynctasq.drivers.sqlite.codec import (
    FOREVER,
    STATES,
    join_ids,
    json_list,
    micros,
    unpack_error,
    unpack_row,
)
from asynctasq.drivers.sqlite.leasing import NEVER
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.session import Row, Session
from asynctasq.errors import DriverError
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

T = TypeVar("T")


def make_page(
    rows: Sequence[Row], limit: int, make: Callable[[Row], T], position: Callable[[T], float]
) -> Page[T]:
    """A page of a listing of which `limit` + 1 rows were read; each begins with the id."""
    items = [make(row) for row in rows[: max(limit, 0)]]
    if len(rows) <= limit or not items:
        return Page(items)
    return Page(items, f"{micros(position(items[-1]))}:{rows[limit - 1][0].hex()}")


def read_cursor(cursor: str) -> tuple[int, bytes]:
    """The place that a cursor stands for.

    Raises:
        DriverError: it was not made by this driver.
    """
    time, _, message_id = cursor.partition(":")
    try:
        place = int(time), bytes.fromhex(message_id)
    except ValueError as error:
        raise DriverError(
            f"{cursor!r} is no cursor of this listing. Pass on the one of a `Page`."
        ) from error
    if len(place[1]) != ID_BYTES:
        raise DriverError(f"{cursor!r} is no cursor of this listing. Pass on the one of a `Page`.")
    return place


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
                        name=name,
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
    """The operation behind `SupportsInspect.find`."""

    ids: Sequence[bytes]

    def __call__(self, session: Session) -> list[Snapshot | None]:
        ids, index = join_ids(self.ids)
        rows = session.rows(_FIND, {"ids": ids, "index": index})
        owners = _owners(session, (row[10] for row in rows))
        return in_order(
            len(self.ids), ((row[0], _snapshot(session, row[1:], owners)) for row in rows)
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
        after, after_id = (-FOREVER, b"") if self.cursor is None else read_cursor(self.cursor)
        rows = session.rows(
            sql,
            {
                "queue": key,
                "after": after,
                "after_id": after_id,
                "since": -FOREVER if self.since is None else micros(self.since),
                "until": FOREVER if self.until is None else micros(self.until),
                "limit": max(self.limit, 0) + 1,
            },
        )
        owners = _owners(session, (row[9] for row in rows))
        return make_page(
            rows,
            self.limit,
            lambda row: _snapshot(session, row, owners),
            lambda snapshot: snapshot.enqueued_at,
        )

    def _query(self, session: Session) -> str | None:
        are_few = _ARE_FEW.get(self.state)
        if are_few is not None and session.rows(are_few, {"few": FEW})[0][0] < FEW:
            return _BROWSE_FEW[self.state]
        return _BROWSE.get(self.state)


def _owners(session: Session, keys: Iterable[int | None]) -> dict[int, str]:
    """The names of owners, read only if there are any."""
    return dict(session.rows(_SQL["owner_names"], {})) if any(keys) else {}


def _snapshot(session: Session, row: Row, owners: dict[int, str]) -> Snapshot:
    (message_id, queue, profile, payload, state, attempt, lost, enqueued_at, due_at, owner) = row[
        :10
    ]
    found = STATES[state]
    if found is State.SCHEDULED and due_at <= session.now:
        found = State.READY
    return Snapshot(
        message=unpack_row(message_id, session.queue_name(queue), profile, payload),
        state=found,
        attempt=attempt,
        lost=lost,
        enqueued_at=enqueued_at / 1e6,
        due_at=due_at / 1e6,
        owner=owners.get(owner),
        cancelling=bool(row[10]),
        error=unpack_error(row[11]),
    )


@record
class Results:
    """The operation behind `SupportsResults.results`."""

    ids: Sequence[bytes]

    def __call__(self, session: Session) -> list[Outcome | None]:
        ids, index = join_ids(self.ids)
        rows = session.rows(_SQL["outcomes"], {"ids": ids, "index": index})
        return in_order(
            len(self.ids), ((row[0], _outcome(self.ids[row[0]], row[1:])) for row in rows)
        )


def _outcome(message_id: bytes, row: Row) -> Outcome:
    state, finished_at, payload, reason, error = row
    if STATES[state] is State.DEAD:
        return Outcome(
            message_id, State.DEAD, finished_at / 1e6, None, Reason(reason), unpack_error(error)
        )
    return Outcome(message_id, STATES[state], finished_at / 1e6, payload)


@record
class Progress:
    """The operation behind `SupportsProgress.progress`."""

    ids: Sequence[bytes]

    def __call__(self, session: Session) -> list[bytes | None]:
        ids, index = join_ids(self.ids)
        rows = session.rows(_SQL["progress"], {"ids": ids, "index": index})
        return in_order(len(self.ids), rows)


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
        return frozenset(row[0] for row in session.rows(_SQL["paused"], {}))


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
            fields: dict[str, Any] = orjson.loads(row[0])
            queues = tuple(fields.pop("queues"))
            found.append(WorkerInfo(queues=queues, **fields))
        return found


def numbers(rows: Sequence[Row]) -> str:
    """The first column as a JSON array."""
    return json_list(row[0] for row in rows)
