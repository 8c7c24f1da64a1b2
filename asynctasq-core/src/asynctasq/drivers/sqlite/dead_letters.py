"""Dead letters, and purging queues."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import DeadLetter, Page
from asynctasq.driverkit.numbers import check_numbers
from asynctasq.driverkit.packing import check_id, is_plain, pack_profile
from asynctasq.drivers.sqlite.codec import micros, pack_payload, rank
from asynctasq.drivers.sqlite.enqueueing import hold_key, key_holder
from asynctasq.drivers.sqlite.inspection import numbers
from asynctasq.drivers.sqlite.paging import BEHIND_ALL, read_cursor, read_page
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

PURGE_BOUND = 10_000
"""Messages that one operation purges, so that others come in between."""

_COLUMNS = "id, queue, profile, payload, reason, error, attempt, lost, enqueued_at, finished_at"
_SQL = queries("inspect")
_LIST = _SQL["dead_letters"].replace("{columns}", _COLUMNS)
_LIST_OF_QUEUE = _SQL["dead_letters_of_queue"].replace("{columns}", _COLUMNS)
_PURGEABLE = {
    State.READY: _SQL["purgeable_ready"],
    State.SCHEDULED: _SQL["purgeable_scheduled"],
    State.DEAD: _SQL["purgeable_dead"],
}


@record
class DeadLetters:
    """The operation behind `SupportsDeadLetters.dead_letters`."""

    queue: str | None
    limit: int
    cursor: str | None

    def __call__(self, session: Session) -> Page[DeadLetter]:
        key = None if self.queue is None else session.queue_key(self.queue)
        if key is None and self.queue is not None:
            return Page([])
        before, before_id = (BEHIND_ALL, b"") if self.cursor is None else read_cursor(self.cursor)
        return read_page(
            session,
            _LIST if key is None else _LIST_OF_QUEUE,
            {"queue": key, "before": before, "before_id": before_id},
            limit=self.limit,
            time=9,
            descending=True,
            make=lambda row: _dead_letter(session, row),
        )


def _dead_letter(session: Session, row: Row) -> DeadLetter:
    message_id, queue, profile, payload, reason, error, attempts, lost, enqueued_at, died_at = row
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
        plain = is_plain(message)
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
                "profile": pack_profile(
                    message.task,
                    message.priority,
                    message.max_attempts,
                    message.max_lost,
                    message.result_ttl,
                    message.expires,
                    plain,
                ),
                "payload": pack_payload(message, plain=plain),
            },
        )
        return session.run(_SQL["requeue"], {"id": message.id}) == 1


def _take_key_again(session: Session, message_id: bytes, unique: Unique | None) -> bool:
    """Hold the unique key once more; False if another message has it."""
    if unique is None or unique.until is UniqueUntil.PERIOD:
        return True
    holder = key_holder(session, unique.key)
    if holder is not None and holder != message_id:
        return False
    hold_key(session, message_id, unique)
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
