"""Dead letters, and purging queues."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import DeadLetter, Page
from asynctasq.driverkit.numbers import check_numbers
from asynctasq.driverkit.packing import check_id
from asynctasq.driverkit.sql import pack_row, rank
from asynctasq.driverkit.times import micros
from asynctasq.drivers.sqlite.enqueueing import hold_key, key_holder
from asynctasq.drivers.sqlite.inspection import numbers
from asynctasq.drivers.sqlite.listing import (
    Listing,
    of_one,
    packed_text,
    read_page,
    task_parameters,
)
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import (
    as_count,
    as_micros,
    as_reason,
    read_error,
    read_message,
)
from asynctasq.drivers.sqlite.session import Row, Session
from asynctasq.message import Message, State, Unique, UniqueUntil
from asynctasq.records import record
from asynctasq.settlement import Reason

PURGE_BOUND = 10_000
"""Messages that one operation purges, so that others come in between."""

_COLUMNS = (
    "messages.id, queue, profile, payload, reason, error, attempt, lost, enqueued_at, finished_at"
)
_SQL = queries("inspect")
_LISTINGS = queries("listings")
_FILTER = f"{_LISTINGS['filter']} AND {_LISTINGS['filter_of_dead']}"
_ALL_BYTES = bytes(range(256))
_PURGEABLE = {
    State.READY: _SQL["purgeable_ready"],
    State.SCHEDULED: _SQL["purgeable_scheduled"],
    State.DEAD: _SQL["purgeable_dead"],
}


@record
class DeadLetters:
    """The operation behind `SupportsDeadLetters.dead_letters`."""

    queue: str | None
    task: str | None
    reason: Reason | None
    error: str | None
    limit: int
    cursor: str | None

    def __call__(self, session: Session) -> Page[DeadLetter]:
        key = None if self.queue is None else session.queue_key(self.queue)
        if key is None and self.queue is not None:
            return Page([])
        stretches = of_one("walk_dead") if key is None else of_one("walk_dead_of_queue", key)
        return read_page(
            session,
            Listing("letters", _COLUMNS, stretches, newest_first=True),
            _FILTER,
            {
                "since": None,
                "until": None,
                **task_parameters(self.task),
                "reason": None if self.reason is None else self.reason.value,
                **_error_parameters(self.error),
            },
            limit=max(self.limit, 0),
            cursor=self.cursor,
            make=lambda row: _dead_letter(session, row),
        )


def _error_parameters(error: str | None) -> dict[str, bytes | None]:
    """Return the parameters of the filter by the type of the error."""
    if error is None:
        return {"error": None, "error_ending": None, "bytes": None}
    # A name without a dot may be the last part of a type.
    ending = b"" if "." in error else f".{error}".encode("utf-8", "surrogatepass")
    return {
        "error": packed_text(error),
        "error_ending": ending or None,
        "bytes": _ALL_BYTES,
    }


def _dead_letter(session: Session, row: Row) -> DeadLetter:
    message_id, queue, profile, payload, reason, error, attempts, lost, enqueued_at, died_at = row[
        :10
    ]
    message, damage = read_message(message_id, session.queue_name(queue), profile, payload)
    return DeadLetter(
        message=message,
        reason=as_reason(reason),
        error=damage or read_error(error),
        attempts=as_count(attempts),
        lost=as_count(lost),
        enqueued_at=as_micros(enqueued_at) / 1e6,
        died_at=as_micros(died_at) / 1e6,
    )


@record
class Requeue:
    """The operation behind `SupportsDeadLetters.requeue`. A damaged message stays dead."""

    ids: Sequence[bytes]

    def __call__(self, session: Session) -> list[bool]:
        return [_requeue(session, message_id) for message_id in self.ids]


def _requeue(session: Session, message_id: bytes) -> bool:
    here = {"id": message_id}
    row = session.row(_SQL["dead"], here)
    if row is None:
        return False
    queue, profile, payload = row
    message, damage = read_message(message_id, session.queue_name(queue), profile, payload)
    if damage is not None or not _take_key_again(session, message_id, message.unique):
        return False
    return session.run(_SQL["requeue"], here) == 1


@record
class RequeueEdited:
    """The operation behind `SupportsDeadLetters.requeue_edited`."""

    message: Message

    def __call__(self, session: Session) -> bool:
        message = self.message
        check_id(message.id)
        check_numbers(message)
        if session.row(_SQL["dead"], {"id": message.id}) is None:
            return False
        if not _take_key_again(session, message.id, message.unique):
            return False
        profile, payload = pack_row(message)
        session.run(
            _SQL["edit"],
            {
                "id": message.id,
                "queue": session.used_queue_key(message.queue),
                "rank": rank(message.priority),
                "expires": None if message.expires is None else micros(message.expires),
                "result_ttl": micros(message.result_ttl),
                "max_lost": message.max_lost,
                "unique_key": None if message.unique is None else message.unique.key,
                "profile": profile,
                "payload": payload,
            },
        )
        return session.run(_SQL["requeue"], {"id": message.id}) == 1


def _take_key_again(session: Session, message_id: bytes, unique: Unique | None) -> bool:
    """Hold the unique key once more; False if another message has it."""
    if unique is None or unique.until is UniqueUntil.PERIOD:
        return True
    holder = session.follow(key_holder(unique.key))
    if holder is not None and holder != message_id:
        return False
    session.follow(hold_key(message_id, unique, session.now))
    return True


@record
class DeleteDead:
    """The operation behind `SupportsDeadLetters.delete_dead`."""

    ids: Sequence[bytes]

    def __call__(self, session: Session) -> list[bool]:
        return [session.run(_SQL["delete_dead"], {"id": one}) == 1 for one in self.ids]


@record
class Purge:
    """A bounded piece of `SupportsPurge.purge`, for one state: how many were deleted."""

    queue: str
    state: State

    def __call__(self, session: Session) -> int:
        key = session.queue_key(self.queue)
        sql = _PURGEABLE.get(self.state)
        if key is None or sql is None:
            return 0
        doomed = {"doomed": numbers(session.rows(sql, {"queue": key, "bound": PURGE_BOUND}))}
        session.run(_SQL["purge_keys"], doomed)
        return session.run(_SQL["purge"], doomed)
