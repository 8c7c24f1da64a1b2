"""Changes of messages that wait."""

from collections.abc import Sequence
from hashlib import sha1
from typing import TYPE_CHECKING

from asynctasq.contracts.capabilities.move import Changes
from asynctasq.driverkit.changes import check_changes, edited
from asynctasq.errors import DriverError
from asynctasq.message import PRIORITY_HIGHEST, State
from asynctasq_redis.codec import blob_start, pack_blob, text_bytes, whole_micros
from asynctasq_redis.inspection import find_rows

if TYPE_CHECKING:
    from asynctasq_redis.reading import Found
    from asynctasq_redis.server import Server

TRIES = 10
"""Times that a message is read again because another call has changed it meanwhile."""
_WAITING = (State.READY, State.SCHEDULED)


async def edit(server: "Server", offset: int, ids: Sequence[bytes], changes: Changes) -> list[bool]:
    """Change messages that wait; return which do."""
    check_changes(changes)
    answers: dict[bytes, bool] = {}
    left = list(dict.fromkeys(ids))
    for _ in range(TRIES):
        again: list[bytes] = []
        async for rows in find_rows(server, offset, left):
            waiting = {
                message_id: found
                for message_id, found in rows
                if found is not None and found.state in _WAITING and found.damage is None
            }
            answers.update({message_id: False for message_id, _ in rows})
            if not waiting:
                continue
            answer = await server.run("edit", offset, *_arguments(waiting, changes))
            for message_id, code in zip(waiting, answer.decode(), strict=True):
                answers[message_id] = code == "1"
                if code == "R":
                    again.append(message_id)
        if not again:
            return [answers[message_id] for message_id in ids]
        left = again
    raise DriverError(f"{len(left)} messages were changed by other calls all the time. Try again.")


def _arguments(waiting: "dict[bytes, Found]", changes: Changes) -> list[bytes | int]:
    due_at = changes.due_at
    arguments: list[bytes | int] = [
        b"" if due_at is None else whole_micros(due_at),
        int(changes.expires is not None),
    ]
    for message_id, found in waiting.items():
        message = edited(found.message, changes)
        arguments += (
            message_id,
            sha1(_stored(found), usedforsecurity=False).hexdigest().encode(),
            min(max(message.priority, 0), PRIORITY_HIGHEST),
            b"" if changes.queue is None else text_bytes(changes.queue),
            b"" if message.expires is None else whole_micros(message.expires),
            pack_blob(message),
        )
    return arguments


def _stored(found: "Found") -> bytes:
    """Return the bytes of a message behind its head, its queue and its unique key."""
    value: bytes = found.row[0]
    return value[blob_start(value) :]
