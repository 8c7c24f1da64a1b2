"""Pages of listings, each of which looks at a bounded number of messages.

A listing is a row of *stretches*: the messages that the index has side by side, those of one queue and rank. Within
a stretch messages have places, a time and an ID. A cursor names a stretch and a place in it, so that a page costs
the same wherever it begins.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgpack

from asynctasq.contracts.capabilities import DeadLetter, Page, Snapshot
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.selection import matches_task
from asynctasq.driverkit.times import micros
from asynctasq.errors import DriverError
from asynctasq.message import State
from asynctasq.records import record
from asynctasq.settlement import Reason
from asynctasq_mysql.inspection import find_rows, namer
from asynctasq_mysql.rows import Names, as_bytes, as_reason, dead_letter, snapshot, task_of
from asynctasq_mysql.statements import Fragment, clock, json_of
from asynctasq_mysql.store import Store, name_bytes

T = TypeVar("T")

WALKED_AT_ONCE = 1_000
"""Messages that one page looks at, which takes a few milliseconds."""
STRETCHES_AT_ONCE = 20
HEAD_BYTES = 1_000
"""Bytes of an error that are read to see its type."""
NEVER = (1 << 63) - 1
_STORED = {State.SCHEDULED: 2, State.READY: 3, State.RUNNING: 5, State.DEAD: 6}


@record
class Filter:
    """The conditions of a listing, which are looked at in the rows of a walk."""

    queue: str | None = None
    task: str | None = None
    owner: str | None = None
    since: float | None = None
    until: float | None = None
    reason: Reason | None = None
    error: str | None = None

    def lets_through(self, row: Sequence[Any], owner: int | None) -> bool:
        """Return whether a row of a walk is listed."""
        _, _, profile, enqueued_at, held_by, reason, error = row
        return (
            (self.task is None or matches_task(task_of(profile), self.task))
            and (owner is None or held_by == owner)
            and (self.since is None or enqueued_at >= micros(self.since))
            and (self.until is None or enqueued_at < micros(self.until))
            and (self.reason is None or as_reason(reason) is self.reason)
            and (self.error is None or _has_type(as_bytes(error), self.error))
        )


def _has_type(head: bytes, wanted: str) -> bool:
    """Return whether the beginning of a stored error shows a type: its full name, or the last part of it."""
    unpacker = msgpack.Unpacker(unicode_errors="surrogatepass")
    unpacker.feed(head[1:])  # behind the head of the array
    try:
        name = unpacker.unpack()
    except (ValueError, msgpack.UnpackException):
        return False
    return isinstance(name, str) and (name == wanted or name.rpartition(".")[2] == wanted)


@record
class Stretch:
    """Messages that a page walks one after the other."""

    queue: int
    rank: int
    texts: Sequence[str]
    """The statements that give its rows, each in order, the first `WALKED_AT_ONCE`."""


async def browse(
    store: Store, state: State, chosen: Filter, *, limit: int, cursor: str | None
) -> Page[Snapshot]:
    """Return a page of messages in one state."""
    queue, owner = await _numbers(store, chosen)
    if state not in _STORED or queue == 0 or owner == 0:
        return Page([])
    if chosen.owner is not None and state is not State.RUNNING:
        return Page([])
    walk = _Walk(store, state.value, _STORED[state], queue, newest_first=False)
    return await walk.page(
        chosen, owner, limit, cursor, lambda row, name: snapshot(row, name, row[16])
    )


async def dead_letters(
    store: Store, chosen: Filter, *, limit: int, cursor: str | None
) -> Page[DeadLetter]:
    """Return a page of dead letters, newest first."""
    queue, _ = await _numbers(store, chosen)
    if queue == 0:
        return Page([])
    walk = _Walk(store, "letters", _STORED[State.DEAD], queue, newest_first=True)
    return await walk.page(chosen, None, limit, cursor, dead_letter)


async def _numbers(store: Store, chosen: Filter) -> tuple[int | None, int | None]:
    """Return the numbers of the queue and the owner of a filter; 0 for one that does not exist."""
    queue: int | None = None
    owner: Any = None
    if chosen.queue is not None:
        queue = (await store.numbers([chosen.queue])).get(chosen.queue, 0)
    if chosen.owner is not None:
        text = store.sql.lease["owner"](namespace=store.namespace, owner=name_bytes(chosen.owner))
        [rows] = await store.run(text)
        owner = rows[0][0] if rows else 0
    return queue, owner


class _Walk:
    """The walk of one page."""

    def __init__(
        self, store: Store, name: str, state: int, queue: int | None, *, newest_first: bool
    ) -> None:
        self._store = store
        self._name = name
        self._state = state
        self._queue = queue
        self._newest_first = newest_first
        self._first = (NEVER, b"\xff" * 16) if newest_first else (-1, b"")

    async def page(
        self,
        chosen: Filter,
        owner: int | None,
        limit: int,
        cursor: str | None,
        make: Callable[[Sequence[Any], Names], T],
    ) -> Page[T]:
        """Read a page."""
        limit = min(max(limit, 0), WALKED_AT_ONCE)
        queue, rank, place = self._position(cursor)
        taken: list[tuple[Stretch, Sequence[Any]]] = []
        budget = WALKED_AT_ONCE
        at: tuple[int, int, tuple[int, bytes]] | None = (queue, rank, place)
        while at is not None:
            stretches = await self._stretches(*at)
            at = None
            for stretch, rows in await self._walked(stretches):
                for row in rows:
                    budget -= 1
                    if chosen.lets_through(row, owner):
                        if len(taken) == limit:
                            end = self._end(taken, cursor, stretch)
                            return await self._made(taken, end, make)
                        taken.append((stretch, row))
                    if budget <= 0:
                        end = self._cursor(stretch.queue, stretch.rank, (row[0], bytes(row[1])))
                        return await self._made(taken, end, make)
                at = (stretch.queue, stretch.rank + 1, self._first)
            if len(stretches) < STRETCHES_AT_ONCE:
                at = None
        return await self._made(taken, None, make)

    def _end(
        self, taken: Sequence[tuple[Stretch, Sequence[Any]]], cursor: str | None, stretch: Stretch
    ) -> str:
        if not taken:
            return cursor or self._cursor(stretch.queue, stretch.rank, self._first)
        last, row = taken[-1]
        return self._cursor(last.queue, last.rank, (row[0], bytes(row[1])))

    async def _made(
        self,
        taken: Sequence[tuple[Stretch, Sequence[Any]]],
        end: str | None,
        make: Callable[[Sequence[Any], Names], T],
    ) -> Page[T]:
        """Read the messages of the rows, as many as the bound in bytes allows."""
        sizes = await self._sizes([bytes(row[1]) for _, row in taken])
        ids: list[bytes] = []
        left = BYTES_AT_ONCE
        for _, row in taken:
            message_id = bytes(row[1])
            left -= sizes.get(message_id, 0)
            if left < 0 and ids:
                break
            ids.append(message_id)
        if len(ids) < len(taken):
            last, row = taken[len(ids) - 1]
            end = self._cursor(last.queue, last.rank, (row[0], bytes(row[1])))
        found = await find_rows(self._store, ids)
        name = await namer(self._store, found)
        return Page(
            [make(found[one], name) for one in ids if one in found and self._fits(found[one])], end
        )

    def _fits(self, row: Sequence[Any]) -> bool:
        """Return whether a message is still in the state of the listing, as far as the store has promoted it."""
        return row[4] == self._state or (self._state in (2, 3) and row[4] in (2, 3))

    async def _sizes(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        if not ids:
            return {}
        text = self._store.sql.listings["sizes"](ids=json_of(ids), namespace=self._store.namespace)
        [rows] = await self._store.run(text)
        sizes: dict[bytes, int] = {}
        for row in rows:
            number: Any = row[0]
            size: Any = row[1]
            sizes[ids[number - 1]] = size
        return sizes

    async def _stretches(self, queue: int, rank: int, place: tuple[int, bytes]) -> list[Stretch]:
        """Return the next stretches, from a place on."""
        if self._state == 6 and self._queue is None:
            return [] if queue else [Stretch(0, 0, [self._text("walk_dead", place)])]
        states = (2, 3) if self._state == 3 else (self._state,)
        texts = [
            self._store.sql.listings["queues"](
                **{"from": queue, "queue": self._queue},
                namespace=self._store.namespace,
                state=state,
                bound=STRETCHES_AT_ONCE,
            )
            for state in states
        ]
        found: set[tuple[int, int]] = set()
        for rows in await self._store.run(*texts):
            for row in rows:
                number: Any = row[0]
                each: Any = row[1]
                if (number, each) >= (queue, rank):
                    found.add((number, each))
        return [
            self._stretch(number, each, place if (number, each) == (queue, rank) else self._first)
            for number, each in sorted(found)[:STRETCHES_AT_ONCE]
        ]

    def _stretch(self, queue: int, rank: int, place: tuple[int, bytes]) -> Stretch:
        if self._newest_first:
            return Stretch(
                queue, rank, [self._text("walk", place, queue=queue, rank=rank, state=6)]
            )
        states = (3, 2) if self._state == 3 else (self._state,)
        texts = [self._text("walk", place, queue=queue, rank=rank, state=state) for state in states]
        return Stretch(queue, rank, texts)

    def _text(self, query: str, place: tuple[int, bytes], **values: int) -> str:
        listings = self._store.sql.listings
        common: dict[str, Any] = {
            "after": place[0],
            "after_id": place[1],
            "budget": WALKED_AT_ONCE,
            "head": HEAD_BYTES,
        }
        if query == "walk_dead":
            query = "walk_dead_back" if self._newest_first else query
            return listings[query](namespace=self._store.namespace, **common)
        if self._newest_first:
            return listings["walk_back"](**common, **values)
        now = clock(self._store.offset)
        if values["state"] == 2:
            least: int | Fragment
            most: int | Fragment
            least, most = (-1, now) if self._state == 3 else (now, NEVER)
        else:
            least, most = -1, NEVER
        return listings["walk"](**common, **values, least=least, most=most)

    async def _walked(
        self, stretches: Sequence[Stretch]
    ) -> list[tuple[Stretch, list[Sequence[Any]]]]:
        """Return the rows of stretches, in order."""
        texts = [text for stretch in stretches for text in stretch.texts]
        if not texts:
            return []
        answers = iter(await self._store.run(*texts))
        found: list[tuple[Stretch, list[Sequence[Any]]]] = []
        for stretch in stretches:
            rows: list[Sequence[Any]] = [row for _ in stretch.texts for row in next(answers)]
            if len(stretch.texts) > 1:
                rows.sort(key=lambda row: (row[0], bytes(row[1])))
            found.append((stretch, rows[:WALKED_AT_ONCE]))
        return found

    def _position(self, cursor: str | None) -> tuple[int, int, tuple[int, bytes]]:
        if cursor is None:
            return 0, 0, self._first
        queue, rank, at, message_id = unpack_cursor(self._name, cursor, length=4)
        if (
            type(queue) is int
            and type(rank) is int
            and type(at) is int
            and type(message_id) is bytes
        ):
            return queue, rank, (at, message_id)
        raise DriverError(f"The cursor must come from a `Page`, got {cursor!r}.")

    def _cursor(self, queue: int, rank: int, place: tuple[int, bytes]) -> str:
        return pack_cursor(self._name, (queue, rank, *place))
