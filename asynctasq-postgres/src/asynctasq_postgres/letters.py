"""Dead letters, and purging queues."""

from collections.abc import Collection, Sequence

from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.sql import pack_row, rank
from asynctasq.driverkit.times import micros
from asynctasq.message import Message, State, UniqueUntil
from asynctasq_postgres.enqueueing import UNTIL, hashed
from asynctasq_postgres.inspection import IDS_AT_ONCE, joined
from asynctasq_postgres.rows import read_message
from asynctasq_postgres.server import Server

PURGED_AT_ONCE = 5_000
"""Messages that one call purges, so that others come in between."""
DEAD = 6
_PURGEABLE = {State.SCHEDULED: 2, State.READY: 3, State.DEAD: DEAD}


async def requeue(server: Server, ids: Sequence[bytes]) -> tuple[list[bool], list[str]]:
    """Make dead letters ready again; return the answers, and the queues. A damaged message stays dead."""
    sound = dict.fromkeys(ids, False)
    queues: dict[str, None] = {}
    named = list(sound)
    at = 0
    while at < len(named):
        part = named[at : at + IDS_AT_ONCE]
        rows = await server.rows(
            "find", server.settings.namespace, joined(part), BYTES_AT_ONCE, server.shift
        )
        end = len(part)
        for row in rows:
            if row[6] is None:
                end = row[0] - 1
                break
            if row[7] == DEAD and read_message(row[3], row[4], row[5], row[6])[1] is None:
                sound[part[row[0] - 1]] = True
                queues[row[4]] = None
        at += end
    wanted = [message_id for message_id, is_sound in sound.items() if is_sound]
    done: set[bytes] = set()
    if wanted:
        numbers = await server.value(
            "requeue", server.settings.namespace, joined(wanted), server.shift
        )
        done = {wanted[number - 1] for number in numbers}
    return _once_each(ids, done), list(queues)


def _once_each(ids: Sequence[bytes], done: set[bytes]) -> list[bool]:
    """Return True at the first place of each ID that is done."""
    left = set(done)
    answers: list[bool] = []
    for message_id in ids:
        answers.append(message_id in left)
        left.discard(message_id)
    return answers


async def requeue_edited(server: Server, message: Message) -> bool:
    """Make a dead letter ready again with other fields."""
    profile, payload = pack_row(message)
    unique = message.unique
    answer: bool = await server.value(
        "requeue_edited",
        server.settings.namespace,
        message.id,
        message.queue,
        rank(message.priority),
        None if message.expires is None else micros(message.expires),
        micros(message.result_ttl),
        message.max_lost,
        None if unique is None else hashed(unique),
        None if unique is None else UNTIL[UniqueUntil(unique.until)],
        profile,
        payload,
        server.shift,
    )
    return answer


async def delete(server: Server, ids: Sequence[bytes]) -> list[bool]:
    """Delete dead letters for good."""
    numbers = await server.value(
        "delete_dead", server.settings.namespace, joined(list(dict.fromkeys(ids)))
    )
    named = list(dict.fromkeys(ids))
    return _once_each(ids, {named[number - 1] for number in numbers})


async def purge(server: Server, queue: str, states: Collection[State]) -> int:
    """Delete the messages of a queue in some states, a piece at a time; return how many."""
    total = 0
    for state in states:
        stored = _PURGEABLE.get(state)
        purged = PURGED_AT_ONCE if stored is not None else 0
        while purged >= PURGED_AT_ONCE:
            purged = await server.value(
                "purge", server.settings.namespace, queue, stored, server.shift
            )
            total += purged
    return total
