"""Changes of messages that wait."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities.move import Changes
from asynctasq.driverkit.changes import check_changes, edited, new_due_time
from asynctasq.driverkit.packing import ID_BYTES
from asynctasq.driverkit.sql import pack_row, rank
from asynctasq.driverkit.times import FOREVER, micros, seconds
from asynctasq.errors import DriverError
from asynctasq.message import Message, UniqueUntil
from asynctasq_mysql.rows import read_message
from asynctasq_mysql.statements import json_of
from asynctasq_mysql.steps import Script, Steps
from asynctasq_mysql.store import Store


async def edit(store: Store, ids: Sequence[bytes], changes: Changes) -> list[bool]:
    """Change messages that wait; return which do. A damaged one stays as it is."""
    check_changes(changes)
    named = sorted({one for one in ids if len(one) == ID_BYTES})
    if not named:
        return [False] * len(ids)
    [numbers] = await store.run(
        store.sql.inspect["queues_of_waiting"](ids=json_of(named), namespace=store.namespace)
    )
    names = dict(await store.names(row[0] for row in numbers))
    if changes.queue is not None:
        targets = await store.numbers([changes.queue], creates=True)
        names |= {number: name for name, number in targets.items()}
    done = await store.transact(lambda: _steps(store, named, names, changes))
    return [one in done for one in ids]


def _steps(
    store: Store, ids: Sequence[bytes], names: dict[int, str], changes: Changes
) -> Steps[set[bytes]]:
    """Lock the messages, change those that wait and can be read, and return their IDs."""
    sql, namespace = store.sql.inspect, store.namespace
    clock, found = yield Script(
        [
            store.sql.enqueue["now"](store.offset),
            sql["lock_waiting"](ids=json_of(ids), namespace=namespace),
        ]
    )
    now = clock.rows[0][0]
    queues = {name: number for number, name in names.items()}
    done: set[bytes] = set()
    texts: list[str] = []
    for number, queue, profile, payload, stored_due_at, stored_sort_at, started in found.rows:
        message_id = ids[number - 1]
        message, damage = read_message(message_id, names.get(queue, ""), profile, payload)
        if damage is not None:
            continue
        done.add(message_id)
        message = edited(message, changes)
        due_at, sort_at = stored_due_at, stored_sort_at
        if changes.due_at is not None:
            due_at = micros(new_due_time(seconds(stored_due_at), changes, seconds(now)))
            if due_at != stored_due_at:
                sort_at = due_at
        times = (due_at, sort_at, now)
        texts.append(_update(store, message, queues[message.queue], times, bool(started), changes))
    yield Script(texts, is_last=True)
    return done


def _update(
    store: Store,
    message: Message,
    queue: int,
    times: tuple[int, int, int],
    started: bool,
    changes: Changes,
) -> str:
    due_at, sort_at, now = times
    profile, payload = pack_row(message)
    if len(payload) + len(profile) > store.largest:
        raise DriverError(f"A message must have at most {store.largest} bytes, got {len(payload)}.")
    expires = None if message.expires is None else micros(message.expires)
    if changes.expires is not None:
        unique = message.unique
        # Of a message that was leased, such a key is free: it must not be held again.
        started = started and unique is not None and unique.until is UniqueUntil.STARTED
    alarm, alarm_at = None, None
    if due_at > now:
        alarm, alarm_at = 2, due_at
    elif expires is not None and not started:
        alarm, alarm_at = 3, due_at + min(expires, FOREVER)
    return store.sql.inspect["edit_waiting"](
        id=message.id,
        namespace=store.namespace,
        queue=queue,
        state=2 if due_at > now else 3,
        priority_rank=rank(message.priority),
        alarm=alarm,
        alarm_at=alarm_at,
        due_at=due_at,
        sort_at=sort_at,
        started=int(started),
        expires=expires,
        size=len(payload),
        profile=profile,
        payload=payload,
    )
