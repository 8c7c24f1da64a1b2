"""A worker that is killed right after a task has committed its completion: `paying_process.py FILE`."""

import asyncio
import os
import signal
import sqlite3
import sys

from asynctasq import App, Worker, current_task, task


@task(name="pay")
async def pay(path: str, number: int) -> None:
    """Insert an order, complete the task with it, and die."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO orders (number) VALUES (?)", (number,))
    await current_task().complete(transaction=connection, result="paid")
    connection.execute("COMMIT")
    os.kill(os.getpid(), signal.SIGKILL)


async def work(path: str) -> None:
    """Work until the task kills the process."""
    await Worker(app=App({"driver": f"sqlite:///{path}"}), handle_signals=False).start()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
