"""Several processes on one store, killed at random moments: nothing lost, nothing twice, no stale token.

ASYNCTASQ_TEST_KILL_SEEDS runs it with more seeds (a number), ASYNCTASQ_TEST_KILLS with more kills.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from asynctasq.conformance.processes import check_each_message_once, check_kills, check_stale_owner
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.sqlite import SqliteDriver
from tests.drivers.losing_drivers import AcknowledgesEarly, DeliversTwice, TrustsEveryToken

SEEDS = int(os.environ.get("ASYNCTASQ_TEST_KILL_SEEDS", "1"))
KILLS = int(os.environ.get("ASYNCTASQ_TEST_KILLS", "10"))


def _driver(tmp_path: Path, driver: type[SqliteDriver] = SqliteDriver) -> Callable[[], Driver]:
    # Power cuts are not what is tested, so that the disk's flushes need not be waited for.
    return partial(driver, path=tmp_path / "killed.db", synchronous="normal")


def test_each_message_goes_to_one_of_several_processes(tmp_path: Path) -> None:
    check_each_message_once(_driver(tmp_path), tmp_path)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_processes_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    report = check_kills(_driver(tmp_path), tmp_path, kills=KILLS, seed=seed)
    assert report.completed_by_children
    assert report.completed_by_parent, "the messages ended before the kills did"


def test_token_of_a_killed_process_is_rejected(tmp_path: Path) -> None:
    check_stale_owner(_driver(tmp_path), tmp_path)


def test_message_that_is_acknowledged_early_is_found_lost(tmp_path: Path) -> None:
    make_driver = _driver(tmp_path, AcknowledgesEarly)
    with pytest.raises(AssertionError, match="messages are lost"):
        check_kills(make_driver, tmp_path, messages=100, consumers=1, kills=2)


def test_message_that_two_processes_get_is_found(tmp_path: Path) -> None:
    make_driver = _driver(tmp_path, DeliversTwice)
    with pytest.raises(AssertionError, match="times that a message was delivered"):
        check_each_message_once(make_driver, tmp_path, messages=60)


def test_trusted_stale_token_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="stale owner"):
        check_stale_owner(_driver(tmp_path, TrustsEveryToken), tmp_path)
