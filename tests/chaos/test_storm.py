"""A short storm; `make chaos` is the long one."""

import os
from pathlib import Path

from tests.chaos.storm import storm


async def test_whatever_happens_to_workers_nothing_is_lost_or_counted_wrongly(
    tmp_path: Path,
) -> None:
    seed = int.from_bytes(os.urandom(4))
    report = await storm(tmp_path, tasks=200, workers=2, strikes=6, seconds=100.0, seed=seed)
    print(report)
    assert not report.problems, str(report)
    assert report.signals.total()
    assert report.completed
