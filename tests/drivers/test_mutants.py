"""The conformance suite is tested by drivers that break one rule each: it must catch every one."""

import pytest

from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.memory.store import Store
from asynctasq.testing import run_conformance
from tests.drivers.mutants import MUTANTS, driver_of

TIMEOUT = 5.0
"""Seconds for each check: a mutant that never delivers must not hold up the others."""


async def test_the_healthy_driver_passes() -> None:
    report = await run_conformance(MemoryDriver)
    assert report.ok, report


@pytest.mark.parametrize("store", MUTANTS, ids=lambda store: store.__name__)
async def test_the_suite_catches(store: type[Store]) -> None:
    report = await run_conformance(
        driver_of(store), only=[MUTANTS[store]], timeout=TIMEOUT, stop_at_first=True
    )
    assert not report.ok, f"{MUTANTS[store]}: no check notices: {store.__doc__}"
