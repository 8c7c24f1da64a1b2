"""Adding messages without unique keys, and the rows of messages."""

import os
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from asynctasq.contracts.driver import Enqueued
from asynctasq.driverkit.packing import ID_BYTES, check_id, pack_profile
from asynctasq.driverkit.sql import InCommon, rank, runs_of
from asynctasq.driverkit.times import micros
from asynctasq.errors import DriverError
from asynctasq.message import Message
from asynctasq_mysql.clients import Wire
from asynctasq_mysql.errors import DUPLICATE, code_of
from asynctasq_mysql.keys import key_hash
from asynctasq_mysql.statements import Fragment, json_of, literal
from asynctasq_mysql.steps import Script, Steps
from asynctasq_mysql.store import Store

INSERT_BYTES = 1 << 20
"""Bytes of messages that one statement adds, unless a single one has more."""
INSERT_ROWS = 1000
NOW = "@asynctasq_now"


class NewRow:
    """A message as a row that is about to be written."""

    __slots__ = ("cancelled", "id", "size", "text")

    def __init__(self, message_id: bytes, size: int, text: str, cancelled: str) -> None:
        self.id = message_id
        self.size = size
        self.text = text
        """The row, in SQL."""
        self.cancelled = cancelled
        """The row of the same message if another one of its chunk has replaced it."""


def new_mark() -> int:
    """Return a number by which a call recognizes its own rows: negative, as no time is."""
    return -1 - int.from_bytes(os.urandom(7), "big")


def rows_of(
    store: Store,
    messages: Sequence[Message],
    queues: dict[str, int],
    mark: int,
    *,
    timing: Mapping[bytes, Message] = MappingProxyType({}),
) -> dict[bytes, NewRow]:
    """Return the rows of messages by ID, the first for each ID.

    Args:
        store: for which they are made.
        messages: of one chunk.
        queues: the number of each queue.
        mark: of the call; see `new_mark`.
        timing: other messages whose due times some of the messages get, by ID.

    Raises:
        DriverError: one of the messages cannot be stored.
    """
    found: dict[bytes, NewRow] = {}
    for common, run, payloads in runs_of(messages):
        profile = pack_profile(*common.profile)
        shared = _shared_columns(store, common, queues[common.queue])
        for message, payload in zip(run, payloads, strict=True):
            if len(message.id) != ID_BYTES:
                check_id(message.id)
            if len(payload) + len(profile) > store.largest:
                raise DriverError(
                    f"A message must have at most {store.largest} bytes, got {len(payload)} ({message.task}). "
                    "Store large data elsewhere and pass a reference to it, or raise max_allowed_packet."
                )
            if message.id not in found:
                due = due_columns(timing.get(message.id, message), shared[2])
                found[message.id] = _row(message, payload, profile, shared, due, mark)
    return found


def _shared_columns(store: Store, common: InCommon, queue: int) -> tuple[str, str, str, str]:
    key = common.unique_key
    return (
        f"{store.namespace},{queue}",
        str(rank(common.priority)),
        "NULL" if common.expires is None else str(micros(common.expires)),
        f"{micros(common.result_ttl)},{int(common.max_lost)},{literal(None if key is None else key_hash(key))}",
    )


def _row(
    message: Message,
    payload: bytes,
    profile: bytes,
    shared: tuple[str, str, str, str],
    timing: tuple[str, str, str, str],
    mark: int,
) -> NewRow:
    place, priority_rank, expires, rest = shared
    state, due, alarm, alarm_at = timing
    head = f"(x'{message.id.hex()}',{place},"
    text = (
        f"{head}{state},{priority_rank},{alarm},{alarm_at},{due},{due},{NOW},{expires},{rest},{mark},"
        f"{len(payload)},x'{profile.hex()}',x'{payload.hex()}',NULL)"
    )
    keep = max(micros(message.result_ttl), 60_000_000)
    cancelled = f"{head}8,{priority_rank},7,{NOW}+{keep},{NOW},{NOW},{NOW},{expires},{rest},{mark},0,NULL,NULL,{NOW})"
    return NewRow(message.id, len(payload), text, cancelled)


def due_columns(message: Message, expires: str) -> tuple[str, str, str, str]:
    """Return the state, the due time and the alarm of a new message, in SQL."""
    if message.eta is not None:
        eta = micros(message.eta)
        due = f"GREATEST({NOW},{eta})"
        late = "NULL" if expires == "NULL" else f"{due}+{expires}"
        kind = "NULL" if expires == "NULL" else "3"
        is_later = f"{eta}>{NOW}"
        return (
            f"IF({is_later},2,3)",
            due,
            f"IF({is_later},2,{kind})",
            f"IF({is_later},{due},{late})",
        )
    delay = micros(message.delay)
    if delay > 0:
        due = f"{NOW}+{delay}"
        return "2", due, "2", due
    if expires == "NULL":
        return "3", NOW, "NULL", "NULL"
    return "3", NOW, "3", f"{NOW}+{expires}"


def pieces(rows: Sequence[NewRow]) -> Iterator[Fragment]:
    """Yield rows as lists for one statement each."""
    texts: list[str] = []
    size = 0
    for row in rows:
        if texts and (size + row.size > INSERT_BYTES or len(texts) >= INSERT_ROWS):
            yield Fragment(",\n".join(texts))
            texts, size = [], 0
        texts.append(row.text)
        size += row.size
    if texts:
        yield Fragment(",\n".join(texts))


async def enqueue(
    store: Store, messages: Sequence[Message], queues: dict[str, int]
) -> list[Enqueued]:
    """Add messages that have no unique keys."""
    rows = rows_of(store, messages, queues, 0)
    if len(rows) == len(messages) and sum([row.size for row in rows.values()]) < INSERT_BYTES:
        text = Fragment(",\n".join([row.text for row in rows.values()]))
        if await _all_unknown(store, text):
            return [Enqueued(message.id, True) for message in messages]
    return await store.transact(lambda: enqueue_steps(store, messages, queues))


async def _all_unknown(store: Store, rows: Fragment) -> bool:
    """Add rows with one statement; False if one of their IDs is known, and nothing was added."""
    clock, insert = store.sql.enqueue["clock"](store.offset), store.sql.enqueue["insert"](rows=rows)

    async def body(wire: Wire) -> bool:
        try:
            await wire.run(clock, insert)
        except Exception as error:
            if code_of(error) == DUPLICATE:
                return False
            raise
        return True

    return await store.call(body)


def enqueue_steps(
    store: Store, messages: Sequence[Message], queues: dict[str, int]
) -> Steps[list[Enqueued]]:
    """Add messages that have no unique keys, some of which may be known."""
    sql, mark = store.sql.enqueue, new_mark()
    rows = rows_of(store, messages, queues, mark)
    in_order = sorted(rows.values(), key=lambda row: row.id)
    ids = [row.id for row in in_order]
    clock, time = sql["clock"](store.offset), sql["time"]()
    inserts = [sql["insert_unknown"](rows=piece) for piece in pieces(in_order)]
    look = sql["not_added"](ids=json_of(ids), namespace=store.namespace, mark=mark)
    *_, now, found = yield Script([clock, *inserts, time, look])
    known = {ids[row[0] - 1] for row in found.rows}
    gone = [
        ids[row[0] - 1]
        for row in found.rows
        if row[1] >= 7 and row[2] is not None and row[2] <= now.rows[0][0]
    ]
    if gone:
        again = [
            sql["insert_unknown"](rows=piece)
            for piece in pieces([rows[one] for one in sorted(gone)])
        ]
        yield Script(
            [sql["forget"](ids=json_of(sorted(gone)), namespace=store.namespace), *again],
            is_last=True,
        )
        known -= set(gone)
    answers: list[Enqueued] = []
    for message in messages:
        answers.append(Enqueued(message.id, message.id not in known))
        known.add(message.id)
    return answers
