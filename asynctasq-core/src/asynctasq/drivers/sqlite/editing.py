"""Changing messages that wait."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities.move import Changes
from asynctasq.driverkit.changes import edited, new_due_time
from asynctasq.driverkit.packing import ID_BYTES
from asynctasq.driverkit.sql import pack_row, rank
from asynctasq.driverkit.times import micros, seconds
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_micros, read_message
from asynctasq.drivers.sqlite.session import Session
from asynctasq.records import record

_SQL = queries("inspect")


@record
class Edit:
    """The operation behind `SupportsMove.edit`. A damaged message stays as it is."""

    ids: Sequence[bytes]
    changes: Changes

    def __call__(self, session: Session) -> list[bool]:
        return [self._edit(session, message_id) for message_id in self.ids]

    def _edit(self, session: Session, message_id: bytes) -> bool:
        found = session.row(_SQL["waiting"], {"id": message_id})
        if found is None or len(message_id) != ID_BYTES:
            return False
        queue, profile, payload, stored_due_at, expires_at = found
        message, damage = read_message(message_id, session.queue_name(queue), profile, payload)
        if damage is not None:
            return False
        changes, now = self.changes, session.now
        message = edited(message, changes)
        due_at = as_micros(stored_due_at)
        if changes.due_at is not None:
            due_at = micros(new_due_time(seconds(due_at), changes, seconds(now)))
        expires = None if message.expires is None else micros(message.expires)
        if expires is not None and (expires_at is not None or changes.expires is not None):
            expires_at = due_at + expires
        profile, payload = pack_row(message)
        session.run(
            _SQL["edit_waiting"],
            {
                "id": message_id,
                "queue": session.used_queue_key(message.queue),
                "rank": rank(message.priority),
                "due_at": due_at,
                "expires": expires,
                "expires_at": expires_at,
                "profile": profile,
                "payload": payload,
            },
        )
        return True
