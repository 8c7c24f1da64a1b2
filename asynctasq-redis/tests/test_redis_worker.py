"""Tasks from dispatch to result on Redis: an app, a worker, and what users call."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from asynctasq import App, Handle, State, Worker, current_task, task
from asynctasq.errors import DriverUnavailable, TaskCancelled, TaskFailed
from tests.servers.redis import RedisServer, redis_server

PATIENCE = 30.0


@task(name="redis_tests.add")
async def add(left: int, right: int) -> int:
    """As simple as can be."""
    return left + right


@task(name="redis_tests.fails_once", max_attempts=2, retry_delay=0)
async def fails_once() -> int:
    """Succeeds on its second run."""
    if current_task().attempt == 0:
        raise ValueError("not yet")
    return current_task().attempt


@task(name="redis_tests.fails", max_attempts=1)
async def fails() -> None:
    """Never succeeds."""
    raise ValueError("never")


@task(name="redis_tests.waits")
async def waits() -> None:
    """Run until cancelled."""
    await asyncio.Event().wait()


@asynccontextmanager
async def working(app: App) -> AsyncIterator[Worker]:
    """Run a worker, and fail if it does not stop at the end."""
    worker = Worker(app=app, handle_signals=False)
    running = asyncio.create_task(worker.start())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(PATIENCE):
            await running


async def test_from_dispatch_to_result(url: str, namespace: str) -> None:
    async with App({"driver": f"{url}?namespace={namespace}"}) as app, working(app):
        handle = await app.dispatch(add(1, 2))
        assert await handle.result(timeout=PATIENCE) == 3
        later = await app.dispatch(add(3, 4).delay(0.2))
        assert await later.result(timeout=PATIENCE) == 7
        retried = await app.dispatch(fails_once())
        assert await retried.result(timeout=PATIENCE) == 1
        many = await app.dispatch_many([add(number, 1) for number in range(2500)])
        results = await asyncio.gather(*(each.result(timeout=PATIENCE) for each in many))
        assert results == [number + 1 for number in range(2500)]


async def test_failures_and_cancels_are_told(url: str, namespace: str) -> None:
    settings = {"driver": "redis", "redis": {"url": url, "namespace": namespace}}
    async with App(settings) as app, working(app):
        failing = await app.dispatch(fails())
        with pytest.raises(TaskFailed) as failed:
            await failing.result(timeout=PATIENCE)
        assert (failed.value.reason, failed.value.error_message) == ("failed", "never")
        running = await app.dispatch(waits())
        async with asyncio.timeout(PATIENCE):
            while await running.status() is not State.LEASED:
                await asyncio.sleep(0.01)
        await running.cancel()
        with pytest.raises(TaskCancelled):
            await running.result(timeout=PATIENCE)


async def test_idle_connections_and_restarts_stop_no_worker(tmp_path: Path) -> None:
    """Cut every connection, flush the scripts, restart the server: work goes on."""
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with redis_server(tmp_path / "server", *options) as server:
        # What a lost answer of a reserve had leased comes back when a lease is over.
        settings = {"driver": server.url, "lease": 2.0, "heartbeat_interval": 0.5}
        async with App(settings) as app, working(app):
            for maltreat in (_cut, _flush, _restart, _restart):
                handles = await _persistently(app, 50)
                await asyncio.to_thread(maltreat, server)
                handles += await _persistently(app, 50)
                async with asyncio.timeout(PATIENCE):
                    for handle in handles:
                        assert await _result(handle) == 3


async def _persistently(app: App, count: int) -> list[Handle[int]]:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await app.dispatch_many([add(1, 2) for _ in range(count)])
            except DriverUnavailable:
                await asyncio.sleep(0.05)


async def _result(handle: Handle[int]) -> int:
    while True:
        try:
            return await handle.result(timeout=PATIENCE)
        except DriverUnavailable:
            await asyncio.sleep(0.05)


def _cut(server: RedisServer) -> None:
    with server.client() as client:
        for kind in ("pubsub", "normal"):
            client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


def _flush(server: RedisServer) -> None:
    with server.client() as client:
        client.script_flush()


def _restart(server: RedisServer) -> None:
    server.restart(signal.SIGKILL)


async def test_a_worker_of_the_command_line(url: str, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    address = f"{url}?namespace={namespace}"
    program = str(Path(sys.executable).with_name("asynctasq"))
    command = [program, "worker", "--app", "shop", "--burst"]
    async with App({"driver": address}) as app:
        handle = await app.dispatch(sell())
        done = await asyncio.to_thread(
            subprocess.run,
            [*command, "--driver", address],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert await handle.result(timeout=PATIENCE) == "sold"


SHOP = """
from asynctasq import task

@task(name="redis_tests.sell")
async def sell() -> str:
    return "sold"
"""


@task(name="redis_tests.sell")
async def sell() -> str:
    """Sell something in this process."""
    return "not here"
