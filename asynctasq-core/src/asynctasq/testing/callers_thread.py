"""Sync tasks of a sandbox in Django's thread, so that they use the database connection of the test.

Django keeps one connection per thread, and its `TestCase` a transaction on that of the test's thread.
asgiref, which comes with Django, knows the thread that sync code has to run in.
"""

import asyncio
import inspect
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from asynctasq.executors.thread import ThreadExecutor
from asynctasq.executors.thread_pool import ThreadPool, ThreadRun

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def is_django_loaded() -> bool:
    """Check whether this process uses Django's models."""
    return "django.db" in sys.modules


class CallersThreadExecutor(ThreadExecutor):
    """Runs sync tasks where Django runs sync code: below `async_to_sync`, in the thread that called it."""

    async def start(self, *, concurrency: int) -> None:
        """Use that thread."""
        self._threads = CallersThread(concurrency)


class CallersThread(ThreadPool):
    """A pool of one thread that asgiref chooses."""

    def run(self, function: Callable[[], T]) -> ThreadRun[T]:
        """Have a function run there, in a copy of the caller's context."""
        from asgiref.sync import sync_to_async

        run = ThreadRun(function, asyncio.get_running_loop())

        def call() -> None:
            try:
                run.returned = run.context.run(function)
            except BaseException as error:  # noqa: BLE001  it is raised where the run is awaited
                run.raised = error

        def ended(call: "asyncio.Future[None]") -> None:
            run.raised = run.raised or (None if call.cancelled() else call.exception())
            run.ended = True
            if not run.done.done():
                run.done.set_result(None)

        sent = asyncio.ensure_future(sync_to_async(call, thread_sensitive=True)())
        sent.add_done_callback(ended)
        return run


def run_in_sync_code(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine from code without an event loop; with Django, sync code in it comes to this thread."""
    if not is_django_loaded():
        return asyncio.run(make())
    from asgiref.sync import async_to_sync

    async def made() -> T:
        return await make()

    result: T = async_to_sync(made)()
    return result


def marked_async(function: F) -> F:
    """Mark a function that returns a coroutine as async, for `async_to_sync` and its like."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    marked: Any = function
    marked._is_coroutine = vars(asyncio.coroutines)["_is_coroutine"]
    return function
