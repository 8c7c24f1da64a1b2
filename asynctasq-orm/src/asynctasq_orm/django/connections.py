"""Django's connections belong to threads, and are closed around requests. A worker has attempts instead."""

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
    """Looks after connections in the threads of tasks, in those that load models, and in Django's own.

    The last is the one in which all of Django's async methods work. There, connections are looked after
    when no async task is running: one that is must not lose its connection in the middle.
    """

    def __init__(self) -> None:
        self._inside = threading.local()
        self._ours: WeakSet[Any] = WeakSet()
        """Opened by code of tasks, or for loading, in threads that are looked after."""
        self._others: tuple[ref[Any], ...] = ()
        """Opened elsewhere. Looked through for every async task, so it is no set."""
        self._adding = threading.Lock()
        self._running = 0
        self._used = self._looked = False
        """Whether anything was attended or loaded, and whether `_others` has what was open before."""
        self._loaders: ThreadPoolExecutor | None = None
        self._process = 0
        connection_created.connect(self._opened)

    def enter(self) -> None:
        """Code that uses connections is about to run in this thread."""
        self._inside.depth = getattr(self._inside, "depth", 0) + 1
        _tidy()

    def leave(self) -> None:
        """It has ended."""
        try:
            _tidy()
        finally:
            self._inside.depth -= 1

    def enter_loop(self) -> bool:
        """Code of an async task is about to run; returns whether `tidy_djangos_thread` comes first."""
        self._used = True
        self._running += 1
        return self._running == 1 and self._may_need_tidying()

    def leave_loop(self) -> bool:
        """It has ended; returns whether `tidy_djangos_thread` follows."""
        self._running -= 1
        return self._running == 0 and self._may_need_tidying()

    async def tidy_djangos_thread(self) -> None:
        """As around a request, in the thread of Django's async methods."""
        await sync_to_async(self._tidy_here)()

    async def run(self, database: str, function: Callable[[], T]) -> T:
        """Run what uses a database, in a thread that has its own connection to it.

        In Django's thread instead if this is called below `async_to_sync`, as in Django's tests, whose
        transactions nobody else could see; and for a database in memory, which nobody else has.
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
        """Close what is open in threads that are looked after, and in Django's. Idempotent."""
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
        for each in self._left_open():  # of threads that wait for tasks, or have ended
            each.inc_thread_sharing()
            with suppress(Exception):  # it is broken then, and gone
                each.close()
            each.dec_thread_sharing()


def _tidy() -> None:
    """As around a request."""
    if settings.configured:  # or Django has only been imported, by whichever library
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
