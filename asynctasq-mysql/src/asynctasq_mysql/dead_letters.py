"""Requeueing and deleting dead letters, and purging queues.

Each call locks unique keys first, and messages afterwards, as an enqueue does.
"""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from asynctasq.driverkit.numbers import check_numbers
from asynctasq.driverkit.packing import ID_BYTES, check_id
from asynctasq.driverkit.sql import pack_row, rank
from asynctasq.driverkit.times import micros
from asynctasq.errors import DriverError
from asynctasq.message import Message, State, Unique, UniqueUntil
from asynctasq_mysql.keys import FREE, NO_HOLDER, Key, key_hash
from asynctasq_mysql.rows import read_message
from asynctasq_mysql.statements import json_of, json_rows, value_rows
from asynctasq_mysql.steps import Script, Steps
from asynctasq_mysql.store import Store

PURGE_BOUND = 5_000
"""Messages that one piece of a purge deletes, so that other calls run in between."""
_PURGES = {
    State.READY: (("purgeable", 3), ("purgeable_due", 2)),
    State.SCHEDULED: (("purgeable_scheduled", 2),),
    State.DEAD: (("purgeable", 6),),
}


async def requeue(store: Store, ids: Sequence[bytes]) -> list[bool]:
    """Make dead letters ready again. A damaged message stays dead."""
    named = sorted({one for one in ids if len(one) == ID_BYTES})
    [numbers] = await store.run(
        "SELECT 1"
        if not named
        else store.sql.inspect["queues_of_dead"](ids=json_of(named), namespace=store.namespace)
    )
    names = dict(await store.names(row[0] for row in numbers)) if named else {}
    done = await store.transact(lambda: _requeue_steps(store, named, names, None))
    return [ids.index(one) == place and one in done for place, one in enumerate(ids)]


async def requeue_edited(store: Store, message: Message) -> bool:
    """Requeue the dead letter with the ID of a message, and replace every other field."""
    check_id(message.id)
    check_numbers(message)
    [found] = await store.run(
        store.sql.inspect["queues_of_dead"](ids=json_of([message.id]), namespace=store.namespace)
    )
    if not found:
        return False
    numbers = await store.numbers([message.queue], creates=True)
    names = {number: name for name, number in numbers.items()}
    done = await store.transact(lambda: _requeue_steps(store, [message.id], names, message))
    return message.id in done


def _requeue_steps(
    store: Store, ids: Sequence[bytes], names: dict[int, str], edited: Message | None
) -> Steps[set[bytes]]:
    """Lock the keys, then the dead letters; requeue those whose keys are free. Return their IDs."""
    sql, namespace = store.sql.inspect, store.namespace
    if edited is not None:
        hashes = [] if edited.unique is None else [key_hash(edited.unique.key)]
    else:
        [keyed] = yield Script([sql["keys_of_dead"](ids=json_of(ids), namespace=namespace)])
        hashes = sorted({bytes(row[1]) for row in keyed.rows})
    keys, now = yield from _lock_keys(store, hashes)
    [found] = yield Script([sql["lock_dead"](ids=json_of(ids), namespace=namespace)])
    texts: list[str] = []
    rows: list[tuple[bytes, int]] = []
    for number, queue, profile, payload, _ in found.rows:
        message_id = ids[number - 1]
        message, damage = read_message(message_id, names.get(queue, ""), profile, payload)
        if edited is not None:
            message, damage = edited, None
        if damage is not None or not _takes_key(keys, message_id, message.unique, now):
            continue
        if edited is not None:
            texts.append(_edit(store, edited, names))
        rows.append((message_id, rank(message.priority)))
    if rows:
        texts.append(sql["requeue"](rows=json_rows(sorted(rows)), namespace=namespace, now=now))
    changed = [key.row() for key in keys.values() if key.is_changed]
    if changed:
        texts.append(store.sql.enqueue["hold_keys"](rows=json_rows(changed), namespace=namespace))
    if keys:
        texts.append(store.sql.enqueue["drop_free_keys"](hashes=json_of(keys), namespace=namespace))
    yield Script(texts, is_last=True)
    return {message_id for message_id, _ in rows}


def _lock_keys(store: Store, hashes: Sequence[bytes]) -> Steps[tuple[dict[bytes, Key], int]]:
    """Lock keys, and return them with the time of the store."""
    sql, namespace = store.sql.enqueue, store.namespace
    texts = [sql["now"](store.offset)]
    if hashes:
        rows = value_rows((key, namespace, NO_HOLDER, FREE) for key in hashes)
        texts += [
            sql["lock_keys"](rows=rows),
            sql["keys"](hashes=json_of(hashes), namespace=namespace),
        ]
    answers = yield Script(texts)
    held = {row[0]: row[1:] for row in answers[2].rows} if hashes else {}
    keys = {key: Key(key, held.get(number)) for number, key in enumerate(hashes, 1)}
    return keys, answers[0].rows[0][0]


def _takes_key(keys: dict[bytes, Key], message_id: bytes, unique: Unique | None, now: int) -> bool:
    """Take the unique key once more; False if another message has it."""
    if unique is None or unique.until is UniqueUntil.PERIOD:
        return True
    key = keys[key_hash(unique.key)]
    if key.is_held(now) and key.holder != message_id:
        return False
    key.take(message_id, unique, now)
    key.set_holder(3, False, now)
    return True


def _edit(store: Store, message: Message, names: dict[int, str]) -> str:
    profile, payload = pack_row(message)
    if len(payload) + len(profile) > store.largest:
        raise DriverError(f"A message must have at most {store.largest} bytes, got {len(payload)}.")
    [queue] = [number for number, name in names.items() if name == message.queue]
    return store.sql.inspect["edit"](
        id=message.id,
        namespace=store.namespace,
        queue=queue,
        expires=None if message.expires is None else micros(message.expires),
        result_ttl=micros(message.result_ttl),
        max_lost=message.max_lost,
        unique_hash=None if message.unique is None else key_hash(message.unique.key),
        size=len(payload),
        profile=profile,
        payload=payload,
    )


async def delete_dead(store: Store, ids: Sequence[bytes]) -> list[bool]:
    """Delete dead letters for good, and their unique keys afterwards, which are free already."""
    gone = await store.transact(lambda: _delete_steps(store, ids))
    keyed = [(bytes(key), one) for one, key in gone.items() if key is not None]
    if keyed:
        query = store.sql.upkeep["forget_keys_of"]
        await store.run(query(rows=json_rows(sorted(keyed)), namespace=store.namespace))
    answers = []
    for one in ids:
        answers.append(one in gone)
        gone.pop(one, None)
    return answers


def _delete_steps(store: Store, ids: Sequence[bytes]) -> Steps[dict[bytes, Any]]:
    """Delete dead letters; return their IDs and the names of their unique keys."""
    sql, namespace = store.sql.inspect, store.namespace
    named = sorted({one for one in ids if len(one) == ID_BYTES})
    [found] = yield Script([sql["lock_hashes_of_dead"](ids=json_of(named), namespace=namespace)])
    gone = {named[row[0] - 1]: row[1] for row in found.rows}
    yield Script([sql["delete_dead"](ids=json_of(sorted(gone)), namespace=namespace)], is_last=True)
    return gone


async def purge(store: Store, queue: str, states: Collection[State]) -> int:
    """Delete the messages of a queue that are in some states, a piece at a time."""
    numbers = await store.numbers([queue])
    if queue not in numbers:
        return 0
    total = 0
    for state in states:
        for query, stored in _PURGES.get(state, ()):
            total += await _purge(store, numbers[queue], query, stored)
    return total


async def _purge(store: Store, queue: int, query: str, state: int) -> int:
    total = 0
    while True:
        select = store.sql.inspect[query]
        values: dict[str, Any] = {"queue": queue, "bound": PURGE_BOUND}
        if query == "purgeable":
            values["state"] = state
        [rows] = await store.run(select(store.offset, **values))
        doomed = {bytes(row[0]): row[1] for row in rows}
        if not doomed:
            return total
        gone = await store.transact(partial(_purge_steps, store, queue, state, doomed))
        total += gone
        if len(doomed) < PURGE_BOUND or not gone:
            return total


def _purge_steps(store: Store, queue: int, state: int, doomed: dict[bytes, Any]) -> Steps[int]:
    """Lock the keys, then the messages that are still in the state; delete both. Return how many."""
    sql, namespace = store.sql.inspect, store.namespace
    ids = sorted(doomed)
    hashes = sorted({bytes(key) for key in doomed.values() if key is not None})
    locks = [sql["lock_keys"](hashes=json_of(hashes), namespace=namespace)] if hashes else []
    *_, found = yield Script(
        [
            *locks,
            sql["lock_doomed"](ids=json_of(ids), namespace=namespace, state=state, queue=queue),
        ]
    )
    gone = {ids[row[0] - 1]: row[1] for row in found.rows}
    texts = []
    keyed = [(bytes(key), one) for one, key in gone.items() if key is not None]
    if keyed:
        texts.append(sql["purge_keys"](rows=json_rows(sorted(keyed)), namespace=namespace))
    if gone:
        texts.append(sql["purge"](ids=json_of(sorted(gone)), namespace=namespace, state=state))
    yield Script(texts, is_last=True)
    return len(gone)
