"""Messages whose ids begin or end with some digits.

No index of Redis has the ends of ids, so a search looks at the ids of all messages, without the messages: a
million takes 200 calls, and each keeps the server busy for a few milliseconds.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from asynctasq.contracts.capabilities import Page
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.id_parts import check_id_part
from asynctasq.message import PRIORITY_HIGHEST, PRIORITY_LOWEST
from asynctasq_redis.inspection import names

if TYPE_CHECKING:
    from asynctasq_redis.server import Server

SCANNED = 5000
"""Ids that one call looks at."""
SETS = 200
"""Sets that one call looks at."""

Place: TypeAlias = tuple[int, bytes, int]
"""A set in the order of the search: the phase, the queue, and the number of the set of that queue."""
OF_QUEUES, LEASED, DEAD = 0, 1, 2
_SCHEDULED = [f"s{priority}:" for priority in range(PRIORITY_HIGHEST, PRIORITY_LOWEST - 1, -1)]
_OF_A_QUEUE = [name.encode() for name in (*_SCHEDULED, "r:")]
"""Sets of a queue. Messages move to those that come later."""


async def match_ids(server: "Server", part: str, *, limit: int, cursor: str | None) -> Page[bytes]:
    """Return a page of the ids that begin or end with a part."""
    check_id_part(part)
    first, position, passed = ((OF_QUEUES, b"", 0), b"0", 0) if cursor is None else _place(cursor)
    queues = await names(server)
    places: list[Place] = [
        *((OF_QUEUES, queue, number) for queue in queues for number in range(len(_OF_A_QUEUE))),
        (LEASED, b"", 0),
        (DEAD, b"", 0),
    ]
    places = [place for place in places if place >= first]
    begin = position if places[0] == first else b"0"
    number, following, ids = await server.run(
        "match_ids", *_ends(part), SCANNED, begin, *map(_set, places[:SETS])
    )
    found = list(dict.fromkeys(ids))
    if len(found) > passed + limit:
        after = pack_cursor("ids", (*places[0], begin, passed + limit))
        return Page(found[passed : passed + limit], after)
    rest = places[number - 1 :]
    return Page(found[passed:], pack_cursor("ids", (*rest[0], following, 0)) if rest else None)


def _place(cursor: str) -> tuple[Place, bytes, int]:
    match unpack_cursor("ids", cursor, length=5):
        case [int(phase), bytes(queue), int(number), bytes(position), int(passed)] if passed >= 0:
            valid = position.isdigit() and (phase, queue, number) <= (DEAD, b"", 0)
            return ((phase, queue, number), position, passed) if valid else ((0, b"", 0), b"0", 0)
        case _:
            return (OF_QUEUES, b"", 0), b"0", 0


def _set(place: Place) -> bytes:
    phase, queue, number = place
    if phase == OF_QUEUES:
        return _OF_A_QUEUE[number] + queue
    return b"leases" if phase == LEASED else b"dead"


def _ends(part: str) -> Sequence[bytes]:
    """Return the part as the script takes it: as a beginning, and as an end."""
    odd = len(part) % 2
    return (
        bytes.fromhex(part[: len(part) - odd]),
        part[len(part) - odd :].encode(),
        bytes.fromhex(part[odd:]),
        part[:odd].encode(),
    )
