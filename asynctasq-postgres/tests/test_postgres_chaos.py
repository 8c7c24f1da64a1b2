"""Short storms on PostgreSQL; `make chaos-postgres` runs the long one."""

from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.fuzz import check_fuzzed_store
from tests.chaos.numbers import check_a_bad_number_harms_no_others
from tests.chaos.outages import check_two_outages_end_no_lease
from tests.chaos.short import calm_with_blocked_loops, short_storm
from tests.chaos.stores.postgres import PostgresStore


@pytest.mark.full
async def test_after_a_short_storm_the_ledger_agrees_with_postgres(tmp_path: Path) -> None:
    report = await short_storm(PostgresStore(tmp_path / "store"), tmp_path)
    assert not report.problems, str(report)


@pytest.mark.full
async def test_tasks_that_block_their_loop_for_longer_than_a_lease_run_once_on_postgres(
    tmp_path: Path,
) -> None:
    report = await calm_with_blocked_loops(PostgresStore(tmp_path / "store"), tmp_path)
    assert not report.problems, str(report)
    assert report.runs == report.accepted


@pytest.mark.full
async def test_malformed_messages_and_rows_harm_no_others_on_postgres(tmp_path: Path) -> None:
    await check_fuzzed_store(PostgresStore(tmp_path / "store"), tmp_path)


@pytest.mark.parametrize("number", [nan, inf, -inf], ids=str)
async def test_a_settlement_with_a_bad_number_harms_no_others_of_its_batch(
    make_driver: Callable[..., Any], number: float
) -> None:
    await check_a_bad_number_harms_no_others(make_driver(), number)


async def test_a_second_outage_right_after_the_first_ends_no_lease(
    make_driver: Callable[..., Any],
) -> None:
    await check_two_outages_end_no_lease(make_driver())
