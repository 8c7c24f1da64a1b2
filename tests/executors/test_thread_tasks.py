"""Tasks in threads: how they can be told to end, and what they may call."""

import ctypes
import threading
from pathlib import Path

import pytest

from asynctasq.errors import TaskCancelled, TaskFailed
from asynctasq.executors.thread_pool import ThreadPool
from tests.executors import tasks
from tests.executors.conftest import PATIENCE, Serve, ServedApp, noted

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_thread_can_see_that_it_is_cancelled(served: ServedApp, notes: Path) -> None:
    handle = await tasks.looks_for_cancel(str(notes)).dispatch()
    await noted(notes)
    await handle.cancel()
    with pytest.raises(TaskCancelled):
        await handle.result(timeout=PATIENCE)


async def test_a_thread_can_see_that_its_time_is_over(served: ServedApp) -> None:
    with pytest.raises(TaskFailed) as failure:
        await served.result(tasks.looks_for_timeout())
    assert failure.value.error_type == "asynctasq.errors.TaskTimeout"


async def test_a_thread_reports_progress_and_dispatches(serve: Serve, sqlite_url: str) -> None:
    served = await serve(driver=sqlite_url)
    async with served.serving():
        made = served.app.handle(await served.result(tasks.reports_and_dispatches(7)))
        assert await made.result(timeout=PATIENCE) == 7


async def test_an_error_that_is_thrown_too_late_costs_neither_task_nor_thread() -> None:
    """As libraries do that limit the time of a function, when it has just ended."""
    pool = ThreadPool(1)
    first = pool.run(threading.get_ident)
    await first.end()
    thrown = ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(first.value()), ctypes.py_object(KeyboardInterrupt)
    )
    assert thrown == 1
    second = pool.run(threading.get_ident)
    await second.end()
    assert second.value() == first.value()
    pool.close()
