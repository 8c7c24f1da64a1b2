"""Numbers that are not finite, in the built-in stores."""

from math import inf, nan
from pathlib import Path

import pytest

from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.sqlite import SqliteDriver
from tests.chaos.numbers import check_a_bad_number_harms_no_others


@pytest.mark.parametrize("number", [nan, inf, -inf], ids=str)
@pytest.mark.parametrize("name", ["memory", "sqlite"])
async def test_a_settlement_with_a_bad_number_harms_no_others_of_its_batch(
    tmp_path: Path, name: str, number: float
) -> None:
    driver = MemoryDriver() if name == "memory" else SqliteDriver(tmp_path / "store.db")
    await check_a_bad_number_harms_no_others(driver, number)
