"""Management of Django connections around attempts, as Django does it around requests."""

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakSet, ref

from asgiref.sync import AsyncToSync, sync_to_async
from django.conf import settings
from django.db import close_old_connections, connections, reset_queries
from django.db.backends.signals import connection_created

from asynctasq_orm.threads import in_own_thread

T = TypeVar("T")

LOADING_THREADS = 8


class Connections:
    """Closes old connections in threads of tasks, in threads that load models, and in Django's thread.

    All async methods of Django work in this last thread. Its connections are closed only while no async
    task is running, because a task must not lose its connection in the middle.
    """

    def __init__(self) -> None:
        self._inside = threading.local()
        self._ours: WeakSet[Any] = WeakSet()
        """Connections that were opened in managed threads, by tasks or to load models."""
        self._others: tuple[ref[Any], ...] = ()
        """Connections that were opened elsewhere. A tuple, because every async task iterates over it."""
        self._adding = threading.Lock()
        self._running = 0
        self._used = self._looked = False
        """True if a task ran or models were loaded; True if `_others` contains earlier connections."""
        self._loaders: ThreadPoolExecutor | None = None
        self._process = 0
        connection_created.connect(self._opened)

    def enter(self) -> None:
        """Prepare this thread for code that uses connections."""
        self._inside.depth = getattr(self._inside, "depth", 0) + 1
        _tidy()

    def leave(self) -> None:
        """Clean up this thread after code that uses connections."""
        try:
            _tidy()
        finally:
            self._inside.depth -= 1

    def enter_loop(self) -> bool:
        """Note the start of code of an async task; return whether to call `tidy_djangos_thread` first."""
        self._used = True
        self._running += 1
        return self._running == 1 and self._may_need_tidying()

    def leave_loop(self) -> bool:
        """Note the end of code of an async task; return whether to call `tidy_djangos_thread` next."""
        self._running -= 1
        return self._running == 0 and self._may_need_tidying()

    async def tidy_djangos_thread(self) -> None:
        """Close broken and old connections in the thread of Django's async methods."""
        await sync_to_async(self._tidy_here)()

    async def run(self, database: str, function: Callable[[], T]) -> T:
        """Run a function that uses a database in a thread with its own connection to it.

        Below `async_to_sync`, as in Django's tests, the function runs in Django's thread, because other
        threads do not see the transaction. The same applies to a database in memory.
        """
        self._used = True
        if _is_below_sync_code() or _is_in_memory(database):
            return await sync_to_async(function)()
        if self._loaders is None or self._process != os.getpid():  # threads do not survive a fork
            self._process = os.getpid()
            self._loaders = ThreadPoolExecutor(LOADING_THREADS, "asynctasq-django")
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(
            self._loaders, lambda: context.run(self._run_here, function)
        )

    async def close(self) -> None:
        """Close the open connections of all managed threads and of Django's thread. Idempotent."""
        connection_created.disconnect(self._opened)
        if self._loaders is not None or self._left_open():
            await in_own_thread(self._close_ours)
        if self._used and not _is_below_sync_code():
            self._used = False
            if settings.configured:
                await sync_to_async(connections.close_all)()

    def _run_here(self, function: Callable[[], T]) -> T:
        self.enter()
        try:
            return function()
        finally:
            self.leave()

    def _may_need_tidying(self) -> bool:
        if not self._looked:
            return bool(settings.configured)
        for each in self._others:
            connection = each()
            if connection is not None and connection.connection is not None:
                return True
        return False

    def _tidy_here(self) -> None:
        if not self._looked:
            self._looked = True
            for each in connections.all(initialized_only=True):
                self._opened(each)
        _tidy()

    def _opened(self, connection: Any, **_: object) -> None:
        with self._adding:
            if getattr(self._inside, "depth", 0):
                self._ours.add(connection)
            else:
                alive = (each for each in self._others if each() not in (None, connection))
                self._others = (*alive, ref(connection))

    def _left_open(self) -> list[Any]:
        with self._adding:
            return [each for each in self._ours if each.connection is not None]

    def _close_ours(self) -> None:
        loaders, self._loaders = self._loaders, None
        if loaders is not None and self._process == os.getpid():
            loaders.shutdown()
        for each in self._left_open():  # of idle threads, and of threads that have ended
            each.inc_thread_sharing()
            with suppress(Exception):  # the connection is broken then
                each.close()
            each.dec_thread_sharing()


def _tidy() -> None:
    """Close broken and old connections, as Django does around a request."""
    if settings.configured:  # otherwise a library has only imported Django
        reset_queries()
        close_old_connections()


def _is_below_sync_code() -> bool:
    return (
        getattr(AsyncToSync.executors, "current", None) is not None
        or asyncio.get_running_loop() in AsyncToSync.loop_thread_executors
    )


def _is_in_memory(database: str) -> bool:
    ask = getattr(connections[database], "is_in_memory_db", None)
    return ask is not None and bool(ask())
