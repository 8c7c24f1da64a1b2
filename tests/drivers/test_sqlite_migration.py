"""Queue files of schema 1 are migrated in place, and nothing in them is lost."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from asynctasq.contracts.capabilities import SchemaState
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.errors import DriverError
from asynctasq.message import Delivery, Lease, Message, State, Unique, new_id
from asynctasq.settlement import Complete, LeaseState, Reason, Settled

DUMP = Path(__file__).with_name("sqlite_schema_1.sql")
"""Made by `make_sqlite_schema_1.py`."""
LONG = 1e9
STATES = {
    State.SCHEDULED: {31, 32},
    State.READY: {17, 18, 30, 33, 34, 35, 36},
    State.RUNNING: {10, 11, 12},
    State.DEAD: {16, 19, 20},
}
OPEN_AND_DIE = """
import os, signal, sqlite3, sys
from asynctasq.drivers.sqlite import SqliteSettings
from asynctasq.drivers.sqlite.database import open_database

path, last = sys.argv[1], int(sys.argv[2])
executed = 0

def count(statement):
    global executed
    executed += statement.startswith(("BEGIN", "ALTER", "DROP", "CREATE", "INSERT", "PRAGMA user", "COMMIT"))
    if executed == last:
        os.kill(os.getpid(), signal.SIGKILL)

class Connection(sqlite3.Connection):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.set_trace_callback(count)

connect = sqlite3.connect
sqlite3.connect = lambda *args, **kwargs: connect(*args, factory=Connection, **kwargs)
open_database(SqliteSettings(path=path))
"""


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def message_id(number: int) -> bytes:
    return bytes.fromhex("018f00000000700080000000") + number.to_bytes(4, "big")


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("PRAGMA journal_mode = wal;" + DUMP.read_text())
    return path


def opened_when_written(path: Path) -> SqliteDriver:
    """Return a driver whose clock shows the time at which the file was written."""
    with closing(sqlite3.connect(path)) as database:
        (written,) = database.execute("SELECT max(enqueued_at) FROM messages").fetchone()
    driver = SqliteDriver(path)
    driver.clock_offset = written / 1e6 - time.time() + 1.0
    return driver


def schema_of(path: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as database:
        return set(database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


async def numbers_in(driver: SqliteDriver, state: State) -> set[int]:
    page = await driver.browse(state)
    assert page.cursor is None
    return {snapshot.message.id[-1] for snapshot in page.items}


async def reserved(driver: SqliteDriver, **queues: int) -> dict[int, Delivery]:
    deliveries = await driver.reserve(queues, limit=100, owner="worker-9", lease=LONG)
    return {delivery.message.id[-1]: delivery for delivery in deliveries}


async def test_every_message_keeps_its_state_and_its_history(old_file: Path) -> None:
    driver = opened_when_written(old_file)
    await driver.open()
    assert await driver.schema() == SchemaState(2, 2, 1)
    for state, numbers in STATES.items():
        assert await numbers_in(driver, state) == numbers

    completed, empty, cancelled, failed = await driver.results(
        [message_id(number) for number in (13, 14, 15, 16)]
    )
    assert completed is not None
    assert empty is not None
    assert cancelled is not None
    assert failed is not None
    assert (completed.state, completed.result) == (State.COMPLETED, b"result")
    assert (empty.state, empty.result) == (State.COMPLETED, None)
    assert cancelled.state is State.CANCELLED
    assert completed.about == failed.about == b""
    assert failed.error is not None
    assert failed.error.type == "shop.errors.OutOfStock"
    reasons = {letter.message.task: letter.reason for letter in (await driver.dead_letters()).items}
    assert reasons == {
        "dead.failed": Reason.FAILED,
        "dead.lost": Reason.LOST,
        "dead.expired": Reason.EXPIRED,
    }
    assert await driver.paused() == {"paused"}
    assert [worker.id for worker in await driver.workers()] == ["worker-1"]
    assert await driver.progress([message_id(12)]) == [b"half"]
    [flagged] = await driver.cancel_requests("worker-1")
    assert flagged.id == message_id(11)
    [leased] = await driver.find([message_id(10)])
    assert leased is not None
    assert leased.owner == "worker-1"
    assert leased.leased_at is not None
    await driver.close()


async def test_messages_go_on_from_where_they_were(old_file: Path) -> None:
    driver = opened_when_written(old_file)
    await driver.open()
    second = Message(new_id(), "emails", "task", b"", unique=Unique("key"))
    assert [answer.id for answer in await driver.enqueue([second])] == [message_id(33)]
    await driver.resume("paused")
    deliveries = await reserved(driver, emails=100, paused=100)
    assert set(deliveries) == STATES[State.READY]
    assert (deliveries[17].attempt, deliveries[17].resumed) == (1, True)
    assert deliveries[18].mismatched_for > 0.0
    assert not deliveries[30].resumed
    assert deliveries[30].message.headers == {"trace": "1"}
    assert deliveries[36].message.limits == ("mail",)
    leases = [delivery.lease for delivery in deliveries.values()]
    settled = await driver.settle([Complete(lease, b"done", about=b"about") for lease in leases])
    assert settled == [Settled.DONE] * len(leases)
    [outcome] = await driver.results([message_id(30)])
    assert outcome is not None
    assert outcome.about == b"about"
    assert await driver.requeue([message_id(number) for number in STATES[State.DEAD]]) == [True] * 3
    driver.clock_offset += LONG + 60.0
    due = await reserved(driver, emails=100, reports=100)
    assert STATES[State.SCHEDULED] <= set(due)
    await driver.close()


async def test_a_lease_of_the_release_before_is_held_by_its_own_process_alone(
    old_file: Path,
) -> None:
    """Its own process goes on with the token that it knows; one of this release does not guess it."""
    driver = opened_when_written(old_file)
    await driver.open()
    stranger = Lease(message_id(10), 1)
    assert await driver.settle([Complete(stranger)]) == [Settled.LOST]
    assert await driver.extend("worker-1", [stranger], lease=2 * LONG) == [LeaseState.LOST]
    assert await numbers_in(driver, State.RUNNING) == STATES[State.RUNNING]
    await driver.close()


async def test_a_migrated_file_has_the_schema_of_a_new_one(old_file: Path, tmp_path: Path) -> None:
    for path in (old_file, tmp_path / "new.db"):
        driver = SqliteDriver(path)
        await driver.open()
        assert await driver.migrate() == await driver.migrate(dry_run=True) == []
        await driver.close()
    assert schema_of(old_file) == schema_of(tmp_path / "new.db")


def test_a_process_that_is_killed_between_two_steps_leaves_the_file_as_it_was(
    old_file: Path, tmp_path: Path
) -> None:
    before = schema_of(old_file)
    killed = last = 0
    while True:
        last += 1
        done = subprocess.run(
            [sys.executable, "-c", OPEN_AND_DIE, str(old_file), str(last)], check=False
        )
        if done.returncode == 0:
            break
        killed += 1
        after = schema_of(old_file)
        if after != before:
            break  # the last one was killed after the commit
    assert killed > 8
    with closing(sqlite3.connect(old_file)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (2,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM messages").fetchone() == (18,)


def test_processes_of_the_release_before_go_on_with_a_migrated_file(old_file: Path) -> None:
    """These are statements of revision 43cf731, shortened to one message."""
    with closing(sqlite3.connect(old_file, isolation_level=None)) as before:
        before.execute("SELECT count(*) FROM messages").fetchone()
        subprocess.run([sys.executable, "-c", OPEN_AND_DIE, str(old_file), "-1"], check=True)
        now = {"now": time.time_ns() // 1000, "id": message_id(99), "ten": message_id(10)}
        before.execute(
            "INSERT OR ROLLBACK INTO messages (id, namespace, queue, state, rank, due_at, enqueued_at,"
            " leased_at, expires, expires_at, result_ttl, max_lost, unique_key, profile, payload)"
            " VALUES (:id, 1, 1, 3, 0, :now, :now, :now, NULL, NULL, 1, 1, NULL, x'', x'')",
            now,
        )
        before.execute(
            "UPDATE messages SET state = 5, token = token + 1, owner = 2, leased_at = :now,"
            " expires_at = NULL WHERE id = :id",
            now,
        )
        settled = before.execute(
            "UPDATE messages SET state = 7, finished_at = :now, forget_at = :now + 1, cancelling = 0,"
            " mismatched_at = NULL, progress = NULL, error = NULL, profile = NULL, payload = x'01'"
            " WHERE id IN (:id, :ten) AND namespace = 1 AND state = 5 AND token = 1",
            now,
        )
        assert settled.rowcount == 2
        promoted = before.execute(
            "UPDATE messages SET state = 3 WHERE n IN (SELECT n FROM messages"
            " INDEXED BY messages_scheduled WHERE namespace = 1 AND state = 2 AND due_at <= :now"
            " ORDER BY due_at LIMIT 10)",
            {"now": 1 << 60},
        )
        assert promoted.rowcount == 2


async def test_a_file_of_a_newer_release_is_used_if_that_says_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    driver = SqliteDriver(path)
    await driver.open()
    await driver.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA user_version = 3")
    await driver.open()
    assert (await driver.schema()).current == 3
    assert await driver.migrate() == []
    await driver.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE compatibility SET usable_from = 3")
    with pytest.raises(DriverError, match="Upgrade asynctasq"):
        await driver.open()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (3,)


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM compatibility", "UPDATE compatibility SET usable_from = x'00'"],
)
async def test_a_file_of_a_newer_release_with_a_damaged_note_is_refused(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "newer.db"
    driver = SqliteDriver(path)
    await driver.open()
    await driver.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA user_version = 3")
        database.execute(damage)
    with pytest.raises(DriverError, match="Upgrade asynctasq"):
        await driver.open()


async def test_a_dry_run_shows_the_statements_and_changes_nothing(old_file: Path) -> None:
    driver = SqliteDriver(old_file)
    before = schema_of(old_file)
    assert await driver.schema() == SchemaState(1, 2, 1)
    statements = await driver.migrate(dry_run=True)
    assert any("ALTER TABLE messages" in statement for statement in statements)
    assert schema_of(old_file) == before
    await driver.open()
    assert await driver.migrate(dry_run=True) == []
    await driver.close()
    assert await SqliteDriver(old_file.with_name("none.db")).schema() == SchemaState(0, 2, 1)
    assert not old_file.with_name("none.db").exists()


async def test_a_look_at_the_schema_leaves_no_files_beside_the_store(tmp_path: Path) -> None:
    driver = SqliteDriver(tmp_path / "work.db")
    await driver.open()
    await driver.close()
    assert (await driver.schema()).current == 2
    assert await driver.migrate(dry_run=True) == []
    assert [each.name for each in files_in(tmp_path)] == ["work.db"]
