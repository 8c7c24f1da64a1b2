"""The driver keeps every rule of the contract that concerns it, and survives being killed."""

from functools import partial
from pathlib import Path

from asynctasq.conformance import DriverConformance
from asynctasq.conformance.processes import check_each_message_once, check_kills, check_stale_owner
from asynctasq.contracts.driver import Driver
from asynctasq_filestore.driver import FileStoreDriver


def make(folder: Path) -> FileStoreDriver:
    """Return an unopened driver on the store in this folder. Other processes call this, too."""
    return FileStoreDriver(folder / "queue.state")


class TestConformance(DriverConformance):
    durable = True

    def make_driver(self) -> Driver:
        return make(self.folder)


def test_each_message_goes_to_one_process(tmp_path: Path) -> None:
    check_each_message_once(partial(make, tmp_path), tmp_path, messages=60, consumers=2)


def test_nothing_is_lost_when_processes_are_killed(tmp_path: Path) -> None:
    check_kills(partial(make, tmp_path), tmp_path, messages=60, consumers=2, kills=6)


def test_token_of_a_killed_process_is_worth_nothing(tmp_path: Path) -> None:
    check_stale_owner(partial(make, tmp_path), tmp_path)
