"""Changes of messages that wait."""

from collections.abc import Sequence
from hashlib import sha256

from asynctasq.contracts.capabilities.move import Changes
from asynctasq.driverkit.changes import check_changes, edited
from asynctasq.driverkit.packing import ID_BYTES
from asynctasq.driverkit.sql import pack_row, rank
from asynctasq.driverkit.times import micros
from asynctasq.errors import DriverError
from asynctasq.message import Message
from asynctasq_postgres.inspection import found_rows
from asynctasq_postgres.rows import read_message
from asynctasq_postgres.server import Row, Server

TRIES = 10
"""Times that a message is read again because another call has changed it meanwhile."""
_WAITING = (2, 3)


async def edit(
    server: Server, ids: Sequence[bytes], changes: Changes
) -> tuple[list[bool], set[str]]:
    """Change messages that wait; return which do, and the queues in which they are now."""
    check_changes(changes)
    left = sorted({one for one in ids if len(one) == ID_BYTES})
    done: set[bytes] = set()
    queues: set[str] = set()
    for _ in range(TRIES):
        found = await _waiting(server, left)
        if not found:
            return [one in done for one in ids], queues
        for number in await _write(server, found, changes):
            message, _ = found[number - 1]
            done.add(message.id)
            queues.add(message.queue if changes.queue is None else changes.queue)
        left = [message.id for message, _ in found if message.id not in done]
        if not left:
            return [one in done for one in ids], queues
    raise DriverError(f"{len(left)} messages were changed by other calls all the time. Try again.")


async def _waiting(server: Server, ids: Sequence[bytes]) -> list[tuple[Message, Row]]:
    """Return the messages that wait and are not damaged, with their rows."""
    found: list[tuple[Message, Row]] = []
    for _, row in await found_rows(server, "find", ids, body=6):
        if row[7] in _WAITING:
            message, damage = read_message(row[3], row[4], row[5], row[6])
            if damage is None:
                found.append((message, row))
    return found


async def _write(
    server: Server, found: Sequence[tuple[Message, Row]], changes: Changes
) -> list[int]:
    """Change messages whose rows are as they were read; return their numbers, from 1."""
    messages = [edited(message, changes) for message, _ in found]
    packed = [pack_row(message) for message in messages]
    rows = await server.rows(
        "edit",
        server.settings.namespace,
        [message.id for message in messages],
        [sha256(bytes(row[5]) + bytes(row[6])).digest() for _, row in found],
        changes.queue,
        [rank(message.priority) for message in messages],
        [None if message.expires is None else micros(message.expires) for message in messages],
        [profile for profile, _ in packed],
        [payload for _, payload in packed],
        None if changes.due_at is None else micros(changes.due_at),
        changes.expires is not None,
        server.shift,
    )
    return [row[0] for row in rows]
