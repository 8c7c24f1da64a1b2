"""A shop in a process of its own, which tests kill: `shop_process.py MODE STORE_URL DATABASE [STATE_URL]`.

- `sell` commits and rolls back orders, each with a task, until it is killed.
- `relay` forwards the tasks of committed orders until it is killed.
- `die` kills itself after the store has accepted messages, and before their rows are deleted.

DATABASE is the path of an SQLite file, or a URL.
"""

import asyncio
import os
import random
import signal
import sqlite3
import sys
from collections.abc import Sequence

from asynctasq import App, Worker, task
from asynctasq.app import stores_of
from asynctasq.contracts.driver import Enqueued
from asynctasq.message import Message
from asynctasq.worker.timing import OutboxTiming, WorkerTiming
from tests.worker.faulty_driver import FaultyDriver, Line

TIMING = WorkerTiming(outbox=OutboxTiming(hold=0.5, margin=0.1, look=0.05))


@task(name="shop.ship")
async def ship(number: int) -> int:
    return number


class Dying(FaultyDriver):
    """A driver whose process is killed once the store has accepted messages."""

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        await self.inner.enqueue(messages)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process goes on")


async def sell(app: App, path: str) -> None:
    """Sell until killed."""
    database = sqlite3.connect(path, isolation_level=None, timeout=60.0)
    while True:
        database.execute("BEGIN IMMEDIATE")
        for _ in range(random.randint(1, 5)):
            handle = await app.dispatch(ship(1), transaction=database)
            database.execute("INSERT INTO orders (task) VALUES (?)", [str(handle)])
        database.execute(random.choice(["COMMIT", "COMMIT", "ROLLBACK"]))
        await asyncio.sleep(0.001)


async def relay(app: App) -> None:
    await Worker(app=app, queues=["unused"], timing=TIMING).start()


async def main(mode: str, url: str, path: str, state: str | None = None) -> None:
    outbox = path if "://" in path else f"sqlite:///{path}"
    settings: dict[str, object] = {"driver": url, "outbox": outbox}
    if state is not None:
        settings["state"] = state
    if mode == "sell":
        await sell(App(settings), path)
    if mode == "die":
        inner = stores_of(App(settings)).default.driver
        settings = {"driver": Dying(inner.clone(), Line()), "outbox": outbox}
    async with App(settings) as app:
        await relay(app)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
