"""Applications are killed while they commit: orders and tasks agree, and no task runs early."""

import asyncio
import os
import random
import sys

import pytest

from asynctasq import Worker, task
from asynctasq.tasks.registry import registry
from tests.stores import ROOT, Store
from tests.transactions.conftest import CLIENTS, Shop, in_full

pytestmark = pytest.mark.sampled(2)

KILLS = 2
ALL_BUT_THAT = [name for name in CLIENTS if name != "sqlite: async session"]
SPREAD = (5, 40)
"""Number of orders after which a process is killed."""


@pytest.mark.parametrize("seed", [7])
@pytest.mark.parametrize("client_name", ["sqlite: async session", *map(in_full, ALL_BUT_THAT)])
async def test_killed_application_leaves_orders_and_tasks_that_agree(
    shop: Shop, client_name: str, server_queue: Store | None, seed: int
) -> None:
    chance = random.Random(seed)
    confirmed: list[int] = []
    early: list[int] = []

    with registry.preserved():

        @task(name="confirm", max_attempts=1, result_ttl=600)
        async def confirm(number: int) -> int:
            if number not in await shop.orders():
                early.append(number)
            confirmed.append(number)
            return number

        worker = Worker(app=shop.app, concurrency=5, handle_signals=False)
        working = asyncio.create_task(worker.start())
        try:
            for _ in range(KILLS):
                await _take_orders(shop, client_name, server_queue, chance.randint(*SPREAD))
        finally:
            worker.stop()
            await working
        await Worker(app=shop.app, burst=True, handle_signals=False).start()
    orders = sorted(await shop.orders())
    assert orders
    assert (sorted(confirmed), early) == (orders, [])
    assert not [number for number in orders if number % 3 == 0]
    assert await shop.waiting() == 0


async def _take_orders(
    shop: Shop, client_name: str, server_queue: Store | None, count: int
) -> None:
    """Run a process that takes orders, and kill it after some."""
    kind = CLIENTS[client_name][0]
    url = f"sqlite:///{shop.client.place}" if server_queue is None else server_queue.url
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.transactions.ordering_process"),
        *(url, kind, client_name.partition(": ")[2], shop.client.place, shop.client.table),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        for _ in range(count):
            assert await process.stdout.readline()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
