"""The outbox in an SQLite file, which may be the database of an application without a queue in it."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any, TypeAlias, TypeVar

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
from asynctasq.contracts.capabilities.transactions import Plan, Statement
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.numbers import check_lease
from asynctasq.driverkit.opening import check_open
from asynctasq.driverkit.packing import ID_BYTES, check_id
from asynctasq.driverkit.sql import is_table_missing, named_statement, run_plan
from asynctasq.driverkit.times import micros, seconds
from asynctasq.drivers.sqlite.codec import BLOB_LIMIT, SIZE_BITS, json_list
from asynctasq.drivers.sqlite.database import file_identity
from asynctasq.drivers.sqlite.errors import BROKEN_CONNECTION, primary_code, translated
from asynctasq.drivers.sqlite.outbox_tables import STEPS, migrate, schema_state
from asynctasq.drivers.sqlite.plans import check_file, time_now
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_bytes, as_count, as_id, as_micros
from asynctasq.drivers.sqlite.settings import SqliteSettings
from asynctasq.errors import DriverError, DriverUnavailable

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]

SET_ASIDE = 1 << 62
"""The value of `not_before` in rows that are not tried again."""
LONGEST_HOLD = micros(3600.0)
"""Microseconds. A relay that seems to hold a target for longer than this is ignored."""
_LISTING = "outbox"

_SQL = {
    name: text.replace("{set_aside}", str(SET_ASIDE)) for name, text in queries("outbox").items()
}


class SqliteOutbox:
    """The outbox of one namespace in one file. Its calls run in a thread, one after the other."""

    dialect = "sqlite"
    plans_when_open = False

    def __init__(self, settings: SqliteSettings, clock_offset: float = 0.0) -> None:
        self.description = settings.path
        self.clock_offset = clock_offset
        self._settings = settings
        self._name = f"The outbox in {settings.path}"
        self._process = 0
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    async def open(self) -> None:
        if self._thread is not None and self._process == os.getpid():
            return
        self._process = os.getpid()
        self._connection = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="asynctasq-outbox")
        try:
            await self._call(lambda _: None)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None and self._process == os.getpid():
            with suppress(RuntimeError):  # the thread never started
                await asyncio.wrap_future(thread.submit(self._disconnect))
            thread.shutdown()

    async def schema(self) -> SchemaState:
        return await self._call(schema_state)

    async def migrate(self, *, dry_run: bool = False) -> Sequence[str]:
        return await self._call(lambda connection: migrate(connection, self._name, dry_run=dry_run))

    def create_statements(self) -> Sequence[str]:
        return [statement for step in STEPS for statement in step.statements]

    # Adding.

    def plan_add(self, entries: Sequence[OutboxEntry]) -> Plan[list[bool]]:
        yield from check_file(self._settings.path)
        added: set[bytes] = set()
        try:
            for target, some in _portions(entries):
                added.update(row[0] for row in (yield self._insert(target, some)))
        except Exception as error:
            if is_table_missing(error):
                raise self._no_tables() from error
            raise
        answers = []
        for entry in entries:
            answers.append(entry.id in added)
            added.discard(entry.id)
        return answers

    def _insert(self, target: str, entries: Sequence[OutboxEntry]) -> Statement:
        places: list[int] = []
        place = 1
        for entry in entries:
            check_id(entry.id)
            places.append(place << SIZE_BITS | len(entry.message))
            place += ID_BYTES + len(entry.message)
        blob = b"".join(part for entry in entries for part in (entry.id, entry.message))
        return named_statement(
            _SQL["add"],
            {
                "namespace": self._settings.namespace,
                "target": target,
                "now": self._now(),
                "blob": blob,
                "index": json_list(places),
            },
        )

    async def add(self, entries: Sequence[OutboxEntry]) -> list[bool]:
        def add(connection: sqlite3.Connection) -> list[bool]:
            def execute(statement: Statement) -> Sequence[Row]:
                return connection.execute(*statement.render("qmark")).fetchall()

            return run_plan(self.plan_add(entries), execute)

        return await self._write(add)

    # Relays.

    async def take(
        self, target: str, *, holder: bytes, lease: float, limit: int
    ) -> list[OutboxRow]:
        check_lease(lease)
        values = {
            "target": target,
            "holder": holder,
            "latest": self._now() + LONGEST_HOLD,
            "until": self._now() + micros(lease),
            "limit": limit,
        }

        def look(connection: sqlite3.Connection) -> bool:
            [(is_due, is_held)] = self._run(connection, "due", values).fetchall()
            return bool(is_due and not is_held)

        def hold(connection: sqlite3.Connection) -> bool:
            return self._run(connection, "hold", values).rowcount > 0

        def read(connection: sqlite3.Connection) -> list[OutboxRow]:
            rows, room, all_read = self._read(connection, "new", values, BYTES_AT_ONCE)
            if all_read:
                refused = values | {"limit": REFUSED_AT_ONCE}
                rows += self._read(connection, "refused", refused, room, more=bool(rows))[0]
            return rows

        if await self._call(look) and await self._write(hold):
            return await self._call(read)
        return []

    async def release(self, target: str, *, holder: bytes) -> None:
        values = {"target": target, "holder": holder}
        await self._write(lambda connection: self._run(connection, "release", values))

    async def refuse(self, refusals: Sequence[Refusal]) -> None:
        def refuse(connection: sqlite3.Connection) -> None:
            for each in refusals:
                pause = each.retry_in
                next_at = SET_ASIDE if pause is None else self._now() + micros(pause)
                values = {"id": each.id, "error": each.error, "not_before": next_at}
                self._run(connection, "refuse", {**values, "counted": each.is_counted})

        await self._write(refuse)

    # Rows.

    async def delete(self, ids: Sequence[bytes]) -> list[bool]:
        return await self._change("delete", ids)

    async def retry(self, ids: Sequence[bytes]) -> list[bool]:
        return await self._change("retry", ids)

    async def _change(self, name: str, ids: Sequence[bytes]) -> list[bool]:
        return await self._write(
            lambda connection: [
                self._run(connection, name, {"id": each}).rowcount > 0 for each in ids
            ]
        )

    async def state(self) -> OutboxState:
        def count(connection: sqlite3.Connection) -> OutboxState:
            bound = {"bound": OUTBOX_BOUND}
            [(waiting, *times)] = self._run(connection, "waiting", bound).fetchall()
            [(set_aside,)] = self._run(connection, "set_aside", bound).fetchall()
            oldest = min((as_micros(each) for each in times if each is not None), default=0)
            age = max(seconds(self._now() - oldest), 0.0) if oldest else 0.0
            return OutboxState(waiting, set_aside, age)

        return await self._call(count)

    async def rows(
        self, *, set_aside: bool | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[OutboxRow]:
        last = b"" if cursor is None else unpack_cursor(_LISTING, cursor, length=1)[0]
        values = {"id": last, "set_aside": set_aside, "limit": limit + 1}

        def read(connection: sqlite3.Connection) -> tuple[list[OutboxRow], bool]:
            rows, _, all_read = self._read(connection, "rows", values, BYTES_AT_ONCE)
            return rows, all_read

        found, all_read = await self._call(read)
        if all_read and len(found) <= limit:
            return Page(found)
        found = found[:limit]
        return Page(found, pack_cursor(_LISTING, (found[-1].id,)))

    # In the thread.

    def _now(self) -> int:
        return time_now(self.clock_offset)

    def _run(
        self, connection: sqlite3.Connection, name: str, values: Mapping[str, Any]
    ) -> sqlite3.Cursor:
        bound = {"now": self._now(), "namespace": self._settings.namespace, **values}
        return connection.execute(_SQL[name], bound)

    def _read(
        self,
        connection: sqlite3.Connection,
        name: str,
        values: Mapping[str, Any],
        room: int,
        *,
        more: bool = False,
    ) -> tuple[list[OutboxRow], int, bool]:
        """Read rows while there is room for their bytes; at least one unless there are `more` already.

        Returns:
            The rows, the room that is left, and True if these are all.
        """
        rows: list[OutboxRow] = []
        with closing(self._run(connection, name, values)) as cursor:
            for row in cursor:
                made = self._row(row)
                if len(made.message) > room and (rows or more):
                    return rows, room, False
                room -= len(made.message)
                rows.append(made)
        return rows, room, True

    def _row(self, row: Row) -> OutboxRow:
        message_id, target, message, created_at, not_before, attempts, error = row
        now = self._now()
        age, pause = now - (as_micros(created_at) or now), as_micros(not_before) - now
        is_set_aside = type(not_before) is not int or not_before >= SET_ASIDE
        return OutboxRow(
            id=as_id(message_id),
            target=str(target),
            message=as_bytes(message),
            age=max(seconds(age), 0.0),
            attempts=as_count(attempts),
            error=str(error),
            retry_in=None if is_set_aside else max(seconds(pause), 0.0),
        )

    async def _call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run some work in the thread."""
        thread = check_open(self._name, self._thread, self._process)
        try:
            running = thread.submit(self._guarded, work)
        except RuntimeError as error:
            raise DriverUnavailable(
                f"{self._name} cannot be used: no thread could be started ({error})."
            ) from error
        return await asyncio.wrap_future(running)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run some work in a transaction, in the thread."""

        def transact(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                answer = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return answer

        return await self._call(transact)

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._connect())
        except sqlite3.Error as error:
            if primary_code(error) in BROKEN_CONNECTION:
                self._disconnect()
            if is_table_missing(error):
                raise self._no_tables() from error
            raise translated(error, self.description) from error

    def _no_tables(self) -> DriverError:
        return DriverError(
            f"{self._name} has no tables. Run `asynctasq migrate`, or the migration of your framework that creates "
            f"them."
        )

    def _connect(self) -> sqlite3.Connection:
        """Return the connection; connect again if the file was replaced."""
        if self._connection is not None and file_identity(self.description) != self._file:
            self._disconnect()
        if self._connection is None:
            self._connection = sqlite3.connect(
                self.description, timeout=self._settings.busy_timeout, isolation_level=None
            )
            self._file = file_identity(self.description)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _portions(entries: Sequence[OutboxEntry]) -> Iterator[tuple[str, list[OutboxEntry]]]:
    """Yield entries of one target that fit into one statement, or are a single one."""
    by_target: dict[str, list[OutboxEntry]] = {}
    sizes: dict[str, int] = {}
    for entry in entries:
        size = ID_BYTES + len(entry.message)
        some = by_target.setdefault(entry.target, [])
        if some and sizes[entry.target] + size > BLOB_LIMIT:
            yield entry.target, some
            by_target[entry.target] = some = []
        sizes[entry.target] = size + (sizes[entry.target] if some else 0)
        some.append(entry)
    yield from by_target.items()
