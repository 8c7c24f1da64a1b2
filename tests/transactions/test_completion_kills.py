"""A completion in a transaction is decided by its commit, whatever happens to the worker."""

import asyncio
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from asynctasq import App, State, Worker, current_task, task
from asynctasq.hookspecs import ExecutionContext, hookimpl
from asynctasq.tasks.registry import registry
from tests.stores import ROOT
from tests.transactions.clients import make_orders_in_file, orders_in_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


async def test_task_of_a_killed_worker_is_not_run_again(path: Path) -> None:
    with registry.preserved():

        @task(name="pay")
        async def pay(path: str, number: int) -> Any:
            raise AssertionError("the task runs a second time")

        async with App({"driver": f"sqlite:///{path}"}) as app:
            await make_orders_in_file(path)
            handle = await pay(str(path), 7).dispatch()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.transactions.paying_process", str(path)),
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            assert await process.wait() == -signal.SIGKILL
            await Worker(app=app, burst=True, handle_signals=False).start()
            assert await handle.status() is State.COMPLETED
            result = await handle.result(timeout=30)
            assert (result, orders_in_file(path)) == ("paid", [7])


class CommitsLate:
    """Commits when the worker takes the transaction for one that was rolled back."""

    def __init__(self) -> None:
        self.open: list[sqlite3.Connection] = []
        self.retries = 0

    @hookimpl
    def on_retry(self, context: ExecutionContext) -> None:
        del context
        self.retries += 1
        self.open[-1].execute("COMMIT")


async def test_commit_after_the_task_has_returned_counts(path: Path) -> None:
    late = CommitsLate()

    @task(name="return_early")
    async def return_early(number: int) -> Any:
        connection = sqlite3.connect(path, isolation_level=None)
        late.open.append(connection)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO orders (number) VALUES (?)", (number,))
        await current_task().complete(transaction=connection, result="done")

    with registry.preserved():
        async with App({"driver": f"sqlite:///{path}"}) as app:
            app.plugins.register(late)
            await make_orders_in_file(path)
            handle = await return_early(7).dispatch()
            await Worker(app=app, burst=True, handle_signals=False).start()
            assert await handle.result(timeout=30) == "done"
    for connection in late.open:
        connection.close()
    assert (late.retries, orders_in_file(path)) == (1, [7])
