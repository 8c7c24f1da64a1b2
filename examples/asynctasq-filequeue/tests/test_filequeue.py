"""The driver keeps every rule of the contract that concerns it, and survives being killed."""

from functools import partial
from pathlib import Path

from asynctasq.contracts.driver import Driver
from asynctasq.testing import DriverConformance
from asynctasq.testing.processes import check_each_message_once, check_kills, check_stale_owner
from asynctasq_filequeue.driver import FileQueueDriver


class TestConformance(DriverConformance):
    durable = True

    def make_driver(self) -> Driver:
        return FileQueueDriver(self.folder / "queue.state")


def test_each_message_goes_to_one_process(tmp_path: Path) -> None:
    make_driver = partial(FileQueueDriver, tmp_path / "queue.state")
    check_each_message_once(make_driver, tmp_path, messages=60, consumers=2)


def test_nothing_is_lost_when_processes_are_killed(tmp_path: Path) -> None:
    make_driver = partial(FileQueueDriver, tmp_path / "queue.state")
    check_kills(make_driver, tmp_path, messages=60, consumers=2, kills=6)


def test_token_of_a_killed_process_is_worth_nothing(tmp_path: Path) -> None:
    check_stale_owner(partial(FileQueueDriver, tmp_path / "queue.state"), tmp_path)
