"""Short storms on MariaDB; `make chaos-mysql` runs the long one."""

from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.faults.connections import CONNECTIONS
from tests.chaos.fuzz import check_fuzzed_store
from tests.chaos.numbers import check_a_bad_number_harms_no_others
from tests.chaos.outages import check_two_outages_end_no_lease
from tests.chaos.short import brief_storm, calm_with_blocked_loops, quick_kinds, short_storm
from tests.chaos.stores.mysql import MysqlStore
from tests.chaos.stores.sql_faults import SQL_PARTIAL, SQL_STORE


@pytest.mark.full
async def test_after_a_brief_storm_the_ledger_agrees_with_mysql(tmp_path: Path) -> None:
    servers = [each for each in SQL_STORE if each not in CONNECTIONS]
    faults = {"store": servers, "partial": SQL_PARTIAL}
    store = MysqlStore(tmp_path / "store")
    report = await brief_storm(store, tmp_path, faults, kinds=quick_kinds())
    assert not report.problems, str(report)


@pytest.mark.full
async def test_after_a_short_storm_the_ledger_agrees_with_mysql(tmp_path: Path) -> None:
    report = await short_storm(MysqlStore(tmp_path / "store"), tmp_path)
    assert not report.problems, str(report)


@pytest.mark.full
async def test_tasks_that_block_their_loop_for_longer_than_a_lease_run_once_on_mysql(
    tmp_path: Path,
) -> None:
    report = await calm_with_blocked_loops(MysqlStore(tmp_path / "store"), tmp_path)
    assert not report.problems, str(report)
    assert report.runs == report.accepted


@pytest.mark.full
async def test_malformed_messages_and_rows_harm_no_others_on_mysql(tmp_path: Path) -> None:
    await check_fuzzed_store(MysqlStore(tmp_path / "store"), tmp_path)


@pytest.mark.parametrize("number", [nan, inf, -inf], ids=str)
async def test_a_settlement_with_a_bad_number_harms_no_others_of_its_batch(
    make_driver: Callable[..., Any], number: float
) -> None:
    await check_a_bad_number_harms_no_others(make_driver(), number)


async def test_a_second_outage_right_after_the_first_ends_no_lease(
    make_driver: Callable[..., Any],
) -> None:
    await check_two_outages_end_no_lease(make_driver())
