"""Which writes the sqlite driver waits for until the disk has them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from asynctasq.drivers.sqlite.settings import Synchronous
from asynctasq.message import Message, new_id
from asynctasq.settlement import Complete, Settled
from tests.drivers.sqlite_operations import OpenSqliteDriver

NORMAL, FULL = 1, 2
"""As SQLite numbers them. In normal mode a commit is in the log, but not yet on the disk."""


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[OpenSqliteDriver]:
    driver = OpenSqliteDriver(path=str(tmp_path / "queue.db"))
    await driver.open()
    yield driver
    await driver.close()


async def last_mode(driver: OpenSqliteDriver) -> int:
    """Return the synchronous mode of the last transaction."""
    number: int = await driver.read(
        lambda session: session.connection.execute("PRAGMA synchronous").fetchone()[0]
    )
    return number


def message() -> Message:
    return Message(new_id(), "q", "task", b"body")


async def test_accepted_messages_and_outcomes_are_synced_and_leases_are_not(
    driver: OpenSqliteDriver,
) -> None:
    for _ in range(2):
        await driver.enqueue([message()])
        assert await last_mode(driver) == FULL
        [delivery] = await driver.reserve({"q": 1}, limit=1, owner="me", lease=30.0)
        assert await last_mode(driver) == NORMAL
        await driver.extend("me", [delivery.lease], lease=30.0)
        assert await last_mode(driver) == NORMAL
        assert await driver.settle([Complete(delivery.lease)]) == [Settled.DONE]
        assert await last_mode(driver) == FULL


async def test_leases_are_synced_from_the_first_message_that_must_not_run_twice(
    driver: OpenSqliteDriver,
) -> None:
    await driver.enqueue([message(), replace(message(), max_lost=0)])
    deliveries = await driver.reserve({"q": 2}, limit=2, owner="me", lease=30.0)
    assert await last_mode(driver) == FULL
    assert [delivery.resumed for delivery in deliveries] == [False, False]
    assert (await driver.count("q")).leased == 2
    await driver.extend("me", [delivery.lease for delivery in deliveries], lease=30.0)
    assert await last_mode(driver) == FULL


@pytest.mark.parametrize(("setting", "number"), [("off", 0), ("normal", 1), ("extra", 3)])
async def test_other_settings_hold_for_what_has_to_last(
    tmp_path: Path, setting: Synchronous, number: int
) -> None:
    driver = OpenSqliteDriver(path=str(tmp_path / "other.db"), synchronous=setting)
    await driver.open()
    try:
        await driver.enqueue([message()])
        [delivery] = await driver.reserve({"q": 1}, limit=1, owner="me", lease=30.0)
        assert await last_mode(driver) == min(number, NORMAL)
        await driver.settle([Complete(delivery.lease)])
        assert await last_mode(driver) == number
    finally:
        await driver.close()
