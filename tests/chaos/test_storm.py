"""Short storms on SQLite; `make chaos` is the long one, and siblings have theirs for runs with `--full`."""

from pathlib import Path

import pytest

from tests.chaos.short import brief_storm, calm_with_blocked_loops, short_storm
from tests.chaos.stores.sqlite import SqliteStore


async def test_after_a_short_storm_the_ledger_agrees_with_sqlite(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Check the ledger after some faults of each kind; with `--full`, after all of them."""
    store = SqliteStore(tmp_path / "store")
    if request.config.getoption("full"):
        report = await short_storm(store, tmp_path)
    else:
        report = await brief_storm(store, tmp_path)
    assert not report.problems, str(report)


@pytest.mark.full
async def test_tasks_that_block_their_loop_for_longer_than_a_lease_run_once_on_sqlite(
    tmp_path: Path,
) -> None:
    report = await calm_with_blocked_loops(SqliteStore(tmp_path / "store"), tmp_path)
    assert not report.problems, str(report)
    assert report.runs == report.accepted
