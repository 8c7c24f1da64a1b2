"""The conformance suite is tested by drivers that break one rule each: it must catch every one."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asynctasq.conformance import run_conformance
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.memory.brokered import StateStore as Store
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.drivers.sqlite.outbox import SqliteOutbox
from asynctasq.errors import BodyCorrupt
from tests.drivers import (
    event_mutants,
    metric_mutants,
    move_mutants,
    schedule_mutants,
    state_mutants,
    worker_request_mutants,
)
from tests.drivers.driver_mutants import MUTANTS as DRIVER_MUTANTS
from tests.drivers.driver_mutants import mutated
from tests.drivers.mutants import MUTANTS, driver_of
from tests.drivers.outbox_mutants import MUTANTS as OUTBOX_MUTANTS
from tests.drivers.outbox_mutants import driver_with
from tests.drivers.sqlite_transactions import transaction_in_file
from tests.drivers.transaction_mutants import MUTANTS as TRANSACTION_MUTANTS

pytestmark = pytest.mark.sampled(8)

for module in (
    event_mutants,
    metric_mutants,
    move_mutants,
    schedule_mutants,
    state_mutants,
    worker_request_mutants,
):
    assert module  # it registers its mutants

TIMEOUT = 5.0
"""Seconds for each check: a mutant that never delivers must not hold up the others."""


async def test_the_healthy_driver_passes() -> None:
    report = await run_conformance(MemoryDriver)
    assert report.ok, report


@pytest.mark.parametrize("broken", MUTANTS, ids=lambda broken: broken.__name__)
async def test_the_suite_catches(broken: type[Store]) -> None:
    report = await run_conformance(
        driver_of(broken), only=[MUTANTS[broken]], timeout=TIMEOUT, stop_at_first=True
    )
    assert not report.ok, f"{MUTANTS[broken]}: no check notices: {broken.__doc__}"


@pytest.fixture(params=["memory", "sqlite"])
def on(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Callable[[], Driver]]:
    """Return a maker of factories of driver mutants, with a separate namespace for each check."""

    def make(name: str) -> Callable[[], Driver]:
        mutant = DRIVER_MUTANTS[name]
        if request.param == "memory":
            factory: Callable[[], Driver] = mutated(MemoryDriver, name, mutant)
            return factory
        sqlite: Any = mutated(SqliteDriver, name, mutant)
        return partial(sqlite, path=tmp_path / "mutant.db", synchronous="off")

    return make


@pytest.mark.parametrize("name", DRIVER_MUTANTS)
async def test_the_suite_catches_on_every_driver(
    name: str, on: Callable[[str], Callable[[], Driver]]
) -> None:
    mutant = DRIVER_MUTANTS[name]
    report = await run_conformance(
        on(name), only=[mutant.theme], timeout=TIMEOUT, stop_at_first=True, one_namespace=True
    )
    assert not report.ok, f"{mutant.theme}: no check notices: {mutant.about}"


async def _damage(driver: Driver, message_id: bytes) -> None:
    with closing(sqlite3.connect(driver.description)) as database, database:
        database.execute("UPDATE messages SET profile = x'c1' WHERE id = ?", [message_id])


def _raise(*_: Any, **__: Any) -> Any:
    raise BodyCorrupt("damaged")


@pytest.mark.parametrize(
    ("name", "instead", "about"),
    [
        ("claiming.make_dead_letter", _raise, "A damaged record stops its queue."),
        ("claiming.make_dead_letter", lambda *_: None, "A damaged record stays ready for ever."),
        ("inspection.read_message", _raise, "A listing fails for one damaged record."),
        ("dead_letters.read_message", _raise, "Dead letters cannot be listed for one of them."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_suite_catches_what_damage_does(
    name: str, instead: Any, about: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"asynctasq.drivers.sqlite.{name}", instead)
    make = partial(SqliteDriver, path=tmp_path / "mutant.db", synchronous="off")
    report = await run_conformance(
        make, only=["damage"], timeout=TIMEOUT, one_namespace=True, damage=_damage
    )
    assert not report.ok, f"no check notices: {about}"


@pytest.mark.parametrize("broken", OUTBOX_MUTANTS, ids=lambda broken: broken.__name__)
async def test_the_suite_catches_broken_outboxes(
    broken: type[SqliteOutbox], tmp_path: Path
) -> None:
    make = partial(driver_with(broken), path=tmp_path / "mutant.db", synchronous="off")
    report = await run_conformance(
        make, only=["outbox"], timeout=TIMEOUT, stop_at_first=True, one_namespace=True
    )
    assert not report.ok, f"no check notices: {broken.__doc__}"


@pytest.mark.parametrize("broken", TRANSACTION_MUTANTS, ids=lambda broken: broken.__name__)
async def test_the_suite_catches_plans(broken: type[SqliteDriver], tmp_path: Path) -> None:
    report = await run_conformance(
        partial(broken, path=tmp_path / "mutant.db", synchronous="off"),
        only=["transactions"],
        transaction=transaction_in_file,
        timeout=TIMEOUT,
        stop_at_first=True,
    )
    assert not report.ok, f"no check notices: {broken.__doc__}"
