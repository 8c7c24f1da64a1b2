"""Tasks from dispatch to result on every kind of store: by its URL, in a process, through outages."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from asynctasq import App, Handle, task
from asynctasq.errors import DriverUnavailable
from tests.stores import ServerStore, Store
from tests.worker.stage import PATIENCE, Stage

T = TypeVar("T")

MANY = 2500
"""More messages than one call to a store carries."""


@task(name="stores.add")
async def add(left: int, right: int) -> int:
    return left + right


@pytest.mark.every_store
async def test_many_tasks_are_dispatched_run_and_awaited(stage: Stage) -> None:
    async with stage.worker():
        later = await stage.app.dispatch(add(3, 4).delay(0.2))
        many = await stage.app.dispatch_many([add(number, 1) for number in range(MANY)])
        async with asyncio.timeout(PATIENCE):
            results = await asyncio.gather(*(each.result() for each in many))
            assert results == [number + 1 for number in range(MANY)]
            assert await later.result() == 7


@pytest.mark.every_store
async def test_a_worker_process_opens_the_store_by_its_url(
    durable_store: Store, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    program = str(Path(sys.executable).with_name("asynctasq"))
    async with App({"driver": durable_store.url}) as app:
        handle = await app.dispatch(sell())
        done = await asyncio.to_thread(
            subprocess.run,
            [program, "worker", "--app", "shop", "--burst", "--driver", durable_store.url],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert await handle.result(timeout=PATIENCE) == "sold"


SHOP = """
from asynctasq import task

@task(name="stores.sell")
async def sell() -> str:
    return "sold"
"""


@task(name="stores.sell")
async def sell() -> str:
    """Return what the worker of the test never returns."""
    return "not here"


async def test_workers_survive_outages_of_their_server(server_store: ServerStore) -> None:
    # Messages whose lease was granted in a lost answer come back when that lease ends.
    stage = Stage(server_store.url, {"lease": 2.0, "heartbeat_interval": 0.5})
    async with stage.app as app, stage.worker():
        for disturb in (server_store.disconnect_clients, *[lambda: restart(server_store)] * 2):
            handles = await dispatch_persistently(app, 50)
            await asyncio.to_thread(disturb)
            handles += await dispatch_persistently(app, 50)
            async with asyncio.timeout(PATIENCE):
                for handle in handles:
                    assert await persistently(handle.result) == 3


def restart(store: ServerStore) -> None:
    store.crash()
    store.start()


async def dispatch_persistently(app: App, count: int) -> list[Handle[int]]:
    async with asyncio.timeout(PATIENCE):
        return await persistently(lambda: app.dispatch_many([add(1, 2) for _ in range(count)]))


async def persistently(act: Callable[[], Awaitable[T]]) -> T:
    """Repeat an action until the store answers."""
    while True:
        try:
            return await act()
        except DriverUnavailable:
            await asyncio.sleep(0.05)
