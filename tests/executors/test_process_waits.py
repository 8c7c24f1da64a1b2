"""Tasks that hold all children while they wait for tasks that need one: the worker says so."""

import asyncio
import logging
from typing import Any

import pytest

from tests.executors import waiting_tasks as tasks
from tests.executors.conftest import PATIENCE, Serve

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.full
@pytest.mark.parametrize("waits", [tasks.waits, tasks.waits_sync])
async def test_children_that_hold_waiting_tasks_are_reported(
    serve: Serve, sqlite_url: str, caplog: pytest.LogCaptureFixture, waits: Any
) -> None:
    def report() -> str | None:
        found = [each.getMessage() for each in caplog.records if each.name == "asynctasq"]
        return next((each for each in found if "No child process is free" in each), None)

    served = await serve(driver=sqlite_url)
    with caplog.at_level(logging.WARNING):
        async with served.serving():
            handle = await served.app.dispatch(waits(sqlite_url))
            async with asyncio.timeout(PATIENCE):
                while (found := report()) is None:
                    await asyncio.sleep(0.05)
            await handle.cancel()
    assert str(handle) in found
    assert "waiting_tasks:inner" in found


async def test_slots_of_tasks_behind_a_waiting_child_are_reported(
    serve: Serve, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    def report() -> str | None:
        found = [each.getMessage() for each in caplog.records if each.name == "asynctasq"]
        return next((each for each in found if "No slot is free" in each), None)

    served = await serve(driver=sqlite_url, process_pool_size=1)
    with caplog.at_level(logging.WARNING):
        async with served.serving(concurrency=2):
            outer = await served.app.dispatch(tasks.waits_for_loop(sqlite_url))
            behind = await served.app.dispatch(tasks.inner())
            async with asyncio.timeout(PATIENCE):
                while (found := report()) is None:
                    await asyncio.sleep(0.05)
            await outer.cancel()
            assert await behind.result(timeout=PATIENCE) == 1
    assert str(outer) in found
    assert "waiting_tasks:inner_on_loop" in found
