"""Connections to the server: a few for calls, which are made when they are needed, and one for notifications."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import asyncpg

from asynctasq_postgres.addresses import Address
from asynctasq_postgres.errors import FAILURES, breaks_connection
from asynctasq_postgres.settings import PostgresSettings

Connection: TypeAlias = Any
"""An `asyncpg.Connection`; the client has no types."""

_connecting: set["asyncio.Task[Connection]"] = set()
"""Connections in the making; the event loop does not keep its tasks alive."""

CLOSE_SECONDS = 2.0


def abandon(connection: Connection) -> None:
    """Close a connection at once, even during a call."""
    with suppress(Exception):  # its loop may be closed
        connection.terminate()


async def connect(
    settings: PostgresSettings,
    address: Address,
    *,
    left: Callable[[Connection], None] = abandon,
) -> Connection:
    """Return a new connection to the host that accepts writes.

    Nothing is set on it: a PgBouncer refuses or forgets such settings.

    Args:
        settings: those of the driver.
        address: where to connect.
        left: called with the connection if the caller was cancelled meanwhile. The attempt goes on then, because
            asyncpg reports one that is interrupted as an error to the event loop.
    """
    options: dict[str, Any] = {
        "host": [host for host, _ in address.hosts],
        "port": [port for _, port in address.hosts],
        "user": address.username,
        "password": address.password,
        "database": address.database,
        "ssl": _tls(settings, address),
        "timeout": settings.connect_timeout,
        "command_timeout": settings.timeout,
        "statement_cache_size": settings.statement_cache_size,
        "max_cached_statement_lifetime": 0,
        "target_session_attrs": "read-write" if len(address.hosts) > 1 else "any",
    }
    connecting = asyncio.create_task(asyncpg.connect(**options))
    _connecting.add(connecting)
    connecting.add_done_callback(_connecting.discard)
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        connecting.add_done_callback(lambda ended: _leave(ended, left))
        raise


def _leave(connecting: "asyncio.Task[Connection]", left: Callable[[Connection], None]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        left(connecting.result())


def _tls(settings: PostgresSettings, address: Address) -> Any:
    mode = settings.tls or ("verify-full" if settings.tls_ca else "prefer")
    if all(host.startswith("/") for host, _ in address.hosts):
        return False
    if mode in {"disable", "prefer", "require"} and not (
        settings.tls_ca or settings.tls_certificate
    ):
        return mode
    context = ssl.create_default_context(cafile=settings.tls_ca)
    if mode != "verify-full":
        context.check_hostname = False
    if not mode.startswith("verify"):
        context.verify_mode = ssl.CERT_NONE
    if settings.tls_certificate:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    return context


class CallConnection:
    """A connection for calls, and the statements that are prepared on it.

    asyncpg finds statements that `fetch` has prepared, too, but a statement that is kept costs less per call.
    """

    __slots__ = ("_statements", "connection")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._statements: dict[str, Any] = {}

    async def rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """Return the rows of a statement, which stays prepared."""
        statement = self._statements.get(sql)
        if statement is None:
            statement = self._statements[sql] = await self.connection.prepare(sql)
        try:
            rows: list[Any] = await statement.fetch(*parameters)
        except asyncpg.InvalidCachedStatementError:  # the schema has changed
            statement = self._statements[sql] = await self.connection.prepare(sql)
            rows = await statement.fetch(*parameters)
        return rows


class Connections:
    """The connections of an opened driver, on one loop."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._address = settings.address()
        self._slots = asyncio.Semaphore(settings.max_connections)
        self._idle: list[CallConnection] = []
        self._used: set[CallConnection] = set()
        self._closing: set[asyncio.Task[None]] = set()
        """Each closes the connection of a call that was cancelled."""
        self._loop = asyncio.get_running_loop()
        self.is_closed = False

    def borrowed(self) -> "Loan":
        """Return a context that yields a connection that no other call uses meanwhile.

        Raises:
            asyncpg.InterfaceError: the driver was closed.
            OSError, TimeoutError, asyncpg.PostgresError: the server accepts no connection.
        """
        return Loan(self)

    async def take(self) -> CallConnection:
        """Return a connection for one call. Each `take` is followed by a `give_back`."""
        await self._slots.acquire()
        while self._idle:
            taken = self._idle.pop()
            if not taken.connection.is_closed():
                self._used.add(taken)
                return taken
        try:
            taken = CallConnection(await self._connect())
        except BaseException:
            self._slots.release()
            raise
        self._used.add(taken)
        return taken

    def give_back(self, taken: CallConnection, error: BaseException | None) -> None:
        """Let other calls have a connection, or close it after an error that leaves it in doubt."""
        connection = taken.connection
        self._used.discard(taken)
        is_sound = error is None or (isinstance(error, FAILURES) and not breaks_connection(error))
        if isinstance(error, asyncio.CancelledError) and not connection.is_closed():
            self._close_soon(connection)
        elif not is_sound or self.is_closed or connection.is_closed():
            abandon(connection)
        else:
            self._idle.append(taken)
        self._slots.release()

    def _close_soon(self, connection: Connection) -> None:
        """Close a connection whose call was cancelled, once the server was asked to cancel the call.

        asyncpg reports an error to the event loop if that request is interrupted.
        """
        closing = asyncio.create_task(_close(connection), name="asynctasq-postgres-close")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _connect(self) -> Connection:
        self._check_open()
        connection = await connect(self._settings, self._address, left=self._keep)
        try:
            self._check_open()
        except asyncpg.InterfaceError:
            abandon(connection)
            raise
        return connection

    def _keep(self, connection: Connection) -> None:
        """Keep a connection whose caller was cancelled for the next call."""
        count = len(self._idle) + len(self._used)
        if self.is_closed or count >= self._settings.max_connections:
            abandon(connection)
        else:
            self._idle.append(CallConnection(connection))

    def _check_open(self) -> None:
        if self.is_closed:
            raise asyncpg.InterfaceError("the driver was closed")

    def drop_idle(self) -> None:
        """Close all connections that no call uses, after an error that concerns the server."""
        idle, self._idle = self._idle, []
        for each in idle:
            abandon(each.connection)

    async def close(self) -> None:
        """Close all connections. Never raises."""
        self.is_closed = True
        idle, self._idle = self._idle, []
        for each in self._used:
            abandon(each.connection)
        is_here = self._loop is asyncio.get_running_loop()
        for each in idle:
            if is_here:
                await _close(each.connection)
            else:
                abandon(each.connection)
        if is_here and self._closing:
            await asyncio.wait(self._closing)


async def _close(connection: Connection) -> None:
    """Close a connection that no call uses, within `CLOSE_SECONDS`. Never raises."""
    with suppress(Exception):  # it is closed, whatever the server answers
        await connection.close(timeout=CLOSE_SECONDS)


class Loan:
    """A connection, for the time of a call. A class, because a generator doubles the price of a call."""

    __slots__ = ("_connections", "_taken")

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def __aenter__(self) -> Connection:
        self._taken = await self._connections.take()
        return self._taken.connection

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._connections.give_back(self._taken, error)
