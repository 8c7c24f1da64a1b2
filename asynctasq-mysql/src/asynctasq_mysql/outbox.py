"""The outbox in a database of MySQL or MariaDB, which may be that of an application without a queue in it."""

import os
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

from asynctasq.contracts.capabilities.outbox import (
    OUTBOX_BOUND,
    REFUSED_AT_ONCE,
    OutboxEntry,
    OutboxRow,
    OutboxState,
    Refusal,
)
from asynctasq.contracts.capabilities.paging import Page
from asynctasq.contracts.capabilities.schema import SchemaState
from asynctasq.contracts.capabilities.transactions import Plan
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.numbers import check_lease
from asynctasq.driverkit.opening import check_open
from asynctasq.driverkit.packing import check_id
from asynctasq.driverkit.sql import other_database
from asynctasq.driverkit.times import micros, seconds
from asynctasq_mysql import schema
from asynctasq_mysql.addresses import described
from asynctasq_mysql.clients import Answer, Row, Wire
from asynctasq_mysql.connections import Connections
from asynctasq_mysql.settings import MySQLSettings
from asynctasq_mysql.statements import (
    Fragment,
    Value,
    clock,
    json_of,
    outbox_statements,
    value_rows,
)
from asynctasq_mysql.steps import Script, Steps, plan_of, run_steps
from asynctasq_mysql.store import name_bytes, name_text

T = TypeVar("T")

SET_ASIDE = 1 << 62
"""The value of `not_before` in rows that are not tried again."""
LONGEST_HOLD = micros(3600.0)
"""Microseconds. A relay that seems to hold a target for longer than this is ignored."""
MARK_BITS = 62
ROW_BYTES = 4096
"""Bytes of a row without its message, at most."""
LEAST_PACKET = 1 << 16
"""Bytes of rows that every server accepts in one packet."""
_LISTING = "outbox"


class MySQLOutbox:
    """The outbox of one namespace in the database of the settings."""

    dialect = "mysql"
    plans_when_open = True

    def __init__(self, settings: MySQLSettings, clock_offset: float = 0.0) -> None:
        self.description = described(settings.address(), settings.namespace)
        self.clock_offset = clock_offset
        self._settings = settings
        self._sql = outbox_statements(settings.table_prefix)
        self._namespace = name_bytes(settings.namespace)
        self._connections: Connections | None = None
        self._database = b""
        """The identity of the database; empty before it was opened."""
        self._largest = LEAST_PACKET
        """Bytes that are written by one statement, half of which are hexadecimal digits."""

    async def open(self) -> None:
        if self._connections is not None and self._connections.process == os.getpid():
            return
        connections = Connections(self._settings, self.description)
        try:
            await connections.call(self._look)
        except BaseException:
            await connections.close()
            raise
        self._connections = connections

    async def _look(self, wire: Wire) -> None:
        """Check the server, and learn which database it is, if it has the tables."""
        server = await schema.look_at_server(wire, self._sql, self.description)
        self._largest = max((server.packet - ROW_BYTES) // 2, LEAST_PACKET)
        if (await schema.schema_state(wire, self._sql)).current:
            [answer] = await wire.run(self._sql.store["identity"]())
            self._database = bytes(answer.rows[0][0])

    async def close(self) -> None:
        connections, self._connections = self._connections, None
        if connections is not None and connections.process == os.getpid():
            await connections.close()

    async def schema(self) -> SchemaState:
        return await self._call(lambda wire: schema.schema_state(wire, self._sql))

    async def migrate(self, *, dry_run: bool = False) -> Sequence[str]:
        taken = await self._call(
            lambda wire: schema.migrate(wire, self._sql, self.description, dry_run=dry_run)
        )
        await self._call(self._look)
        return taken

    async def _call(self, body: Callable[[Wire], Awaitable[T]]) -> T:
        connections = self._connections
        process = 0 if connections is None else connections.process
        return await check_open(f"The outbox of {self.description}", connections, process).call(
            body
        )

    async def _run(self, *texts: str) -> list[Answer]:
        """Execute statements in one round trip, each in a separate transaction."""
        return await self._call(lambda wire: wire.run(*texts))

    def _text(self, name: str, **values: Value) -> str:
        offset = micros(self.clock_offset)
        return self._sql.outbox[name](offset, namespace=self._namespace, **values)

    def create_statements(self) -> Sequence[str]:
        return [*self._sql.schema.values(), schema.set_version(self._sql)]

    # Adding.

    def plan_add(self, entries: Sequence[OutboxEntry]) -> Plan[list[bool]]:
        return plan_of(self._add(entries, checks_database=True))

    async def add(self, entries: Sequence[OutboxEntry]) -> list[bool]:
        return await self._call(
            lambda wire: run_steps(wire, self._add(entries, checks_database=False))
        )

    def _add(self, entries: Sequence[OutboxEntry], *, checks_database: bool) -> Steps[list[bool]]:
        if not entries:
            return []
        if checks_database:
            [answer] = yield Script([self._sql.store["identity"]()])
            found = bytes(answer.rows[0][0]) if answer.rows else b""
            if self._database and found != self._database:
                raise other_database(self.description, f"another database ({found.hex()})")
        mark = secrets.randbits(MARK_BITS)
        now = clock(micros(self.clock_offset))
        first: dict[bytes, int] = {}
        for place, entry in enumerate(entries):
            check_id(entry.id)
            first.setdefault(entry.id, place)
        places = list(first.values())
        for some in self._portions([entries[place] for place in places]):
            rows = value_rows([self._columns(entry, now, mark) for entry in some])
            yield Script([self._text("add", rows=rows)])
        [known] = yield Script([self._text("known", ids=json_of(first), mark=mark)], is_last=True)
        added = set(places) - {places[row[0] - 1] for row in known.rows}
        return [place in added for place in range(len(entries))]

    def _portions(self, entries: Sequence[OutboxEntry]) -> Iterator[list[OutboxEntry]]:
        """Yield entries that fit into one packet, or are a single one."""
        some: list[OutboxEntry] = []
        size = 0
        for entry in entries:
            length = len(entry.message) + ROW_BYTES
            if some and size + length > self._largest:
                yield some
                some, size = [], 0
            some.append(entry)
            size += length
        yield some

    def _columns(self, entry: OutboxEntry, now: Fragment, mark: int) -> Sequence[Value]:
        size = len(entry.message)
        return (self._namespace, entry.id, name_bytes(entry.target), now, mark, size, entry.message)

    # Relays.

    async def take(
        self, target: str, *, holder: bytes, lease: float, limit: int
    ) -> list[OutboxRow]:
        check_lease(lease)
        of: dict[str, Value] = {"target": name_bytes(target), "holder": holder}
        [answer] = await self._run(self._text("due", longest=LONGEST_HOLD, **of))
        is_due, is_held = answer.rows[0]
        if not is_due or is_held:
            return []
        _, answer = await self._run(
            self._text("hold", longest=LONGEST_HOLD, lease=micros(lease), **of),
            self._text("holds", **of),
        )
        if not answer.rows or not answer.rows[0][0]:
            return []
        bounds = {"limit": limit, "refused": REFUSED_AT_ONCE, "room": BYTES_AT_ONCE}
        [answer] = await self._run(self._text("take", target=of["target"], **bounds))
        return [_row(row) for row in answer.rows]

    async def release(self, target: str, *, holder: bytes) -> None:
        await self._run(self._text("release", target=name_bytes(target), holder=holder))

    async def refuse(self, refusals: Sequence[Refusal]) -> None:
        texts: list[str] = []
        for each in refusals:
            not_before: Value = SET_ASIDE
            if each.retry_in is not None:
                not_before = clock(micros(self.clock_offset) + micros(each.retry_in))
            error = each.error.encode("utf-8", "backslashreplace")
            values: dict[str, Value] = {"error": error, "not_before": not_before}
            texts.append(self._text("refuse", id=each.id, counted=int(each.is_counted), **values))
        if texts:
            await self._run("START TRANSACTION", *texts, "COMMIT")

    # Rows.

    async def delete(self, ids: Sequence[bytes]) -> list[bool]:
        return await self._change("delete", ids)

    async def retry(self, ids: Sequence[bytes]) -> list[bool]:
        return await self._change("retry", ids)

    async def _change(self, name: str, ids: Sequence[bytes]) -> list[bool]:
        if not ids:
            return []
        named = json_of(
            sorted(set(ids))
        )  # in one order, so that two calls do not wait for each other
        lock, change = self._text("lock", ids=named), self._text(name, ids=named)
        _, answer, *_ = await self._run("START TRANSACTION", lock, change, "COMMIT")
        changed = {bytes(row[0]) for row in answer.rows}
        return [each in changed for each in ids]

    async def state(self) -> OutboxState:
        [answer] = await self._run(self._text("state", set_aside=SET_ASIDE, bound=OUTBOX_BOUND))
        waiting, set_aside, *ages = answer.rows[0]
        oldest = max((int(each) for each in ages if each is not None), default=0)
        return OutboxState(waiting, set_aside, max(seconds(oldest), 0.0))

    async def rows(
        self, *, set_aside: bool | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[OutboxRow]:
        after = b"" if cursor is None else unpack_cursor(_LISTING, cursor, length=1)[0]
        values: dict[str, Any] = {
            "after": after if isinstance(after, bytes) else b"",
            "chosen": -1 if set_aside is None else int(set_aside),
            "set_aside": SET_ASIDE,
            "limit": limit + 1,
            "room": BYTES_AT_ONCE,
        }
        [answer] = await self._run(self._text("rows", **values))
        rows = answer.rows
        found = [_row(row[:-1]) for row in rows[:limit]]
        if not rows or rows[0][-1] <= len(found):
            return Page(found)
        return Page(found, pack_cursor(_LISTING, (found[-1].id,)))


def _row(row: Row) -> OutboxRow:
    message_id, target, message, age, attempts, error, not_before, pause = row
    return OutboxRow(
        id=bytes(message_id),
        target=name_text(bytes(target)),
        message=bytes(message),
        age=max(seconds(int(age)), 0.0),
        attempts=attempts,
        error=bytes(error or b"").decode("utf-8", "replace"),
        retry_in=None if not_before >= SET_ASIDE else max(seconds(int(pause)), 0.0),
    )
