"""Committed tasks arrive once and rolled back ones never, although processes and servers are killed."""

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from asynctasq import App, Worker
from asynctasq.contracts.capabilities.outbox import Outbox, OutboxState
from asynctasq.message import State
from asynctasq.worker.timing import OutboxTiming, WorkerTiming
from tests.outbox.shop_process import TIMING, ship
from tests.stores import ROOT, ServerStore, Store, StoreKind, store_kinds
from tests.worker.stage import eventually

KILLS, KILLS_IN_FULL = 3, 12
PROGRAM = Path(__file__).with_name("shop_process.py")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on Redis, and on every kind of store with `--full`."""
    for fixture in {"killed_store", "restarted_store"} & set(metafunc.fixturenames):
        kinds = [kind for kind in store_kinds() if kind.durable and not kind.is_queue]
        if fixture == "restarted_store":
            kinds = [kind for kind in kinds if kind.server is not None]
        if not metafunc.config.getoption("full"):
            kinds = [kind for kind in kinds if kind.name == "redis"]
        metafunc.parametrize(fixture, kinds, indirect=True, ids=[kind.name for kind in kinds])


@pytest.fixture
def killed_store(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """Yield a new, empty store that several processes can share."""
    kind: StoreKind = request.param
    with kind.open(tmp_path, tmp_path_factory) as found:
        yield found


@pytest.fixture
def restarted_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerStore]:
    """Yield a store on a server of its own."""
    kind: StoreKind = request.param
    assert kind.server is not None
    with kind.server(tmp_path / "server") as found:
        yield found


@pytest.fixture
def path(outbox: Outbox) -> str:
    """Return the database of a shop."""
    with closing(sqlite3.connect(outbox.description)) as database, database:
        database.execute("DROP TABLE orders")
        database.execute("CREATE TABLE orders (number INTEGER PRIMARY KEY, task TEXT NOT NULL)")
    return outbox.description


@contextmanager
def process(mode: str, url: str, path: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the shop in a process, and kill it at the end."""
    command = [sys.executable, str(PROGRAM), mode, url, path]
    with subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}) as running:
        try:
            yield running
        finally:
            running.kill()


def tasks_of_orders(path: str) -> set[str]:
    with closing(sqlite3.connect(path, timeout=60.0)) as database:
        return {task for (task,) in database.execute("SELECT task FROM orders")}


async def tasks_in(app: App) -> list[str]:
    return [each.id async for each in app.tasks.each([State.READY])]


async def emptied(outbox: Outbox) -> None:
    async def is_empty() -> bool:
        return await outbox.state() == OutboxState()

    await eventually(is_empty)


async def test_killed_shops_and_relays_lose_nothing_and_send_nothing_twice(
    killed_store: Store, outbox: Outbox, path: str, request: pytest.FixtureRequest
) -> None:
    url = killed_store.url
    with ExitStack() as stack:
        shops = [stack.enter_context(process("sell", url, path))]
        relays = [stack.enter_context(process("relay", url, path)) for _ in range(2)]
        for _ in range(KILLS_IN_FULL if request.config.getoption("full") else KILLS):
            before = len(tasks_of_orders(path))

            async def has_sold(before: int = before) -> bool:
                return len(tasks_of_orders(path)) > before + random.randint(1, 60)

            await eventually(has_sold)
            mode, killed = random.choice([("sell", shops), ("relay", relays)])
            place = random.randrange(len(killed))
            killed[place].kill()
            killed[place] = stack.enter_context(process(mode, url, path))
        for each in shops:
            each.kill()
            each.wait()
        await emptied(outbox)
    async with App({"driver": url}) as app:
        arrived = await tasks_in(app)
    assert len(arrived) == len(set(arrived))
    assert set(arrived) == tasks_of_orders(path)


async def test_relay_killed_between_enqueue_and_delete_sends_nothing_twice(
    killed_store: Store, outbox: Outbox, path: str
) -> None:
    url = killed_store.url
    app = App({"driver": url, "outbox": f"sqlite:///{path}"})
    async with app:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            handles = await app.dispatch_many(map(ship, range(100)), transaction=database)
            database.execute("COMMIT")
        with process("die", url, path) as relay:
            assert await asyncio.to_thread(relay.wait) == -signal.SIGKILL
        assert (await outbox.state()).waiting == 100
        assert await tasks_in(app) == [str(each) for each in handles]
        worker = Worker(app=app, queues=["unused"], handle_signals=False, timing=TIMING)
        working = asyncio.create_task(worker.start())
        await emptied(outbox)
        worker.stop()
        await working
        assert await tasks_in(app) == [str(each) for each in handles]


async def test_restarted_servers_delay_rows_and_refuse_none(
    restarted_store: ServerStore, outbox: Outbox, path: str
) -> None:
    settings: dict[str, Any] = {"driver": restarted_store.url, "outbox": f"sqlite:///{path}"}
    timing = WorkerTiming(outbox=OutboxTiming(look=0.01))
    sent: list[str] = []
    async with App(settings) as app:
        worker = Worker(app=app, queues=["unused"], handle_signals=False, timing=timing)
        working = asyncio.create_task(worker.start())
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            for act in (
                restarted_store.crash,
                restarted_store.start,
                restarted_store.disconnect_clients,
            ):
                for _ in range(20):
                    database.execute("BEGIN IMMEDIATE")
                    sent.append(str(await ship(1).dispatch(transaction=database)))
                    database.execute("COMMIT")
                    await asyncio.sleep(0)
                await asyncio.to_thread(act)
                rows = (await outbox.rows()).items
                assert {row.attempts for row in rows} <= {0}
        await emptied(outbox)
        worker.stop()
        await working
        assert sorted(await tasks_in(app)) == sorted(sent)
