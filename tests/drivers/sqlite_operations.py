"""A SQLite driver that runs operations of tests in its transactions."""

from typing import TypeVar

from asynctasq.drivers.sqlite.driver import SqliteDriver
from asynctasq.drivers.sqlite.requests import Operation

T = TypeVar("T")


class OpenSqliteDriver(SqliteDriver):
    """Runs any operation as one of its own calls."""

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation on the connection for reading."""
        return await self._read(operation)

    async def write(self, operation: Operation[T]) -> T:
        """Run an operation in a transaction, with the calls that come at the same time."""
        return await self._write(operation)
