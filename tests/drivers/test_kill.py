"""Several processes on one store, killed at random moments: nothing lost, nothing twice, no stale token."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from asynctasq.contracts.driver import Driver
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.testing.processes import check_each_message_once, check_kills, check_stale_owner


@pytest.fixture
def make_driver(tmp_path: Path) -> Callable[[], Driver]:
    # Power cuts are not what is tested, so that the disk's flushes need not be waited for.
    return partial(SqliteDriver, path=tmp_path / "killed.db", synchronous="normal")


def test_each_message_goes_to_one_of_several_processes(
    make_driver: Callable[[], Driver], tmp_path: Path
) -> None:
    check_each_message_once(make_driver, tmp_path)


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_processes_lose_and_double_nothing(
    make_driver: Callable[[], Driver], tmp_path: Path, seed: int
) -> None:
    report = check_kills(make_driver, tmp_path, seed=seed)
    assert report.completed_by_children, "no message was completed before the kills ended"
    assert report.deliveries > report.messages, "no message was delivered twice: nothing was tested"


def test_token_of_a_killed_process_is_rejected(
    make_driver: Callable[[], Driver], tmp_path: Path
) -> None:
    check_stale_owner(make_driver, tmp_path)
