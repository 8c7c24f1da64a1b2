"""The model test: drivers live through random operations together with the memory driver."""

from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from asynctasq.conformance.model import DriverModel, run_model
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.memory.brokered import StateStore as Store
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.errors import ConfigurationError
from tests.drivers.mutants import (
    AttemptNotCounted,
    CancelFlagIgnored,
    ExpiryIgnored,
    LostCountsAttempt,
    driver_of,
)


def test_memory_lives_like_another_memory() -> None:
    run_model(MemoryDriver)


def test_sqlite_lives_like_memory(tmp_path: Path) -> None:
    """All examples share a file, each in a namespace of its own: they must not see each other."""
    path = tmp_path / "model.db"

    def make() -> Driver:
        return SqliteDriver(path, namespace=uuid4().hex, synchronous="off")

    run_model(make, examples=25)


@pytest.mark.parametrize(
    "broken", [AttemptNotCounted, CancelFlagIgnored, ExpiryIgnored, LostCountsAttempt]
)
def test_a_driver_that_breaks_a_rule_is_found_out(broken: type[Store]) -> None:
    class Model(DriverModel):
        def make_driver(self) -> Driver:
            return driver_of(broken)()

    unshrunk = settings(max_examples=2_000, deadline=None, database=None, phases=[Phase.generate])
    with pytest.raises(AssertionError, match="disagree"):
        run_state_machine_as_test(Model, settings=unshrunk)


def test_only_what_the_driver_has_is_played() -> None:
    class Plain(MemoryDriver):
        capabilities = (
            Capability.FENCED | Capability.COUNTED | Capability.FIFO | Capability.EXACT_COUNT
        )

    for method in ("cancel", "results", "pause", "requeue", "purge", "set_progress", "find"):
        setattr(Plain, method, None)
    run_model(Plain, examples=10)


def test_a_driver_that_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="FIFO"):
        run_model(
            MemoryDriver, capabilities=MemoryDriver.capabilities & ~Capability.FIFO, examples=1
        )
