"""Short storms on Redis; `make chaos-redis` is the long one."""

from pathlib import Path

from tests.chaos.fuzz import check_fuzzed_store
from tests.chaos.short import calm_with_blocked_loops, short_storm
from tests.chaos.stores.redis import RedisStore


async def test_after_a_short_storm_the_ledger_agrees_with_redis(tmp_path: Path) -> None:
    report = await short_storm(RedisStore(tmp_path / "store"), tmp_path)
    assert not report.problems, str(report)


async def test_tasks_that_block_their_loop_for_longer_than_a_lease_run_once_on_redis(
    tmp_path: Path,
) -> None:
    report = await calm_with_blocked_loops(RedisStore(tmp_path / "store"), tmp_path)
    assert not report.problems, str(report)
    assert report.runs == report.accepted


async def test_malformed_messages_and_keys_harm_no_others_on_redis(tmp_path: Path) -> None:
    await check_fuzzed_store(RedisStore(tmp_path / "store"), tmp_path)
