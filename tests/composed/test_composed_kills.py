"""Processes that share a queue and its state store are killed at random moments."""

from functools import partial
from pathlib import Path

from asynctasq.conformance.processes import check_kills
from tests.composed.queue_driver import composed_in


def test_killed_processes_lose_nothing_and_end_nothing_twice(tmp_path: Path) -> None:
    report = check_kills(partial(composed_in, tmp_path), tmp_path, messages=300, kills=6)
    assert report.completed_by_children
    assert report.completed_by_parent, "the messages ended before the kills did"
