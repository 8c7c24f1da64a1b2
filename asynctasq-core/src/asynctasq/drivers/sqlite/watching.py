"""Coroutines that wait for work or for results, and the thread's list of them."""

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
    """One waiting coroutine, and what it waits for: work in queues, or the end of messages."""

    def __init__(self, *, queues: Sequence[str] = (), ids: Collection[bytes] = ()) -> None:
        self.queues = tuple(queues)
        self.ids = frozenset(ids)
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    async def sleep(self, seconds: float) -> None:
        """Until told, or for `seconds`."""
        timer = self._loop.call_later(min(seconds, LONGEST_SLEEP), self._wake)
        try:
            await self._future
        finally:
            timer.cancel()

    @property
    def gone(self) -> bool:
        """Whether it waits no more."""
        return self._future.done()

    def tell(self) -> None:
        """Wake it, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            # Its loop is closed: nobody waits there any more.
            if not self._loop.is_closed():
                raise

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


class Watchers:
    """Those who wait. Belongs to the thread, but for `stale`."""

    def __init__(self) -> None:
        self.stale = False
        """Set by anybody: something happened in this process, look again."""
        self._waiting: list[Watcher] = []
        self._version = -1
        self._next_event = NEVER
        self._mark: tuple[int, int] | None = None
        self._trusted_until = 0.0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, session: Session, watcher: Watcher) -> None:
        """Tell a watcher at once if there is something; let it wait otherwise."""
        if not self._waiting:
            self._version = _data_version(session)
            self._next_event = NEVER
        if self._unfulfilled(session, [watcher]):
            self._waiting.append(watcher)

    def may_have_news(self, session: Session) -> bool:
        """Whether it is time to `look`: cheap, and without touching a table."""
        try:
            return (
                self.stale
                or self._next_event <= session.now
                or (self._may_be_written(session) and _data_version(session) != self._version)
                or all(watcher.gone for watcher in self._waiting)
            )
        except sqlite3.Error:
            return True  # the look meets the error too, and deals with it

    def _may_be_written(self, session: Session) -> bool:
        """Whether the write-ahead log may have changed since the last call.

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
        """Tell those for whom there is something."""
        self._waiting = [watcher for watcher in self._waiting if not watcher.gone]
        if not self._waiting:
            return
        stale, self.stale = self.stale, False
        version = _data_version(session)
        if stale or version != self._version or self._next_event <= session.now:
            self._version = version
            self._next_event = NEVER
            self._waiting = self._unfulfilled(session, self._waiting)

    def tell_all(self) -> None:
        """Wake everybody: there is trouble, or nobody will look any more."""
        for watcher in self._waiting:
            watcher.tell()
        self._waiting = []

    def _unfulfilled(self, session: Session, watchers: Sequence[Watcher]) -> list[Watcher]:
        """Tell those for whom there is something; the others."""
        with_work: dict[tuple[str, ...], bool] = {}
        ids = frozenset[bytes]().union(*(watcher.ids for watcher in watchers))
        gone = ended(session, ids) if ids else frozenset[bytes]()
        waiting = []
        for watcher in watchers:
            if watcher.queues and watcher.queues not in with_work:
                work = look_for_work(session, watcher.queues)
                self._next_event = min(self._next_event, work.next_event)
                with_work[watcher.queues] = work.ready or work.next_event <= session.now
            if with_work.get(watcher.queues) or not gone.isdisjoint(watcher.ids):
                watcher.tell()
            else:
                waiting.append(watcher)
        return waiting


def _data_version(session: Session) -> int:
    """Changes when another connection has committed."""
    version: int = session.connection.execute("PRAGMA data_version").fetchone()[0]
    return version
