"""The suite as a pytest class."""

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar, Protocol

from asynctasq.conformance.check import Check
from asynctasq.conformance.harness import RunPlan
from asynctasq.conformance.runner import (
    CHECK_TIMEOUT,
    declared_failures,
    run_check,
    select_checks,
)
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver


class _Metafunc(Protocol):
    """The argument of pytest's hook `pytest_generate_tests`, as far as it is used here."""

    @property
    def fixturenames(self) -> list[str]: ...

    def parametrize(self, argnames: str, argvalues: list[Check], *, ids: list[str]) -> None: ...


class DriverConformance:
    """Subclass this in a test module and every rule of the contract becomes a test of your driver.

        class TestMyDriver(DriverConformance):
            durable = True

            def make_driver(self) -> Driver:
                return MyDriver(self.folder / "queue")

    A check that needs a capability which the driver lacks is not generated at all. There is no
    skipping and no overriding; what is known to fail is declared, with the reason, and must fail.
    """

    durable: ClassVar[bool] = False
    """Messages outlive the last open instance: reopening is checked too."""

    known_failures: ClassVar[Mapping[str, str]] = {}
    """Name of check to the reason for which it fails."""

    capabilities: ClassVar[Capability | None] = None
    """Needed only where `make_driver` cannot work while tests are being collected (because it uses
    a fixture); must equal the driver's."""

    clock_is_movable: ClassVar[bool] = True
    """That of the driver; needed only with `capabilities`."""

    real_time: ClassVar[bool] = False
    """The theme `real_time`, whose checks wait for seconds, is checked although the clock is movable."""

    check_timeout: ClassVar[float] = CHECK_TIMEOUT
    """Seconds for each check."""

    crowded: ClassVar[bool] = False
    """Each check runs beside messages of others, in another namespace and in a queue of its own: as in a
    store that is in use. Needs `make_neighbour`."""

    folder: Path
    """An empty folder for each check; while tests are being collected, just some folder."""

    def make_driver(self) -> Driver:
        """Return an unopened driver; called once for each check, and once when tests are collected.

        Two checks may share a store but should not share a namespace when they run in parallel:
        each moves the clock.
        """
        raise NotImplementedError(f"{type(self).__qualname__} must define make_driver")

    def make_neighbour(self) -> Driver:
        """With `crowded`: an unopened driver on the same store, but another namespace."""
        raise NotImplementedError(f"{type(self).__qualname__} is crowded: define make_neighbour")

    async def damage(self, driver: Driver, message_id: bytes) -> None:
        """Make the stored record of this message unreadable.

        Define it for a store whose records can be damaged: then the checks of rule 49 are made too.

        Args:
            driver: opened, one of `make_driver`.
            message_id: of a message that waits, runs or is dead. With SCHEDULES also the name of a schedule in
                UTF-8, which never has the 16 bytes of an ID.
        """
        raise NotImplementedError

    async def stop_hard(self, driver: Driver) -> None:
        """Stop the store hard, so that it may lose its last writes, and start it again.

        Define it for a store that runs for tests: then checks look what a lost write does.

        Args:
            driver: opened, one of `make_driver`. It is closed afterwards.
        """
        raise NotImplementedError

    def transaction(self, driver: Driver) -> AbstractAsyncContextManager[RunPlan]:
        """Begin a transaction of an application, on a connection of its own to the database of the driver.

        Define it for a driver with TRANSACTIONS: then the theme `transactions` is checked. The context yields a
        function that runs a plan. Its end commits; an error rolls back.

        Args:
            driver: opened, one of `make_driver`.
        """
        raise NotImplementedError

    @classmethod
    def _can_transact(cls) -> bool:
        return cls.transaction is not DriverConformance.transaction

    @classmethod
    def _can_stop(cls) -> bool:
        return cls.stop_hard is not DriverConformance.stop_hard

    @classmethod
    def _can_damage(cls) -> bool:
        return cls.damage is not DriverConformance.damage

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        sealed = {"test_check", "test_capabilities_are_as_declared", "pytest_generate_tests"}
        overridden = sealed & set(vars(cls))
        if overridden:
            raise TypeError(
                f"{cls.__qualname__} must not override {', '.join(sorted(overridden))}. Declare a "
                f"check that fails in known_failures = {{'name_of_check': 'reason'}}."
            )

    def pytest_generate_tests(self, metafunc: _Metafunc) -> None:
        if "conformance_check" not in metafunc.fixturenames:
            return
        self.folder = Path(tempfile.gettempdir())
        capabilities, clock_is_movable = self.capabilities, self.clock_is_movable
        if capabilities is None:
            driver = self.make_driver()
            capabilities, clock_is_movable = driver.capabilities, driver.clock_is_movable
        checks = select_checks(
            capabilities,
            durable=self.durable,
            known_failures=self.known_failures,
            can_damage=self._can_damage(),
            can_stop=self._can_stop(),
            can_transact=self._can_transact(),
            clock_is_movable=clock_is_movable,
            real_time=self.real_time,
        )
        metafunc.parametrize(
            "conformance_check", checks, ids=[f"{check.theme}.{check.name}" for check in checks]
        )

    def test_check(self, conformance_check: Check, tmp_path: Path) -> None:
        self.folder = tmp_path
        known = {**declared_failures(self.make_driver()), **self.known_failures}
        reason = known.get(conformance_check.name)
        try:
            asyncio.run(
                run_check(
                    conformance_check,
                    self.make_driver,
                    timeout=self.check_timeout,
                    make_neighbour=self.make_neighbour if self.crowded else None,
                    damage=self.damage if self._can_damage() else None,
                    stop_hard=self.stop_hard if self._can_stop() else None,
                    transaction=self.transaction if self._can_transact() else None,
                )
            )
        except Exception as error:
            if reason is None:
                error.add_note(
                    f'Broken: {conformance_check.breaks} ("Write a driver" in the documentation).'
                )
                raise
        else:
            if reason is not None:
                raise AssertionError(
                    f"{conformance_check.name} passes, but is declared to fail ({reason}): "
                    f"remove it from known_failures"
                )

    def test_capabilities_are_as_declared(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        if self.capabilities is not None:
            actual = self.make_driver().capabilities
            if actual != self.capabilities:
                raise AssertionError(
                    f"declared {self.capabilities!r}, but the driver has {actual!r}"
                )
