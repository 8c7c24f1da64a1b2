"""The worker on RabbitMQ: runs, retries, dead letters, shutdown, dispatches from sync code, and kills."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from asynctasq import App, Worker, task
from asynctasq.conformance.processes import check_each_message_once, check_kills
from asynctasq.errors import CapabilityMissing
from asynctasq_rabbitmq import RabbitMQDriver

runs: Counter[str] = Counter()
seen = threading.Event()
PATIENCE = 30.0


@task
async def count(name: str) -> None:
    runs[name] += 1


@task(max_attempts=3, retry_delay=0.3)
async def fail(name: str) -> None:
    runs[name] += 1
    raise ValueError(name)


@task
async def run_for(name: str, seconds: float) -> None:
    seen.set()
    await asyncio.sleep(seconds)
    runs[name] += 1


@pytest.fixture(autouse=True)
def _new_counts() -> None:
    runs.clear()
    seen.clear()


@asynccontextmanager
async def app_of(url: str, namespace: str) -> AsyncIterator[App]:
    settings = {"driver": f"{url}?queue_type=classic&namespace={namespace}"}
    async with App(settings) as app:
        yield app


@asynccontextmanager
async def working(app: App, stops: int = 1) -> AsyncIterator[Worker]:
    worker = Worker(app=app, handle_signals=False, concurrency=10)
    running = asyncio.create_task(worker.start())
    try:
        yield worker
    finally:
        for _ in range(stops):  # the second interrupts what runs
            worker.stop()
        await running


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not is_true():
            await asyncio.sleep(0.01)


async def test_tasks_run_once_and_failing_ones_become_dead_letters(
    url: str, namespace: str
) -> None:
    async with app_of(url, namespace) as app:
        await app.dispatch_many([count(f"task {number}") for number in range(200)])
        await app.dispatch(count("later").options(delay=0.5))
        await app.dispatch(fail("failing"))
        async with working(app):
            await until(lambda: runs["failing"] == 3 and runs["later"] == 1)
            await until(lambda: sum(runs.values()) == 204)
        assert set(runs.values()) == {1, 3}
        driver = await app.driver()
        counts = await driver.count("default")
        assert (counts.ready, counts.dead) == (0, 1)


async def test_a_worker_that_stops_releases_what_it_runs(url: str, namespace: str) -> None:
    async with app_of(url, namespace) as app:
        await app.dispatch(run_for("long", 0.2).options(max_lost=0))
        async with working(app, stops=2):
            await until(seen.is_set)
        assert runs["long"] == 0
        async with working(app):
            await until(lambda: runs["long"] == 1)


async def test_an_option_that_needs_a_state_store_is_refused_at_dispatch(
    url: str, namespace: str
) -> None:
    async with app_of(url, namespace) as app:
        with pytest.raises(CapabilityMissing, match="UNIQUE"):
            await app.dispatch(count("once").options(unique="once"))
        handle = await app.dispatch(count("result"))
        with pytest.raises(CapabilityMissing, match="RESULTS"):
            await handle.result(timeout=1.0)
        await Worker(app=app, burst=True, handle_signals=False).start()


def test_sync_code_dispatches(url: str, namespace: str) -> None:
    settings = {"driver": f"{url}?queue_type=classic&namespace={namespace}"}

    async def work() -> None:
        async with app_of(url, namespace) as app:
            await Worker(app=app, burst=True, handle_signals=False).start()

    app = App(settings)
    app.dispatch_sync(count("sync"))
    app.close_sync()
    asyncio.run(work())
    assert runs["sync"] == 1


def driver_in(folder: Path, *, url: str) -> RabbitMQDriver:
    """Return a driver in the namespace of a folder. Other processes call it, too."""
    return RabbitMQDriver(url, namespace=f"test-{folder.name}", queue_type="classic")


def test_each_message_goes_to_one_process(url: str, tmp_path: Path, namespace: str) -> None:
    make = partial(driver_in, tmp_path / namespace, url=url)
    check_each_message_once(make, tmp_path, messages=60, consumers=2)


@pytest.mark.full
def test_nothing_is_lost_when_processes_are_killed(
    url: str, tmp_path: Path, namespace: str
) -> None:
    make = partial(driver_in, tmp_path / namespace, url=url)
    check_kills(make, tmp_path, messages=100, consumers=2, kills=6)
