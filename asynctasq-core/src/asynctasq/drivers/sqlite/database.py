"""The file: opening, recognizing, creating and migrating it."""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from asynctasq.backoff import Backoff
from asynctasq.contracts.capabilities import SchemaState
from asynctasq.driverkit.sql import Step, pending_steps
from asynctasq.drivers.sqlite.errors import primary_code, translated
from asynctasq.drivers.sqlite.queries import script
from asynctasq.drivers.sqlite.settings import SqliteSettings
from asynctasq.errors import ConfigurationError, DriverError

T = TypeVar("T")

APPLICATION_ID = 0x61737471
"""`astq`, in the header of the file, for `file(1)` and for `open_database`."""
OLDEST_VERSION = 1
LIBRARY_VERSION = sqlite3.sqlite_version
"""Files of this version or later are usable: `open` brings them to the needed one."""
LEAST_SQLITE = (3, 35, 0)
"""The first that has RETURNING and UPDATE FROM."""
CACHE_KIB = 8192
STATEMENTS_REMEMBERED = 256
LOG_BYTES_KEPT = 64 << 20
"""Bytes of the write-ahead log that are kept. It grows while a process reads for long."""
LOG_PAGES = 8_000
"""Pages of the log after which a commit has to move them into the file. The engine does it earlier."""
RETRY = Backoff(0.005, 0.1)
FILE_MODE = 0o600

log = logging.getLogger("asynctasq.sqlite")


def statements(text: str) -> list[str]:
    """Return the statements of a script; `executescript` would commit before the first."""
    statements = []
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


STEPS = tuple(Step(name, statements(script(name))) for name in ("schema_1", "schema_2"))
"""The scripts that lead to each version of the schema, from the first."""
NEEDED_VERSION = len(STEPS)


def open_database(settings: SqliteSettings) -> sqlite3.Connection:
    """Open the file. Create missing tables, and migrate old ones.

    Raises:
        ConfigurationError: the SQLite library is too old.
        DriverError: the file is not ours, newer than this release, or its folder is missing.
        sqlite3.Error: SQLite refused.
    """
    if sqlite3.sqlite_version_info < LEAST_SQLITE:
        raise ConfigurationError(
            f"The sqlite driver needs SQLite {'.'.join(map(str, LEAST_SQLITE))}; this Python has "
            f"{sqlite3.sqlite_version}. Use a newer Python, or another driver."
        )
    path = Path(settings.path)
    if not path.parent.is_dir():
        raise DriverError(
            f"The queue file {settings.path} cannot be created: there is no folder {path.parent}. "
            f"Create it, or set another `path`."
        )
    if path.is_dir():
        raise DriverError(
            f"The queue file {settings.path} is a folder. Set `path` to the name of a file in it."
        )
    _create_for_owner(settings.path)
    connection = sqlite3.connect(
        settings.path,
        timeout=settings.busy_timeout,
        isolation_level=None,
        cached_statements=STATEMENTS_REMEMBERED,
    )
    connection.text_factory = _text
    try:
        _recognize(connection, settings.path)
        _prepare(connection, settings)
        if migrate(connection, settings.path):
            log.info("Created or migrated the queue file %s", settings.path)
        _add_missing_tables(connection)
        _try_to_write(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def file_identity(path: str) -> tuple[int, int] | None:
    """Return the device and the inode of a file; None if there is no file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a fifth of the time, at every call
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _create_for_owner(path: str) -> None:
    """Create the file, if there is none, so that no other user can read it.

    SQLite gives the files that it creates beside it the same permissions.
    """
    with suppress(OSError):  # it exists, or SQLite finds out why it cannot be created
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE_MODE))


def _text(data: bytes) -> str:
    """Decode a text, which may be damaged."""
    return data.decode("utf-8", "replace")


def inspect_file(path: str, look: Callable[[sqlite3.Connection], T]) -> T:
    """Look into a file without changing it; a file that does not exist counts as an empty one.

    Raises:
        DriverError: the file cannot be read, or it is a database of another application.
    """
    file = Path(path)
    place = f"{file.as_uri()}?mode=ro" if file.exists() else "file::memory:"
    if file.exists() and not any(Path(f"{path}{end}").exists() for end in ("-wal", "-journal")):
        place += "&immutable=1"  # no other connection is open: leave no -wal and -shm behind
    try:
        with closing(sqlite3.connect(place, uri=True, isolation_level=None)) as connection:
            connection.text_factory = _text
            _recognize(connection, path)
            return look(connection)
    except sqlite3.Error as error:
        raise translated(error, path) from error


def schema_state(connection: sqlite3.Connection) -> SchemaState:
    """Return the version of the file, and those that this release can use."""
    current = _number(connection, "PRAGMA user_version")
    return SchemaState(current, NEEDED_VERSION, OLDEST_VERSION)


def migrate(connection: sqlite3.Connection, path: str, *, dry_run: bool = False) -> list[str]:
    """Bring the tables to the needed version.

    All steps are one transaction: a process that is killed in between leaves the file as it was.

    Returns:
        The names of the steps taken; with `dry_run`, the statements that would be executed.

    Raises:
        DriverError: the file was made by a newer release, and this one cannot use it.
    """
    marks = (
        f"PRAGMA user_version = {NEEDED_VERSION}",
        f"PRAGMA application_id = {APPLICATION_ID}",
    )
    return take_steps(
        connection, lambda: _pending(connection, path), dry_run=dry_run, afterwards=marks
    )


def take_steps(
    connection: sqlite3.Connection,
    pending: Callable[[], Sequence[Step]],
    *,
    dry_run: bool,
    afterwards: Sequence[str] = (),
) -> list[str]:
    """Take steps of a migration, all in one transaction.

    Args:
        connection: without an open transaction.
        pending: returns the steps to take.
        dry_run: change nothing.
        afterwards: statements that follow the last step.

    Returns:
        The names of the steps taken; with `dry_run`, the statements that would be executed.
    """
    steps = pending()
    if dry_run:
        planned = [statement for step in steps for statement in step.statements]
        return [*planned, *afterwards] if planned else []
    if not steps:
        return []
    connection.execute("BEGIN IMMEDIATE")
    try:
        steps = pending()  # another process may have been first
        for step in steps:
            for statement in step.statements:
                connection.execute(statement)
        for statement in afterwards if steps else ():
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return [step.name for step in steps]


def _pending(connection: sqlite3.Connection, path: str) -> Sequence[Step]:
    current = schema_state(connection).current
    usable_from = None
    if current > NEEDED_VERSION:
        with suppress(sqlite3.OperationalError):  # there is no such table
            noted = connection.execute("SELECT max(usable_from) FROM compatibility").fetchone()[0]
            usable_from = noted if type(noted) is int else None
    return pending_steps(STEPS, current, store=f"The queue file {path}", usable_from=usable_from)


def _add_missing_tables(connection: sqlite3.Connection) -> None:
    """Create the tables that files of earlier releases of this version lack."""
    for statement in statements(script("additions")):
        connection.execute(statement)


def _recognize(connection: sqlite3.Connection, path: str) -> None:
    """Refuse a database of another application before anything in it is changed."""
    if _number(connection, "PRAGMA application_id") == APPLICATION_ID:
        return
    if _number(connection, "SELECT count(*) FROM sqlite_master") == 0:
        return
    # Read again: another process may have created the tables between the two.
    if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise DriverError(
            f"The file {path} is an SQLite database of another application. Set another `path`; "
            f"the queue needs a file of its own."
        )


def _prepare(connection: sqlite3.Connection, settings: SqliteSettings) -> None:
    # SQLite obeys this before it has written the first page; a file that exists keeps its setting.
    connection.execute("PRAGMA auto_vacuum = incremental")
    _use_wal(connection, settings)
    connection.execute(f"PRAGMA synchronous = {settings.synchronous}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute("PRAGMA temp_store = memory")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_KEPT}")
    # Statements are written for certain indexes; one that SQLite makes up for the length of a
    # statement costs a pass over the backlog.
    connection.execute("PRAGMA automatic_index = off")
    connection.execute("PRAGMA secure_delete = off")
    connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")


def _use_wal(connection: sqlite3.Connection, settings: SqliteSettings) -> None:
    """Set the journal mode. SQLite itself does not wait while other processes open the file."""
    deadline = time.monotonic() + settings.busy_timeout
    mode, refused = "", 0
    while not mode:
        try:
            mode = connection.execute("PRAGMA journal_mode = wal").fetchone()[0]
        except sqlite3.OperationalError as error:
            if primary_code(error) != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
            refused += 1
            time.sleep(RETRY.pause(refused))
    if mode != "wal":
        raise DriverError(
            f"The queue file {settings.path} cannot use a write-ahead log (journal mode {mode}): it "
            f"is read-only, or its file system lacks shared memory. Set `path` to a writable file "
            f"on a local disk."
        )


def _try_to_write(connection: sqlite3.Connection) -> None:
    """Find out that the file is read-only now rather than at the first message."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def _number(connection: sqlite3.Connection, sql: str) -> int:
    number: int = connection.execute(sql).fetchone()[0]
    return number
