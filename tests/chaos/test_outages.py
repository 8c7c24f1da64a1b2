"""Outages that follow each other, in the built-in stores."""

from pathlib import Path

import pytest

from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.sqlite import SqliteDriver
from tests.chaos.outages import check_two_outages_end_no_lease


@pytest.mark.parametrize("name", ["memory", "sqlite"])
async def test_a_second_outage_right_after_the_first_ends_no_lease(
    tmp_path: Path, name: str
) -> None:
    driver = MemoryDriver() if name == "memory" else SqliteDriver(tmp_path / "store.db")
    await check_two_outages_end_no_lease(driver)
