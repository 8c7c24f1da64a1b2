"""The client libraries: aiomysql, or asyncmy where it is installed and chosen.

Only calls that both have alike are used: `connect`, `cursor`, `execute`, `fetchall` and `nextset`.
"""

import importlib
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from asynctasq.driverkit.batching import batches
from asynctasq.errors import ConfigurationError
from asynctasq.records import record
from asynctasq_mysql.errors import LostConnection, is_lost

if TYPE_CHECKING:
    from asynctasq_mysql.settings import MySQLSettings

SMALLEST_PACKET = 1 << 19
"""Bytes that every server accepts in one packet."""

Row: TypeAlias = tuple[Any, ...]


@record
class Answer:
    """The answer to one statement."""

    rows: Sequence[Row]
    changed: int
    """Rows that the statement changed; -1 where the client does not say."""


class Client:
    """A client library."""

    def __init__(self, name: str) -> None:
        try:
            self._module = importlib.import_module(name)
            errors = importlib.import_module(
                "pymysql.err" if name == "aiomysql" else "asyncmy.errors"
            )
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"mysql.client must be a client that is installed, got {name!r}. To install it: pip install {name}"
            ) from error
        self.name = name
        self.error: type[Exception] = errors.MySQLError

    async def connect(self, settings: "MySQLSettings") -> "Wire":
        """Return a connection to the server."""
        address = settings.address()
        options: dict[str, Any] = {
            "user": address.username or None,
            "password": address.password or "",
            "charset": "utf8mb4",
            "autocommit": None,
            "connect_timeout": settings.connect_timeout,
        }
        options["database" if self.name == "asyncmy" else "db"] = address.database
        if address.socket:
            options["unix_socket"] = address.socket
        else:
            options |= {"host": address.host, "port": address.port}
            context = settings.tls_context()
            if context is not None:
                options["ssl"] = context
        return Wire(await self._module.connect(**options), self.error)


class Wire:
    """One connection, which serves one call at a time."""

    def __init__(self, connection: Any, error: type[Exception]) -> None:
        self._connection = connection
        self.packet = SMALLEST_PACKET
        """Bytes of statements that are sent together, unless a single one has more."""
        self._error = error
        self.is_broken = False
        self.idle_since = 0.0

    async def run(self, *texts: str) -> list[Answer]:
        """Execute statements in one round trip, or a few if they are large; return an answer for each.

        Raises:
            LostConnection: the connection broke.
        """
        answers: list[Answer] = []
        try:
            for some in batches(texts, len(texts) or 1, size=len, most_bytes=self.packet):
                answers += await self._send(";\n".join(some))
        except self._error as error:
            self.is_broken = self.is_broken or is_lost(error) or self._is_closed()
            raise
        except Exception as error:
            # Clients raise many kinds of errors where the stream ends in the middle of a packet.
            self.is_broken = True
            raise LostConnection(f"the connection broke: {error!r}") from error
        except BaseException:
            self.is_broken = True
            raise
        return answers

    async def _send(self, text: str) -> list[Answer]:
        answers: list[Answer] = []
        async with self._connection.cursor() as cursor:
            await cursor.execute(text)
            while True:
                rows = await cursor.fetchall() if cursor.description else ()
                answers.append(Answer(rows, cursor.rowcount))
                if not await cursor.nextset():
                    return answers

    def _is_closed(self) -> bool:
        return not getattr(self._connection, "_writer", True)

    async def close(self) -> None:
        """Tell the server, and close the socket. Never raises."""
        self.is_broken = True
        with suppress(Exception):
            await self._connection.ensure_closed()
        self.drop()

    def drop(self) -> None:
        """Close the socket; on another loop than that of the connection, too. Never raises."""
        self.is_broken = True
        transport = getattr(getattr(self._connection, "_writer", None), "transport", None)
        with suppress(Exception):
            self._connection.close()
        # The transport of a loop that is closed never gets to close its socket.
        kept = getattr(transport, "_sock", None)
        if kept is not None and transport is not None and transport._loop.is_closed():
            kept.close()
            transport._sock = None
