"""The outbox in a PostgreSQL database, which may be that of an application without a queue in it."""

import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID

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
from asynctasq.driverkit.packing import check_id
from asynctasq.driverkit.sql import other_database
from asynctasq.driverkit.times import micros, seconds
from asynctasq_postgres.errors import FAILURES, translated
from asynctasq_postgres.outbox_tables import (
    create_statements,
    look_at_outbox,
    read_version,
    take_outbox_steps,
)
from asynctasq_postgres.queries import SET_ASIDE, outbox_queries, statement
from asynctasq_postgres.server import CallContext, Row, Server
from asynctasq_postgres.settings import PostgresSettings

_LISTING = "outbox"
_LISTINGS = {None: "rows", False: "rows_waiting", True: "rows_set_aside"}
"""The statements for rows, by whether these are set aside."""


class PostgresOutbox:
    """The outbox of one namespace in the database of the settings."""

    dialect = "postgresql"
    plans_when_open = True

    def __init__(self, settings: PostgresSettings, clock_offset: float = 0.0) -> None:
        self._context = CallContext(settings)
        self._context.calls = outbox_queries(self._context.names)
        self._context.clock_offset = clock_offset
        self.description = self._context.place
        self._name = f"The outbox of {self.description}"
        self._namespace = settings.namespace
        self._process = 0
        self._server: Server | None = None

    @property
    def clock_offset(self) -> float:
        """Seconds added to the clock of the database."""
        return self._context.clock_offset

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        self._context.clock_offset = seconds

    async def open(self) -> None:
        if self._server is not None and self._process == os.getpid():
            return
        server = Server(self._context)
        try:
            async with server.connections.borrowed() as connection:
                _, self._context.store = await read_version(connection, self._context.names)
        except FAILURES as error:
            await server.connections.close()
            raise translated(error, self.description) from error
        except BaseException:
            await server.connections.close()
            raise
        self._server, self._process = server, os.getpid()

    async def close(self) -> None:
        server, self._server = self._server, None
        if server is not None and self._process == os.getpid():
            await server.connections.close()

    async def schema(self) -> SchemaState:
        return await look_at_outbox(self._opened())

    async def migrate(self, *, dry_run: bool = False) -> Sequence[str]:
        return await take_outbox_steps(self._opened(), dry_run=dry_run)

    def _opened(self) -> Server:
        return check_open(self._name, self._server, self._process)

    async def _rows(self, call: str, *parameters: Any) -> list[Row]:
        return await self._opened().rows(call, self._namespace, *parameters)

    def create_statements(self) -> Sequence[str]:
        return create_statements(self._context.names)

    # Adding.

    def plan_add(self, entries: Sequence[OutboxEntry]) -> Plan[list[bool]]:
        if not entries:
            return []
        [(store, added)] = yield self._insert(entries)
        if self._context.store and store != self._context.store:
            raise other_database(self.description, f"another database ({store})")
        return _are_new(entries, bytes(added))

    def _insert(self, entries: Sequence[OutboxEntry]) -> Statement:
        for entry in entries:
            check_id(entry.id)
        parameters = (
            self._context.shift,
            self._namespace,
            self._context.store,
            b"".join([entry.id for entry in entries]),
            [entry.target for entry in entries],
            [entry.message for entry in entries],
        )
        return statement(self._context.calls["add"], parameters)

    async def add(self, entries: Sequence[OutboxEntry]) -> list[bool]:
        server = self._opened()
        if not entries:
            return []
        [(_, added)] = await server.rows("add", *self._insert(entries).params)
        return _are_new(entries, added)

    # Relays.

    async def take(
        self, target: str, *, holder: bytes, lease: float, limit: int
    ) -> list[OutboxRow]:
        check_lease(lease)
        shift = self._context.shift
        [(is_due, is_held)] = await self._rows("due", target, shift, holder)
        if not is_due or is_held:
            return []
        if not await self._rows("hold", target, shift, holder, micros(lease)):
            return []
        # A statement of its own: it sees what the last holder has deleted.
        rows = await self._rows("take", target, shift, limit, REFUSED_AT_ONCE, BYTES_AT_ONCE)
        return [_row(row) for row in rows]

    async def release(self, target: str, *, holder: bytes) -> None:
        await self._rows("release", target, holder)

    async def refuse(self, refusals: Sequence[Refusal]) -> None:
        if refusals:
            await self._rows(
                "refuse",
                self._context.shift,
                [UUID(bytes=each.id) for each in refusals],
                [each.error for each in refusals],
                [None if each.retry_in is None else micros(each.retry_in) for each in refusals],
                [each.is_counted for each in refusals],
            )

    # Rows.

    async def delete(self, ids: Sequence[bytes]) -> list[bool]:
        return await self._change("delete", ids)

    async def retry(self, ids: Sequence[bytes]) -> list[bool]:
        return await self._change("retry", ids)

    async def _change(self, call: str, ids: Sequence[bytes]) -> list[bool]:
        if not ids:
            return []
        rows = await self._rows(call, [UUID(bytes=each) for each in ids])
        changed = {row[0].bytes for row in rows}
        return [each in changed for each in ids]

    async def state(self) -> OutboxState:
        [(waiting, set_aside, age)] = await self._rows("state", self._context.shift, OUTBOX_BOUND)
        return OutboxState(waiting, set_aside, max(seconds(age or 0), 0.0))

    async def rows(
        self, *, set_aside: bool | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[OutboxRow]:
        last = None if cursor is None else unpack_cursor(_LISTING, cursor, length=1)[0]
        after = UUID(bytes=last) if isinstance(last, bytes) and len(last) == 16 else None
        rows = await self._rows(
            _LISTINGS[set_aside], self._context.shift, after, limit + 1, BYTES_AT_ONCE
        )
        found = [_row(row[:-1]) for row in rows[:limit]]
        if not rows or rows[0][-1] <= len(found):
            return Page(found)
        return Page(found, pack_cursor(_LISTING, (found[-1].id,)))


def _are_new(entries: Sequence[OutboxEntry], added: bytes) -> list[bool]:
    """Return which entries were added, each ID once."""
    left = {added[place : place + 16] for place in range(0, len(added), 16)}
    answers: list[bool] = []
    for entry in entries:
        answers.append(entry.id in left)
        left.discard(entry.id)
    return answers


def _row(row: Row) -> OutboxRow:
    message_id, target, message, age, attempts, error, not_before, pause = row
    return OutboxRow(
        id=message_id.bytes,
        target=target,
        message=message,
        age=max(seconds(age), 0.0),
        attempts=attempts,
        error=error,
        retry_in=None if not_before >= SET_ASIDE else max(seconds(pause), 0.0),
    )
