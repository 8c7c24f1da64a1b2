"""A queue that is composed with a state store keeps every rule of the capabilities that it claims."""

import pytest

from asynctasq.conformance import DriverConformance
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.composed import compose
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.sqlite import SqliteDriver
from tests.composed.queue_driver import QueueDriver

pytestmark = pytest.mark.sampled(6)


class TestWithMemory(DriverConformance):
    def make_driver(self) -> Driver:
        return compose(QueueDriver(), MemoryDriver())


class TestWithSqlite(DriverConformance):
    def make_driver(self) -> Driver:
        state = SqliteDriver(path=self.folder / "state.db", synchronous="off")
        return compose(QueueDriver(), state)
