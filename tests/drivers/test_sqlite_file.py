"""The queue file: created by the first process, recognized, migrated, refused if it is not ours."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from asynctasq.contracts.capabilities import SchemaState
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.drivers.sqlite.database import APPLICATION_ID, NEEDED_VERSION
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Message, State, new_id


def a_message(body: bytes = b"body") -> Message:
    return Message(new_id(), "emails", "app.send", body)


def raw(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path, isolation_level=None))


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def remove_files(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def set_modes(path: Path, file_mode: int, folder_mode: int) -> None:
    path.chmod(file_mode)
    path.parent.chmod(folder_mode)


async def used_file(path: Path) -> Message:
    """Write a file with one message in it."""
    message = a_message()
    driver = SqliteDriver(path)
    await driver.open()
    await driver.enqueue([message])
    await driver.close()
    return message


async def refusal(path: Path) -> str:
    driver = SqliteDriver(path)
    with pytest.raises(DriverError) as caught:
        await driver.open()
    await driver.close()
    assert not isinstance(caught.value, DriverUnavailable)
    assert str(path) in str(caught.value)
    return str(caught.value)


async def test_new_file_says_whose_it_is(tmp_path: Path) -> None:
    await used_file(tmp_path / "work.db")
    with raw(tmp_path / "work.db") as connection:
        header = connection.execute("SELECT * FROM pragma_application_id").fetchone()
        version = connection.execute("SELECT * FROM pragma_user_version").fetchone()
        mode = connection.execute("SELECT * FROM pragma_journal_mode").fetchone()
    assert (header[0], version[0], mode[0]) == (APPLICATION_ID, NEEDED_VERSION, "wal")


async def test_new_files_can_be_read_by_their_owner_alone(tmp_path: Path) -> None:
    driver = SqliteDriver(tmp_path / "work.db")
    await driver.open()
    await driver.enqueue([a_message()])
    assert modes_in(tmp_path) == dict.fromkeys(("work.db", "work.db-wal", "work.db-shm"), 0o600)
    await driver.close()
    set_modes(tmp_path / "work.db", 0o660, 0o700)
    await driver.open()
    assert set(modes_in(tmp_path).values()) == {0o660}
    await driver.close()


async def test_closed_file_has_no_files_beside_it(tmp_path: Path) -> None:
    await used_file(tmp_path / "work.db")
    assert names_in(tmp_path) == ["work.db"]


async def test_empty_database_is_taken_over(tmp_path: Path) -> None:
    with raw(tmp_path / "work.db") as connection:
        connection.execute("PRAGMA journal_mode = wal")
    await used_file(tmp_path / "work.db")


async def test_schema_is_reported_and_needs_no_migration(tmp_path: Path) -> None:
    driver = SqliteDriver(tmp_path / "work.db")
    await driver.open()
    assert await driver.schema() == SchemaState(NEEDED_VERSION, NEEDED_VERSION)
    assert await driver.migrate() == []
    await driver.close()


async def test_file_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "work.db"
    message = await used_file(path)
    with raw(path) as connection:
        connection.execute(f"PRAGMA user_version = {NEEDED_VERSION + 1}")
        connection.execute(f"UPDATE compatibility SET usable_from = {NEEDED_VERSION + 1}")
    text = await refusal(path)
    assert "newer release" in text
    assert "Upgrade asynctasq" in text
    with raw(path) as connection:
        kept = connection.execute("SELECT id FROM messages").fetchone()
    assert kept[0] == message.id


async def test_database_of_another_application_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with raw(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
        connection.execute("INSERT INTO orders VALUES (1)")
    before = path.read_bytes()
    assert "another application" in await refusal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database " * 100, os.urandom(8192)])
async def test_file_that_is_not_a_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    assert "not an SQLite database" in await refusal(path)
    assert path.read_bytes() == content


async def test_damaged_file_is_reported_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "work.db"
    await used_file(path)
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    driver = SqliteDriver(path)

    async def use() -> None:
        await driver.open()
        await driver.enqueue([a_message()])

    with pytest.raises(DriverError, match=r"damaged.*\.recover") as caught:
        await use()
    assert str(path) in str(caught.value)
    await driver.close()


async def test_missing_folder_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in await refusal(tmp_path / "nowhere" / "work.db")


async def test_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in await refusal(tmp_path)


OPENING = """
    import asyncio, os, sys
    from asynctasq.drivers.sqlite import SqliteDriver
    from asynctasq.errors import DriverError

    async def main():
        if os.getuid() == 0:
            os.setuid(65534)  # permissions do not apply to root
        try:
            await SqliteDriver(sys.argv[1]).open()
        except DriverError as error:
            print(type(error).__name__, error)

    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o777), (0o666, 0o555)])
async def test_read_only_is_reported_when_opening(file_mode: int, folder_mode: int) -> None:
    # Not in `tmp_path`, whose parents are closed to other users.
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "work.db")
        await used_file(path)
        set_modes(path, file_mode, folder_mode)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", textwrap.dedent(OPENING), str(path), stdout=subprocess.PIPE
        )
        reported = (await child.communicate())[0].decode()
        set_modes(path, 0o600, 0o700)
    assert reported.startswith("DriverError")
    assert str(path) in reported
    assert "writable" in reported


FIRST = """
    import asyncio, sys
    from asynctasq.drivers.sqlite import SqliteDriver
    from asynctasq.message import Message, new_id

    async def main():
        driver = SqliteDriver(sys.argv[1])
        sys.stdin.readline()
        await driver.open()
        await driver.enqueue([Message(new_id(), "emails", "app.send", b"")])
        await driver.close()

    asyncio.run(main())
"""


def test_many_processes_may_be_the_first_at_once(tmp_path: Path) -> None:
    path = tmp_path / "work.db"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(FIRST), str(path)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for child in children:  # all have imported everything when they read the line
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        _, complaint = child.communicate(timeout=60)
        assert child.returncode == 0, complaint
    with raw(path) as connection:
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (6,)
        assert connection.execute("SELECT count(*) FROM queues").fetchone() == (1,)


async def test_threads_may_be_the_first_at_once(tmp_path: Path) -> None:
    drivers = [SqliteDriver(tmp_path / "work.db") for _ in range(8)]
    await asyncio.gather(*(driver.open() for driver in drivers))
    await asyncio.gather(*(driver.enqueue([a_message()]) for driver in drivers))
    assert (await drivers[0].count("emails")).ready == 8
    await asyncio.gather(*(driver.close() for driver in drivers))


async def test_namespaces_share_a_file_and_see_nothing_of_each_other(tmp_path: Path) -> None:
    message = a_message()
    shop = SqliteDriver(tmp_path / "work.db", namespace="shop")
    blog = SqliteDriver(tmp_path / "work.db", namespace="blog")
    await shop.open()
    await blog.open()
    assert (await shop.enqueue([message]))[0].created
    assert await blog.find([message.id]) == [None]
    assert await blog.queues() == []
    assert await blog.reserve({"emails": 1}, limit=1, owner="worker", lease=30.0) == []
    assert (await blog.enqueue([message]))[0].created
    assert await blog.purge("emails", states=[State.READY]) == 1
    await blog.pause("emails")
    found = await shop.reserve({"emails": 1}, limit=1, owner="worker", lease=30.0)
    assert [delivery.message for delivery in found] == [message]
    await shop.close()
    await blog.close()


async def test_file_replaced_while_in_use_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driver = SqliteDriver(tmp_path / "work.db")
    await driver.open()
    await driver.enqueue([a_message()])
    remove_files(tmp_path)
    await driver.enqueue([a_message()])
    assert "removed or replaced" in caplog.text
    other = SqliteDriver(tmp_path / "work.db")
    await other.open()
    assert (await other.count("emails")).ready == 1
    await driver.close()
    await other.close()


async def test_messages_are_kept_when_the_log_is_removed_and_the_process_killed(
    tmp_path: Path,
) -> None:
    """SQLite goes on writing to a log that no process can open any more."""
    path = tmp_path / "work.db"
    pipe = asyncio.subprocess.PIPE
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    assert writer.stderr is not None
    for number in range(3):
        writer.stdin.write(b"one more\n")
        assert await writer.stdout.readline() == b"accepted\n"
        if number == 0:
            path.with_name("work.db-wal").unlink()
    writer.kill()
    errors = await writer.stderr.read()
    await writer.wait()
    driver = SqliteDriver(path)
    await driver.open()
    assert (await driver.count("emails")).ready == 3
    await driver.close()
    assert errors.count(b"work.db-wal was removed while it was in use") == 1


WRITER = """
import asyncio, sys
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.message import Message, new_id

async def main():
    driver = SqliteDriver(sys.argv[1])
    await driver.open()
    for line in sys.stdin:
        await driver.enqueue([Message(new_id(), "emails", "app.send", b"body")])
        print("accepted", flush=True)

asyncio.run(main())
"""


async def test_a_wait_for_what_cannot_be_asked_for_leaves_the_driver_usable(tmp_path: Path) -> None:
    driver = SqliteDriver(tmp_path / "work.db")
    await driver.open()
    await driver.wait(["\ud800"], timeout=60.0)
    message = a_message()
    await driver.enqueue([message])
    [delivery] = await driver.reserve({"emails": 1}, limit=1, owner="w", lease=30.0)
    assert delivery.message == message
    await driver.close()
