"""Adding messages of which some want unique keys."""

from collections.abc import Sequence

from asynctasq.contracts.driver import Enqueued
from asynctasq.message import Message
from asynctasq_mysql.enqueueing import pieces, rows_of
from asynctasq_mysql.keys import FREE, LEAST, NO_HOLDER, Admission, Key, hashes_of
from asynctasq_mysql.statements import json_of, json_rows, value_rows
from asynctasq_mysql.steps import Script, Steps
from asynctasq_mysql.store import Store


def unique_enqueue_steps(
    store: Store, messages: Sequence[Message], queues: dict[str, int]
) -> Steps[list[Enqueued]]:
    """Lock the keys, look at their holders, decide, and write."""
    rows_of(store, messages, queues, 0)  # refuse what cannot be stored before anything is locked
    admission, gone = yield from _look(store, messages)
    answers = [Enqueued(*admission.admit(message)) for message in messages]
    texts = _writes(store, admission, queues)
    if gone & set(admission.added):
        forgotten = json_of(sorted(gone & set(admission.added)))
        texts.insert(1, store.sql.enqueue["forget"](ids=forgotten, namespace=store.namespace))
    yield Script(texts, is_last=True)
    return answers


def _look(store: Store, messages: Sequence[Message]) -> Steps[tuple[Admission, set[bytes]]]:
    """Return what the store knows of a chunk, and the IDs whose outcomes are past their time."""
    sql, namespace = store.sql.enqueue, store.namespace
    hashes = hashes_of(messages)
    ids = sorted({message.id for message in messages})
    placeholders = value_rows((key, namespace, NO_HOLDER, FREE) for key in hashes)
    _, time, _, held, found = yield Script(
        [
            sql["clock"](store.offset),
            sql["time"](),
            sql["lock_keys"](rows=placeholders),
            sql["keys"](hashes=json_of(hashes), namespace=namespace),
            sql["known"](ids=json_of(ids), namespace=namespace),
        ]
    )
    now: int = time.rows[0][0]
    by_number = {row[0]: row[1:] for row in held.rows}
    keys = {key: Key(key, by_number.get(n)) for n, key in enumerate(hashes, 1)}
    gone = {
        ids[row[0] - 1]
        for row in found.rows
        if row[1] >= 7 and row[2] is not None and row[2] <= now
    }
    known = {ids[row[0] - 1] for row in found.rows} - gone
    waiting = sorted({key.holder for key in keys.values() if key.may_be_replaced(now)})
    if waiting:
        yield from _lock_holders(store, keys, waiting)
    return Admission(keys, known, now), gone


def _lock_holders(store: Store, keys: dict[bytes, Key], waiting: Sequence[bytes]) -> Steps[None]:
    """Lock the holders that may be replaced, and read them again."""
    text = store.sql.enqueue["lock_holders"](ids=json_of(waiting), namespace=store.namespace)
    [answer] = yield Script([text])
    rows = {waiting[row[0] - 1]: row[1:] for row in answer.rows}
    for key in keys.values():
        state, started, due_at, wanted = rows.get(key.holder, (None, False, 0, None))
        if wanted is not None and bytes(wanted) == key.hash:
            key.set_holder(state, bool(started), due_at)


def _writes(store: Store, admission: Admission, queues: dict[str, int]) -> list[str]:
    sql, namespace = store.sql.enqueue, store.namespace
    added = list(admission.added.values())
    rows = rows_of(store, added, queues, 0, timing=admission.delays)
    for message_id in admission.replaced:
        rows[message_id].text, rows[message_id].size = rows[message_id].cancelled, 0
    texts = [f"SET @asynctasq_now = {admission.now}"]
    if admission.cancelled:
        ids = json_of(sorted(admission.cancelled))
        texts.append(
            sql["cancel_waiting"](ids=ids, namespace=namespace, now=admission.now, least=LEAST)
        )
    if admission.moves:
        moves = json_rows(sorted(admission.moves.items()))
        texts.append(sql["reschedule"](moves=moves, namespace=namespace, now=admission.now))
    in_order = sorted(rows.values(), key=lambda row: row.id)
    texts += [sql["insert"](rows=piece) for piece in pieces(in_order)]
    changed = [key.row() for key in admission.keys.values() if key.is_changed]
    if changed:
        texts.append(sql["hold_keys"](rows=json_rows(changed), namespace=namespace))
    texts.append(sql["drop_free_keys"](hashes=json_of(admission.keys), namespace=namespace))
    return texts
