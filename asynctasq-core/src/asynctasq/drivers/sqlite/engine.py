"""The thread that owns a connection. It runs operations and watches for work.

SQLite calls block, above all for the disk, so each opened driver has one thread for them. The thread runs all
waiting writes in one transaction: under load, a single sync of the disk serves them all.
"""

import asyncio
import atexit
import logging
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from asynctasq.contracts.capabilities import NEWS_KEPT, News
from asynctasq.driverkit.packing import not_unicode
from asynctasq.driverkit.sql import BatchMismatch
from asynctasq.drivers.sqlite.database import file_identity, open_database
from asynctasq.drivers.sqlite.errors import BROKEN_CONNECTION, is_busy, primary_code, translated
from asynctasq.drivers.sqlite.local_peers import LocalPeers
from asynctasq.drivers.sqlite.requests import Operation, Request, Signal, answer
from asynctasq.drivers.sqlite.session import Session
from asynctasq.drivers.sqlite.settings import SqliteSettings
from asynctasq.drivers.sqlite.watching import Watcher, Watchers
from asynctasq.errors import ConfigurationError, DriverError

T = TypeVar("T")

EXIT_PATIENCE = 5.0
"""Seconds for which the exit of the interpreter waits for the thread to finish its write."""
START_PAUSE = 20e-6
"""Seconds for which a caller with much to write lets the thread begin."""
MOST_TOGETHER = 1_000
"""Calls that one transaction serves."""

log = logging.getLogger("asynctasq.sqlite")


class Engine:
    """The thread and its inbox."""

    def __init__(self, settings: SqliteSettings, clock_offset: float) -> None:
        self.settings = settings
        self.clock_offset = clock_offset
        self.process = os.getpid()
        self.closed = False
        self._inbox: queue.SimpleQueue[Request | Watcher | Signal] = queue.SimpleQueue()
        self._watchers = Watchers()
        self._opened: Future[None] = Future()
        self._ended: Future[None] = Future()
        self._broken = False
        self._news: deque[News] = deque(maxlen=NEWS_KEPT)
        self._file: tuple[int, int] | None = None
        self._thread = threading.Thread(
            target=self._run, name=f"asynctasq-sqlite:{settings.path}", daemon=True
        )

    async def start(self) -> None:
        """Open the file in the thread.

        Raises:
            DriverError: the file cannot be used.
        """
        for future in (self._opened, self._ended):
            future.set_running_or_notify_cancel()  # cancelling who awaits it must not cancel it
        self._thread.start()
        # At the end of the interpreter, a daemon thread is frozen wherever it is, with the file open.
        atexit.register(self.stop_now)
        try:
            await asyncio.wrap_future(self._opened)
        except BaseException as error:
            self._leave()
            if isinstance(error, Exception):
                self._thread.join()  # it has ended; otherwise the wait was cancelled, and it goes on
            raise
        _peers.add(self.settings.path, self)

    async def stop(self) -> None:
        """Finish the requests, close the file, and end the thread."""
        if self.process != os.getpid():
            return  # it is the parent's, whose thread did not come along
        self._leave()
        await asyncio.wrap_future(self._ended)
        self._thread.join()

    def stop_now(self) -> None:
        """Stop at the exit of the interpreter, like `stop`."""
        if self.process == os.getpid():
            self._leave()
            self._thread.join(EXIT_PATIENCE)

    def _leave(self) -> None:
        self.closed = True
        atexit.unregister(self.stop_now)
        _peers.discard(self.settings.path, self)
        self._inbox.put(Signal.STOP)

    def call(
        self,
        operation: Operation[T],
        *,
        writes: bool,
        durable: bool = True,
        single: bool = False,
        long: bool = False,
    ) -> "asyncio.Future[T]":
        """Run an operation in the thread, to its end even if its caller is cancelled.

        What it writes survives a power failure if it is `durable`, by the time of the answer.
        `single` says that it writes all in one statement, or raises `BatchMismatch`; `long` that it takes long
        enough to begin at once.
        """
        request = Request(operation, writes=writes, durable=durable, single=single)
        self._inbox.put(request)
        if long:
            # A caller that computes keeps Python's global lock for 5 ms. The thread begins before that.
            time.sleep(START_PAUSE)
        return request.future

    async def watch(self, watcher: Watcher, timeout: float) -> None:
        """Wait until the watcher is woken, or for `timeout` seconds."""
        self._inbox.put(watcher)
        await watcher.sleep(timeout)

    def take_news(self) -> list[News]:
        """Return what upkeep did since the last call, and forget it."""
        found: list[News] = []
        with suppress(IndexError):
            while True:
                found.append(self._news.popleft())
        return found

    def look_again(self) -> None:
        """Let the watchers look again: something happened here or in another engine."""
        if self._watchers:
            self._watchers.stale = True
            self._inbox.put(Signal.LOOK)

    def wake_peers(self) -> None:
        """Let the watchers of other engines of this process look: the file has changed."""
        for other in _peers.others(self.settings.path, self):
            other.look_again()

    # From here on in the thread.

    def _run(self) -> None:
        # The session is known to this frame alone. A forked child does not have the frame, so that
        # nothing there can close the parent's connection, which would release its locks.
        try:
            session: Session | None = self._open()
        except BaseException as error:  # noqa: BLE001 - raised again, by `start`
            self._opened.set_exception(error)
            self._ended.set_result(None)
            return
        self._opened.set_result(None)
        going_on = True
        try:
            while going_on:
                requests, watchers, going_on = self._receive(session)
                if session is None or self._broken or (requests and self._was_replaced()):
                    session = self._reopen(session, requests)
                    if session is None:
                        for watcher in watchers:
                            watcher.wake()
                        continue
                self._serve(session, requests)
                self._look(session, watchers)
        finally:
            self.closed = True
            self._watchers.wake_all()
            if session is not None:
                session.connection.close()
            self._refuse_rest()
            self._ended.set_result(None)

    def _next(self, session: Session | None) -> Request | Watcher | Signal:
        """Wait for an item of the inbox, or until there may be something for a watcher."""
        while session is not None and self._watchers:
            try:
                return self._inbox.get(timeout=self.settings.poll_interval)
            except queue.Empty:
                # This runs thirty times a second in an idle worker, so it must be cheap.
                session.begin(self.clock_offset, item_by_item=False)
                if self._watchers.may_have_news(session):
                    return Signal.LOOK
        return self._inbox.get()

    def _receive(self, session: Session | None) -> tuple[list[Request], list[Watcher], bool]:
        """Wait for an item of the inbox, then take all of them."""
        requests: list[Request] = []
        watchers: list[Watcher] = []
        going_on = True
        try:
            item = self._next(session)
            while True:
                if isinstance(item, Request):
                    requests.append(item)
                    if len(requests) == MOST_TOGETHER:
                        break
                elif isinstance(item, Watcher):
                    watchers.append(item)
                elif item is Signal.STOP:
                    going_on = False
                item = self._inbox.get_nowait()
        except queue.Empty:
            pass
        return requests, watchers, going_on

    def _serve(self, session: Session, requests: Sequence[Request]) -> None:
        """Run requests: the writes together, then the reads."""
        writes = [request for request in requests if request.writes]
        if writes:
            try:
                self._write(session, writes)
            except Exception as error:  # noqa: BLE001 - the thread must survive every error
                self._broken = True
                for request in writes:
                    request.error = self._translated(error)
            is_removed = session.is_log_removed()
            if is_removed:
                self._tidy_log(session.save_removed_log)
            answer(writes)
            self._watchers.stale = True
            self.wake_peers()
            if not is_removed:
                self._tidy_log(session.checkpoint)
                self._tidy_log(session.shrink)
        reads = [request for request in requests if not request.writes]
        for request in reads:
            self._run_one(session, request)
        answer(reads)

    def _tidy_log(self, tidy: Callable[[], None]) -> None:
        """Tidy the files after the answers, when no caller waits."""
        try:
            tidy()
        except sqlite3.Error as error:
            # The writes stay in the log, from where they are read as well.
            log.debug(
                "Tidying the log of %s failed: %s", self.settings.path, self._translated(error)
            )

    def _write(self, session: Session, requests: Sequence[Request]) -> None:
        """Run requests in one transaction; if one of them fails, run each in its own transaction."""
        if self._transact(session, requests):
            return
        for place, request in enumerate(requests):
            if len(requests) > 1 or isinstance(request.error, BatchMismatch):
                request.item_by_item = isinstance(request.error, BatchMismatch)
                request.error = None
                self._write(session, [request])
                if session.is_locked:  # each of the others would wait as long as this one
                    for other in requests[place + 1 :]:
                        other.error = request.error
                    return

    def _transact(self, session: Session, requests: Sequence[Request]) -> bool:
        """Run requests in one transaction; False if it was rolled back."""
        try:
            session.make_durable(any(request.durable for request in requests))
            if len(requests) == 1 and requests[0].single and not requests[0].item_by_item:
                # SQLite makes it a transaction of its own. Each step releases Python's global lock, and
                # gets it back only when the event loop has nothing to do. So fewer steps are better.
                self._run_one(session, requests[0])
                error = requests[0].error
                session.found_locked(error is not None and is_busy(error.__cause__))
                return error is None
            session.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            session.found_locked(is_busy(error))
            for request in requests:
                request.error = self._translated(error)
            self._roll_back(session)
            return True  # it would be the same for each of them alone
        session.found_locked(False)
        for request in requests:
            self._run_one(session, request)
            if request.error is not None:
                self._roll_back(session)
                return False
        try:
            session.connection.execute("COMMIT")
        except sqlite3.Error as error:
            requests[-1].error = self._translated(error)
            self._roll_back(session)
            return False
        if session.news:
            self._news += session.news
            session.news.clear()
        return True

    def _run_one(self, session: Session, request: Request) -> None:
        session.begin(self.clock_offset, item_by_item=request.item_by_item)
        try:
            request.value = request.operation(session)
        except Exception as error:  # noqa: BLE001 - raised at the caller
            request.error = error if isinstance(error, BatchMismatch) else self._translated(error)

    def _roll_back(self, session: Session) -> None:
        session.rolled_back()
        try:
            # After some errors SQLite has rolled back by itself.
            if session.connection.in_transaction:
                session.connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            log.warning("Rolling back in %s failed: %s", self.settings.path, error)
            self._broken = True

    def _look(self, session: Session, new: Sequence[Watcher]) -> None:
        """Wake the watchers for which there is something."""
        if not new and not self._watchers:
            return
        session.begin(self.clock_offset, item_by_item=False)
        try:
            for watcher in new:
                self._watchers.add(session, watcher)
            self._watchers.look(session)
        except Exception as error:  # noqa: BLE001 - the thread must survive every error
            # Their next call meets the error, and reports it.
            log.debug("Watching %s failed: %s", self.settings.path, self._translated(error))
            for watcher in new:
                watcher.wake()
            self._watchers.wake_all()

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, (sqlite3.Error, OverflowError)):
            self._broken = self._broken or primary_code(error) in BROKEN_CONNECTION
            fault = translated(error, self.settings.path)
            fault.__cause__ = error
            return fault
        if isinstance(error, UnicodeEncodeError):
            fault = not_unicode(error)
            fault.__cause__ = error
            return fault
        if isinstance(error, DriverError | ConfigurationError):
            return error
        fault = DriverError(f"A call to the queue file {self.settings.path} failed: {error!r}.")
        fault.__cause__ = error
        return fault

    # The connection.

    def _open(self) -> Session:
        try:
            session = Session(open_database(self.settings), self.settings)
        except sqlite3.Error as error:
            raise translated(error, self.settings.path) from error
        self._broken = False
        self._file = file_identity(self.settings.path)
        return session

    def _was_replaced(self) -> bool:
        """Return whether the path no longer leads to the open file."""
        if file_identity(self.settings.path) == self._file:
            return False
        log.error(
            "The queue file %s was removed or replaced while it was in use. Messages in the old "
            "file are unreachable; continuing with the current file.",
            self.settings.path,
        )
        return True

    def _reopen(self, session: Session | None, requests: Sequence[Request]) -> Session | None:
        """Connect again; if that fails, the requests fail too."""
        if session is not None:
            session.connection.close()
            self._watchers.wake_all()
        try:
            return self._open()
        except Exception as error:  # noqa: BLE001 - raised at the caller
            for request in requests:
                request.error = error
            answer(requests)
            return None

    def _refuse_rest(self) -> None:
        """Refuse requests that came after the end."""
        refused = []
        while True:
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                break
            if isinstance(item, Request):
                item.error = DriverError(f"The sqlite driver of {self.settings.path} is closed.")
                refused.append(item)
            elif isinstance(item, Watcher):
                item.wake()
        answer(refused)


_peers = LocalPeers[Engine]()
"""One for the process, because drivers of one file do not know each other. A worker, its lease renewer and the
application that dispatches to it each open one, and a commit of one wakes the others at once."""
