"""What goes wrong with the file while it is in use, and that the driver goes on afterwards."""

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.drivers.sqlite.session import Session
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Delivery, Lease, Message, Unique, new_id
from asynctasq.settlement import Complete, Reason, Settled
from tests.drivers.sqlite_operations import OpenSqliteDriver


def a_message(body: bytes = b"body") -> Message:
    return Message(new_id(), "emails", "app.send", body)


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[OpenSqliteDriver]:
    opened = OpenSqliteDriver(tmp_path / "work.db", busy_timeout=0.05)
    await opened.open()
    yield opened
    await opened.close()


async def reserve_all(driver: SqliteDriver) -> list[Delivery]:
    return await driver.reserve({"emails": 100}, limit=100, owner="worker", lease=30.0)


async def test_busy_file_is_unavailable_until_it_is_free(driver: SqliteDriver) -> None:
    await driver.enqueue([a_message()])
    with closing(sqlite3.connect(driver.description, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for call in (driver.enqueue([a_message()]), reserve_all(driver)):
            with pytest.raises(DriverUnavailable, match="busy_timeout") as caught:
                await call
            assert driver.description in str(caught.value)
        assert (await driver.count("emails")).ready == 1  # readers are not in the way
        other.execute("ROLLBACK")
    await driver.enqueue([a_message()])
    assert len(await reserve_all(driver)) == 2


async def time_out_of(driver: OpenSqliteDriver) -> int:
    """Milliseconds for which the next call waits for a locked file."""
    found: int = await driver.read(lambda session: session.rows("PRAGMA busy_timeout", {})[0][0])
    return found


async def test_a_file_that_stays_locked_is_waited_for_once(tmp_path: Path) -> None:
    """The calls after the first fail soon, so that a dispatch is not held up by each of its repetitions."""
    driver = OpenSqliteDriver(tmp_path / "work.db", busy_timeout=0.8)
    await driver.open()
    with closing(sqlite3.connect(driver.description, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for call in (driver.enqueue([a_message()]), reserve_all(driver)):
            with pytest.raises(DriverUnavailable):
                await call
            assert await time_out_of(driver) == 500
        other.execute("ROLLBACK")
    await driver.enqueue([a_message()])
    assert await time_out_of(driver) == 800
    await driver.close()


async def test_full_disk_is_named_and_loses_nothing(driver: OpenSqliteDriver) -> None:
    kept = a_message()
    await driver.enqueue([kept])

    def limit_pages(session: Session, pages: int = 0) -> int:
        used: int = session.connection.execute("PRAGMA page_count").fetchone()[0]
        session.connection.execute(f"PRAGMA max_page_count = {pages or used}")
        return used

    await driver.read(limit_pages)
    lost = a_message(bytes(100_000))
    with pytest.raises(DriverUnavailable, match=r"disk .* is full"):
        await driver.enqueue([lost])
    await driver.read(lambda session: limit_pages(session, 1_000_000))
    assert await driver.find([lost.id]) == [None]
    assert (await driver.enqueue([lost]))[0].created
    assert [delivery.message for delivery in await reserve_all(driver)] == [kept, lost]


FILE_TOO_LARGE = """
    import asyncio, resource, sys
    from asynctasq.drivers.sqlite import SqliteDriver
    from asynctasq.errors import DriverUnavailable
    from asynctasq.message import Message, new_id

    async def main():
        driver = SqliteDriver(sys.argv[1])
        await driver.open()
        await driver.enqueue([Message(new_id(), "emails", "app.send", b"before")])
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
        try:
            await driver.enqueue([Message(new_id(), "emails", "app.send", bytes(1_000_000))])
        except DriverUnavailable as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await driver.enqueue([Message(new_id(), "emails", "app.send", bytes(1_000_000))])
        print((await driver.count("emails")).ready)
        await driver.close()

    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_failed_write_of_the_system_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "work.db"
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(FILE_TOO_LARGE), path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    reported, ready = run.stdout.splitlines()
    assert str(path) in reported
    assert ready == "2"


async def test_driver_goes_on_when_a_missing_folder_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    folder.mkdir()
    driver = SqliteDriver(folder / "work.db")
    await driver.open()
    await driver.enqueue([a_message()])
    folder.rename(tmp_path / "elsewhere")
    for _ in range(2):
        with pytest.raises(DriverError, match="there is no folder"):
            await driver.enqueue([a_message()])
    (tmp_path / "elsewhere").rename(folder)
    assert len(await reserve_all(driver)) == 1
    await driver.close()


async def test_body_beyond_the_limit_of_sqlite_is_refused(driver: SqliteDriver) -> None:
    # All zeros: the system gives such memory only when it is written to.
    with pytest.raises(DriverError, match=r"got 1000000001 \(app\.send\)"):
        await driver.enqueue([a_message(), a_message(bytes(1_000_000_001))])
    assert await driver.queues() == []


async def test_result_beyond_the_limit_of_sqlite_is_refused_alone(driver: SqliteDriver) -> None:
    await driver.enqueue([a_message(), a_message()])
    first, second = await reserve_all(driver)
    large = Complete(first.lease, bytes(1_000_000_001))
    assert await driver.settle([large, Complete(second.lease, b"small")]) == [
        Settled.REFUSED,
        Settled.DONE,
    ]
    assert await driver.settle([Complete(first.lease, b"small")]) == [Settled.DONE]


async def test_id_of_another_length_is_refused(driver: SqliteDriver) -> None:
    with pytest.raises(DriverError, match="must have 16 bytes"):
        await driver.enqueue([Message(b"short", "emails", "app.send", b"")])
    with pytest.raises(DriverError, match="must have 16 bytes"):
        await driver.results([new_id(), b"short"])
    await driver.enqueue([a_message()])
    [delivery] = await reserve_all(driver)
    answers = await driver.settle([Complete(Lease(b"short", 1)), Complete(delivery.lease)])
    assert answers == [Settled.LOST, Settled.DONE]
    assert await driver.settle([]) == []


async def test_token_of_another_driver_is_lost(driver: SqliteDriver) -> None:
    await driver.enqueue([a_message()])
    (delivery,) = await reserve_all(driver)
    foreign = Lease(delivery.lease.id, "1")
    assert await driver.settle([Complete(foreign)]) == [Settled.LOST]


async def test_text_that_is_not_unicode_is_an_error_of_the_driver(driver: SqliteDriver) -> None:
    message = Message(new_id(), "emails", "app.send", b"", unique=Unique("\ud800"))
    with pytest.raises(DriverError, match="Unicode"):
        await driver.enqueue([message])
    with pytest.raises(DriverError, match="Unicode"):
        await driver.pause("\ud800")


async def test_failure_of_one_call_touches_no_other_of_its_transaction(
    driver: OpenSqliteDriver,
) -> None:
    def fail(session: Session) -> None:
        session.run("UPDATE messages SET priority = 1", {})

    good = [a_message() for _ in range(20)]
    calls = [driver.enqueue([message]) for message in good]
    outcomes = await asyncio.gather(
        *calls[:10], driver.write(fail), *calls[10:], return_exceptions=True
    )
    failed = outcomes.pop(10)
    assert isinstance(failed, DriverError)
    assert driver.description in str(failed)
    assert not any(isinstance(outcome, BaseException) for outcome in outcomes)
    assert {delivery.message.id for delivery in await reserve_all(driver)} == {
        message.id for message in good
    }


async def test_damaged_row_does_not_stop_its_queue(
    driver: SqliteDriver, caplog: pytest.LogCaptureFixture
) -> None:
    with_headers = Message(new_id(), "emails", "app.send", b"", headers={"trace": "1"})
    await driver.enqueue([with_headers, a_message()])
    with closing(sqlite3.connect(driver.description)) as database, database:
        database.execute("UPDATE messages SET payload = x'c1' WHERE id = ?", [with_headers.id])
    [delivery] = await reserve_all(driver)
    assert delivery.message.id != with_headers.id
    [letter] = (await driver.dead_letters()).items
    assert (letter.message.id, letter.message.body) == (with_headers.id, b"\xc1")
    assert (letter.message.task, letter.reason) == ("app.send", Reason.UNDECODABLE)
    assert "damaged" in caplog.text
