"""Messages whose IDs begin or end with some digits.

IDs that begin so are a range of the primary key. No index has the ends of IDs, so the search for them looks at all
messages that wait, run or are dead, in the index of queues, and never at the many that have ended.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from asynctasq.contracts.capabilities import Page
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.id_parts import check_id_part, has_id_part, id_range
from asynctasq.errors import InvalidCursor
from asynctasq_mysql.store import Store

RANGE_AT_ONCE = 2_000
"""Messages of a range of IDs that one call looks at. They are read with a part of the message."""
LOOKED_AT_ONCE = 5_000
"""Entries of the index of queues that one call looks at, which takes a few milliseconds."""

Place: TypeAlias = tuple[Any, ...]
"""Values of an index: an ID and a namespace, or what orders messages in the index of queues, an ID at last."""
_FIRST: Place = (0, 0, 0, 0, b"")
"""The place in the index of queues before all messages."""


async def match_ids(store: Store, part: str, *, limit: int, cursor: str | None) -> Page[bytes]:
    """Return a page of the IDs that begin or end with a part."""
    check_id_part(part)
    kind, after = ("beginning", (id_range(part)[0], -1)) if cursor is None else _place(cursor)
    is_range = kind == "beginning"
    [rows] = await store.run(_text(store, kind, part, after))
    until = next((row[:-1] for row in rows if not row[-1]), None)
    places = sorted(row[:-1] for row in rows if row[-1])
    found = [(_id(place), place) for place in places]
    if not is_range:
        found = [each for each in found if _only_ends_with(each[0], part)]
    limit = max(limit, 0)
    ids = [message_id for message_id, _ in found[:limit]]
    if len(found) > limit:
        return Page(ids, pack_cursor(kind, found[limit - 1][1] if limit else after))
    if until is not None:
        return Page(ids, pack_cursor(kind, until))
    return Page(ids, pack_cursor("ending", _FIRST) if is_range else None)


def _text(store: Store, kind: str, part: str, after: Place) -> str:
    query = store.sql.id_search[kind]
    if kind == "beginning":
        return query(
            namespace=store.namespace,
            after=after[0],
            after_namespace=after[1],
            last=id_range(part)[1],
            budget=RANGE_AT_ONCE,
            but_last=RANGE_AT_ONCE - 1,
        )
    tail = bytes.fromhex(part[len(part) % 2 :])
    names = ("after_state", "after_queue", "after_rank", "after_sort", "after_id")
    return query(
        namespace=store.namespace,
        **dict(zip(names, after, strict=True)),
        bytes=len(tail),
        tail=tail,
        budget=LOOKED_AT_ONCE,
        but_last=LOOKED_AT_ONCE - 1,
    )


def _id(place: Sequence[Any]) -> bytes:
    return next(bytes(value) for value in place if not isinstance(value, int))


def _only_ends_with(message_id: bytes, part: str) -> bool:
    return has_id_part(message_id, part) and not message_id.hex().startswith(part)


def _place(cursor: str) -> tuple[str, Place]:
    """Return the name of the statement that a cursor continues, and the place after which it begins."""
    if cursor.startswith("beginning."):
        match unpack_cursor("beginning", cursor, length=2):
            case [bytes(message_id), int(namespace)]:
                return "beginning", (message_id, namespace)
            case _:
                pass
    else:
        match unpack_cursor("ending", cursor, length=5):
            case [int(state), int(queue), int(rank), int(sort), bytes(message_id)]:
                return "ending", (state, queue, rank, sort, message_id)
            case _:
                pass
    raise InvalidCursor(f"The cursor must come from `match_ids`, got {cursor!r}.")
