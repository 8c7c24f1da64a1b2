"""Tasks that wait for other tasks, and drains that are not awaited, in a sandbox."""

import asyncio
import logging
from typing import Any

import pytest

from asynctasq import task
from asynctasq.errors import ResultTimeout
from asynctasq.testing import Sandbox

PATIENCE = 60.0


@task
async def add_one(number: int) -> int:
    return number + 1


@task
async def waits_for_two() -> int:
    handles = [await add_one(number).dispatch() for number in (1, 2)]
    return sum(await asyncio.gather(*(handle.result() for handle in handles)))


@task
async def waits_deeply(depth: int) -> int:
    if depth == 0:
        return 0
    handle = await waits_deeply(depth - 1).dispatch()
    return int(await handle.result()) + 1


@pytest.mark.parametrize("concurrency", [1, 2, None])
async def test_a_drain_runs_tasks_for_which_others_wait(concurrency: int | None) -> None:
    with Sandbox() as sandbox:
        first = await waits_for_two().dispatch()
        second = await waits_deeply(5).dispatch()
        async with asyncio.timeout(PATIENCE):
            assert await sandbox.drain(concurrency=concurrency) == 3 + 6
        assert await first.result(timeout=PATIENCE) == 5
        assert await second.result(timeout=PATIENCE) == 5


async def test_a_drain_runs_tasks_for_which_a_thread_waits() -> None:
    outer = asyncio.get_running_loop()

    @task
    def waits() -> Any:
        handle = add_one(1).dispatch_sync()
        return asyncio.run_coroutine_threadsafe(handle.result(), outer).result(PATIENCE)

    with Sandbox() as sandbox:
        handle = await waits().dispatch()
        async with asyncio.timeout(PATIENCE):
            assert await sandbox.drain(concurrency=1) == 2
        assert await handle.result(timeout=PATIENCE) == 2


async def test_a_result_without_a_drain_times_out_with_a_hint() -> None:
    with Sandbox():
        handle = await add_one(1).dispatch()
        with pytest.raises(ResultTimeout, match=r"run only in `await sandbox.drain\(\)`"):
            await handle.result(timeout=0)


async def forget_to_await() -> None:
    with Sandbox() as sandbox:
        await add_one(1).dispatch()
        sandbox.drain()  # type: ignore[unused-coroutine]  # the mistake


async def test_a_drain_that_is_not_awaited_is_an_error() -> None:
    failed = asyncio.create_task(forget_to_await())
    with pytest.warns(RuntimeWarning, match="never awaited"):
        await asyncio.wait([failed])
    with pytest.raises(AssertionError, match="not awaited"):
        failed.result()


async def test_a_failure_that_is_retried_later_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    @task(retry_delay=60)
    async def breaks() -> None:
        raise LookupError("no such order")

    with Sandbox() as sandbox, caplog.at_level(logging.WARNING):
        await breaks().dispatch()
        assert await sandbox.drain() == 1
    [record] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "run again in 60 s: LookupError: no such order" in record.getMessage()
    assert 'raise LookupError("no such order")' in str(record.exc_text)
