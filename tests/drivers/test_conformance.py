"""The built-in drivers keep every rule of the contract."""

from asynctasq.contracts.driver import Driver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.testing import DriverConformance


class TestMemory(DriverConformance):
    def make_driver(self) -> Driver:
        return MemoryDriver()
