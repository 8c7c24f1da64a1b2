"""The session of an operation: the open file, the time, and the names of queues."""

import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from asynctasq.contracts.capabilities import NEWS_KEPT, News
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.outages import UpkeepMark
from asynctasq.driverkit.times import micros
from asynctasq.drivers.sqlite.codec import json_list, log
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.settings import SqliteSettings
from asynctasq.drivers.sqlite.steps import Steps

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]

CHANGES_IN_LOG = 15_000
"""Rows written, after which the log has a few megabytes."""

EMPTY_SHARE = 4
"""The file shrinks while more than one page in so many is empty."""
PAGES_AT_ONCE = 1_000
"""Pages that are released in one step: 4 MB, which takes a few milliseconds."""
SHRINK_TIMEOUT = 0.05
"""Seconds to wait for other processes before the file is made smaller, which can be done later."""
LOCKED_TIMEOUT = 0.5
"""Seconds to wait for a file that was locked for too long a moment ago."""
QUEUES_REMEMBERED = 10_000

_SQL = queries("inspect")


class Session:
    """The use of one connection, in the engine's thread.

    Queues have numbers in the file, which are never given to another queue. So a number that was read stays
    valid, unless the transaction that made it is rolled back.
    """

    def __init__(self, connection: sqlite3.Connection, settings: SqliteSettings) -> None:
        self.connection = connection
        self.settings = settings
        self.now = 0
        """Microseconds since the Unix epoch, the same throughout one operation."""
        self.item_by_item = False
        """True if the operation runs again after `BatchMismatch`."""
        self.dead_since_prune = settings.dead_letter_limit
        """Dead letters made since they were last counted; at first, as many as may be kept."""
        self.mark: UpkeepMark | None = None
        """The mark as this session last read or wrote it."""
        self.is_locked = False
        """True if the last write found the file locked for too long."""
        self.news: list[News] = []
        """The expired and lost messages that upkeep found in this transaction."""
        self.may_shrink = False
        """Set by upkeep, a few times in the length of a lease."""
        self.looked_at = 0
        """Number of the message at which the look at states continues."""
        self._log_path = f"{settings.path}-wal"
        self.must_not_run_twice = False
        """True if a message was seen that must not run twice. From then on, leases are synced."""
        self._can_spare_syncs = settings.synchronous in {"full", "extra"}
        self._synced = True
        self._changes = 0
        self._reported_removal = False
        self._keys: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self.run(_SQL["add_namespace"], {"name": settings.namespace})
        self.namespace: int = self.rows(_SQL["namespace"], {"name": settings.namespace})[0][0]

    def found_locked(self, locked: bool) -> None:
        """Record whether other processes kept the file locked for longer than the timeout.

        The calls that follow wait for a shorter time each, until one finds the file free. So a dispatch
        that core repeats a few times fails soon after `busy_timeout`.
        """
        if locked is not self.is_locked:
            longest = self.settings.busy_timeout
            try:
                self._wait_for_lock(min(longest, LOCKED_TIMEOUT) if locked else longest)
            except sqlite3.Error as error:
                log.debug("Setting busy_timeout failed; the next call tries again: %s", error)
                return
            self.is_locked = locked

    def _wait_for_lock(self, seconds: float) -> None:
        """Set for how long statements wait for other processes that write."""
        self.connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}").fetchall()

    def begin(self, clock_offset: float, *, item_by_item: bool) -> None:
        """Begin an operation."""
        self.now = time.time_ns() // 1000 + micros(clock_offset)
        self.item_by_item = item_by_item

    def log_mark(self) -> tuple[int, int] | None:
        """Return the time and the size of the write-ahead log; None if there is none."""
        try:
            found = os.stat(self._log_path)  # noqa: PTH116 - a fifth of the time, thirty times a second
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def make_durable(self, durable: bool) -> None:
        """Set whether the next commit is synced to the disk before it returns.

        A commit that is not `durable` is synced together with the next one that is.
        """
        synced = durable or self.must_not_run_twice
        if synced is not self._synced and self._can_spare_syncs:
            level = self.settings.synchronous if synced else "normal"
            # SQLite obeys when it compiles this. `execute` would find it compiled, in its cache.
            self.connection.executescript(f"PRAGMA synchronous = {level}")
            self._synced = synced

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file, once it has grown by a good number of changes.

        Otherwise SQLite does it within a commit, and a caller waits for it.
        """
        changes = self.connection.total_changes
        if changes - self._changes >= CHANGES_IN_LOG:
            self._move_log()

    def shrink(self) -> None:
        """Give some pages of the file back to the file system, if a good part of it is empty.

        Files of releases before this one keep their size until `VACUUM` is run on them; see docs/sqlite.md.
        """
        if not self.may_shrink:
            return
        self.may_shrink = False
        free, total = (
            self.connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("freelist_count", "page_count")
        )
        if free > max(total // EMPTY_SHARE, PAGES_AT_ONCE) and not self.is_locked:
            self.make_durable(False)
            self._wait_for_lock(SHRINK_TIMEOUT)
            try:
                # `execute` would give back a single page: the statement has an empty row for each.
                self.connection.executescript(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})")
            finally:
                self._wait_for_lock(self.settings.busy_timeout)
            self._move_log()

    def is_log_removed(self) -> bool:
        """Return whether the write-ahead log was removed.

        SQLite continues to write to it, but no process can read it once all processes have ended.
        """
        return self.log_mark() is None

    def save_removed_log(self) -> None:
        """Move the content of a removed log into the file."""
        self._move_log()
        if not self._reported_removal:
            self._reported_removal = True
            log.error(
                "The file %s was removed while it was in use. No message is lost, but start no other "
                "worker or application before all that use the queue file have stopped.",
                self._log_path,
            )

    def _move_log(self) -> None:
        self._changes = self.connection.total_changes
        self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def rolled_back(self) -> None:
        """Forget names and numbers that may not have been written."""
        self._keys.clear()
        self._names.clear()
        self.mark = None
        self.news.clear()
        self.dead_since_prune = self.settings.dead_letter_limit

    def report(self, news: News) -> None:
        """Keep news until the transaction is committed; more than `NEWS_KEPT` are dropped."""
        if len(self.news) < NEWS_KEPT:
            self.news.append(news)

    # Statements. Each finds `:now` and `:namespace` among its parameters.

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Return all rows of a statement."""
        return self.connection.execute(sql, self._bound(parameters)).fetchall()

    def rows_within(
        self,
        sql: str,
        parameters: Mapping[str, Any],
        *,
        room: int = BYTES_AT_ONCE,
        keeps_first: bool = True,
    ) -> tuple[list[Row], int, bool]:
        """Return rows for as long as there is room for their bytes and texts.

        Args:
            sql: the statement.
            parameters: of the statement.
            room: bytes.
            keeps_first: whether the first row is returned even if there is no room for it.

        Returns:
            The rows, the room that is left, and whether there are more rows.
        """
        found: list[Row] = []
        cursor = self.connection.execute(sql, self._bound(parameters))
        try:
            for row in cursor:
                size = sum(
                    [len(value) for value in row if type(value) is bytes or type(value) is str]
                )
                if size > room and (found or not keeps_first):
                    return found, room, True
                found.append(row)
                room -= size
        finally:
            cursor.close()
        return found, room, False

    def row(self, sql: str, parameters: Mapping[str, Any]) -> Row | None:
        """Return the only row, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def run(self, sql: str, parameters: Mapping[str, Any]) -> int:
        """Run a statement; return the number of rows that it changed."""
        return self.connection.execute(sql, self._bound(parameters)).rowcount

    def run_each(self, sql: str, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once for each set of parameters."""
        if parameters:
            self.connection.executemany(sql, map(self._bound, parameters))

    def _bound(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {"now": self.now, "namespace": getattr(self, "namespace", 0), **parameters}

    def follow(self, steps: Steps[T]) -> T:
        """Run the steps of a call, and return its answer."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, str):
                    step = steps.send([(self.used_queue_key(step),)])
                else:
                    step = steps.send(self.rows(*step))
        except StopIteration as end:
            answer: T = end.value
            return answer

    # Names of queues.

    def queue_key(self, name: str) -> int | None:
        """Return the number of a queue; None if it was never used."""
        key = self._keys.get(name)
        if key is None:
            row = self.row(_SQL["queue_key"], {"name": name})
            if row is not None:
                key = self._remember(row[0], name)
        return key

    def used_queue_key(self, name: str) -> int:
        """Return the number of a queue, and give it one if it has none. Needs a write transaction."""
        key = self.queue_key(name)
        if key is None:
            self.run(_SQL["add_queue"], {"name": name})
            key = self._remember(self.rows(_SQL["queue_key"], {"name": name})[0][0], name)
        return key

    def queue_name(self, key: Any) -> str:
        """Return the name of a queue; empty if its number is damaged."""
        name = self._names.get(key) if type(key) is int else None
        if name is None:
            row = self.row(_SQL["queue_name"], {"queue": key})
            name = "" if row is None else str(row[0])
            if row is not None:
                self._remember(key, name)
        return name

    def queue_keys(self, names: Iterable[str]) -> dict[int, str]:
        """Return the numbers of queues that were ever used, in order."""
        return {key: name for name in names if (key := self.queue_key(name)) is not None}

    def queue_list(self, names: Iterable[str]) -> str:
        """Return numbers of queues as a JSON array."""
        return json_list(self.queue_keys(names))

    def _remember(self, key: int, name: str) -> int:
        if len(self._keys) >= QUEUES_REMEMBERED:
            self._keys.clear()
            self._names.clear()
        self._keys[name] = key
        self._names[key] = name
        return key
