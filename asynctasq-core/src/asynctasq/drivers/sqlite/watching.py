"""Coroutines that wait for work or for results, and the list of them in the engine's thread."""

import asyncio
import sqlite3
import time
from collections.abc import Collection, Sequence

from asynctasq.drivers.sqlite.inspection import ended
from asynctasq.drivers.sqlite.leasing import NEVER, look_for_work
from asynctasq.drivers.sqlite.session import Session

LONGEST_SLEEP = 3600.0
"""Seconds. Some event loops cannot count to infinity."""
TICK_NANOSECONDS = 50_000_000
"""More than the clock of any file system takes to move on."""
TRUST_SECONDS = 0.5
"""For which a write-ahead log that looks unchanged is taken to be so."""


class Watcher:
    """One waiting coroutine. It waits for work in queues, or for the end of messages."""

    def __init__(self, *, queues: Sequence[str] = (), ids: Collection[bytes] = ()) -> None:
        self.queues = tuple(queues)
        self.ids = frozenset(ids)
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    async def sleep(self, seconds: float) -> None:
        """Sleep until `wake` is called, but at most for `seconds`."""
        timer = self._loop.call_later(min(seconds, LONGEST_SLEEP), self._finish)
        try:
            await self._future
        finally:
            timer.cancel()

    @property
    def is_done(self) -> bool:
        """True if the coroutine no longer waits."""
        return self._future.done()

    def wake(self) -> None:
        """Wake the coroutine, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._finish)
        except RuntimeError:
            # Its loop is closed, and so is the coroutine.
            if not self._loop.is_closed():
                raise

    def _finish(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


class Watchers:
    """The waiting coroutines. Belongs to the thread, except for `stale`."""

    def __init__(self) -> None:
        self.stale = False
        """Set by any thread when something happened in this process: look again."""
        self._waiting: list[Watcher] = []
        self._version = -1
        self._next_event = NEVER
        self._mark: tuple[int, int] | None = None
        self._trusted_until = 0.0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, session: Session, watcher: Watcher) -> None:
        """Wake a watcher at once if there is something for it; otherwise let it wait."""
        if not self._waiting:
            self._version = _data_version(session)
            self._next_event = NEVER
        if self._unfulfilled(session, [watcher]):
            self._waiting.append(watcher)

    def may_have_news(self, session: Session) -> bool:
        """Return whether it is time to `look`. Cheap: it does not touch a table."""
        try:
            return (
                self.stale
                or self._next_event <= session.now
                or (self._may_be_written(session) and _data_version(session) != self._version)
                or all(watcher.is_done for watcher in self._waiting)
            )
        except sqlite3.Error:
            return True  # `look` meets the error too, and handles it

    def _may_be_written(self, session: Session) -> bool:
        """Return whether the write-ahead log may have changed since the last call.

        Asking the file system takes a third of the time of asking SQLite. It does not see two commits
        within one tick of its clock: what has changed just now is asked for again, and nothing is trusted
        for long.
        """
        mark, now = session.log_mark(), time.monotonic()
        if mark == self._mark and now < self._trusted_until:
            return False
        is_fresh = mark is None or abs(time.time_ns() - mark[0]) < TICK_NANOSECONDS
        self._mark, self._trusted_until = mark, now if is_fresh else now + TRUST_SECONDS
        return True

    def look(self, session: Session) -> None:
        """Wake the watchers for which there is something."""
        self._waiting = [watcher for watcher in self._waiting if not watcher.is_done]
        if not self._waiting:
            return
        stale, self.stale = self.stale, False
        version = _data_version(session)
        if stale or version != self._version or self._next_event <= session.now:
            self._version = version
            self._next_event = NEVER
            self._waiting = self._unfulfilled(session, self._waiting)

    def wake_all(self) -> None:
        """Wake all watchers: there was an error, or the thread ends."""
        for watcher in self._waiting:
            watcher.wake()
        self._waiting = []

    def _unfulfilled(self, session: Session, watchers: Sequence[Watcher]) -> list[Watcher]:
        """Wake the watchers for which there is something; return the others."""
        with_work: dict[tuple[str, ...], bool] = {}
        ids = frozenset[bytes]().union(*(watcher.ids for watcher in watchers))
        over = ended(session, ids) if ids else frozenset[bytes]()
        waiting = []
        for watcher in watchers:
            if watcher.queues and watcher.queues not in with_work:
                work = look_for_work(session, watcher.queues)
                self._next_event = min(self._next_event, work.next_event)
                with_work[watcher.queues] = work.ready or work.next_event <= session.now
            if with_work.get(watcher.queues) or not over.isdisjoint(watcher.ids):
                watcher.wake()
            else:
                waiting.append(watcher)
        return waiting


def _data_version(session: Session) -> int:
    """Return a number that changes when another connection has committed."""
    version: int = session.connection.execute("PRAGMA data_version").fetchone()[0]
    return version
