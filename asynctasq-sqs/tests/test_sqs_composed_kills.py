"""Processes that share SQS and a state store in a file are killed at random moments."""

from functools import partial
from pathlib import Path

import pytest

from asynctasq.conformance.processes import check_kills
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.composed import compose
from asynctasq.drivers.sqlite import SqliteDriver
from tests.servers.moto_driver import MovableClock


def composed(url: str, namespace: str, folder: Path) -> Driver:
    """Return an unopened driver on the stand-in, with its state in a folder."""
    return compose(
        MovableClock.at(url, namespace), SqliteDriver(folder / "state.db", synchronous="normal")
    )


@pytest.mark.full
def test_killed_processes_lose_nothing_and_end_nothing_twice(
    url: str, namespace: str, tmp_path: Path
) -> None:
    report = check_kills(
        partial(composed, url, namespace, tmp_path), tmp_path, messages=300, kills=6
    )
    assert report.completed_by_children
    assert report.completed_by_parent, "the messages ended before the kills did"
