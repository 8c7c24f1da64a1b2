"""The built-in drivers keep every rule of the contract."""

from asynctasq.contracts.driver import Driver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.testing import DriverConformance


class TestMemory(DriverConformance):
    def make_driver(self) -> Driver:
        return MemoryDriver()


class TestSqlite(DriverConformance):
    durable = True

    def make_driver(self) -> Driver:
        return SqliteDriver(path=self.folder / "conformance.db")
