"""A short storm; `make chaos-redis` is the long one."""

import os
from pathlib import Path

from tests.chaos.redis_storm import storm


async def test_whatever_happens_to_one_server_nothing_is_lost_stuck_or_copied(
    tmp_path: Path,
) -> None:
    seed = int.from_bytes(os.urandom(4))
    report = await storm("everything", tmp_path, seconds=3.0, seed=seed)
    print(report)
    assert not report.problems, str(report)
    assert report.strikes
    assert len(report.accepted) > 10
