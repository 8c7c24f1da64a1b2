"""Running sync tasks of a sandbox in Django's thread, with the database connection of the test.

Django keeps one connection per thread, and its `TestCase` opens a transaction in the thread of the
test. asgiref, which Django depends on, knows in which thread sync code must run.
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
    """Runs sync tasks in the thread of Django's sync code: below `async_to_sync`, its calling thread."""

    async def start(self, *, concurrency: int) -> None:
        """Use Django's thread."""
        self._threads = CallersThread(concurrency)


class CallersThread(ThreadPool):
    """A pool of one thread that asgiref chooses."""

    def run(self, function: Callable[[], T]) -> ThreadRun[T]:
        """Run a function in the thread, in a copy of the current context."""
        from asgiref.sync import sync_to_async

        run = ThreadRun(function, asyncio.get_running_loop())

        def call() -> None:
            try:
                run.returned = run.context.run(function)
            except BaseException as error:  # noqa: BLE001  raised again where the run is awaited
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
    """Run a coroutine without an event loop; with Django, its sync code runs in this thread."""
    if not is_django_loaded():
        return asyncio.run(make())
    from asgiref.sync import async_to_sync

    async def made() -> T:
        return await make()

    result: T = async_to_sync(made)()
    return result


def marked_async(function: F) -> F:
    """Mark a function that returns a coroutine as async, for `async_to_sync` and similar."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    marked: Any = function
    marked._is_coroutine = vars(asyncio.coroutines)["_is_coroutine"]
    return function
