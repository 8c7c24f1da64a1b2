"""Short storms on SQLite; `make chaos` is the long one."""

from pathlib import Path

from tests.chaos.short import calm_with_blocked_loops, short_storm
from tests.chaos.stores.sqlite import SqliteStore


async def test_after_a_short_storm_the_ledger_agrees_with_sqlite(tmp_path: Path) -> None:
    report = await short_storm(SqliteStore(tmp_path / "store"), tmp_path)
    assert not report.problems, str(report)


async def test_tasks_that_block_their_loop_for_longer_than_a_lease_run_once_on_sqlite(
    tmp_path: Path,
) -> None:
    report = await calm_with_blocked_loops(SqliteStore(tmp_path / "store"), tmp_path)
    assert not report.problems, str(report)
    assert report.runs == report.accepted
