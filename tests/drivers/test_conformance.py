"""The built-in drivers keep every rule of the contract."""

import sqlite3
from contextlib import AbstractAsyncContextManager, closing

from asynctasq.conformance import DriverConformance
from asynctasq.conformance.harness import RunPlan
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.sqlite import SqliteDriver
from tests.drivers.sqlite_transactions import transaction_in_file


class TestMemory(DriverConformance):
    def make_driver(self) -> Driver:
        return MemoryDriver()


class TestSqlite(DriverConformance):
    durable = True

    def make_driver(self) -> Driver:
        return SqliteDriver(path=self.folder / "conformance.db")

    async def damage(self, driver: Driver, message_id: bytes) -> None:
        with closing(sqlite3.connect(driver.description)) as database, database:
            database.execute(
                "UPDATE schedules SET next_at = 'x' WHERE id = CAST(? AS TEXT)", [message_id]
            )
            database.execute(
                "UPDATE messages SET profile = x'c1', error = x'c1' WHERE id = ?", [message_id]
            )

    def transaction(self, driver: Driver) -> AbstractAsyncContextManager[RunPlan]:
        return transaction_in_file(driver)

    async def stop_hard(self, driver: Driver) -> None:
        """Undo what a power failure may undo: the leases, which are not synced."""
        with closing(sqlite3.connect(driver.description)) as database, database:
            database.execute(
                "UPDATE messages SET state = 3, token = 0, leased_at = enqueued_at WHERE state = 5"
            )
