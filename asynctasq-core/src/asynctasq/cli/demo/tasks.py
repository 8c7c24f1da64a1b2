"""The tasks of `asynctasq demo`. The demo copies this file into its folder, where you can change it.

asynctasq worker --app tasks      in one terminal
python tasks.py                   in another terminal
"""

import asyncio
import os
import time

import asynctasq
from asynctasq import AsyncTask, current_task, task


@task
async def greet(name: str) -> str:
    """Run on the event loop of the worker. Many async tasks run at once."""
    await asyncio.sleep(0.05)
    return f"Hello, {name}!"


@task
def count_words(text: str) -> int:
    """Run in a thread, because the function is not async."""
    time.sleep(0.05)
    return len(text.split())


@task
async def render(frames: int) -> str:
    """Report progress, which you can read from the handle."""
    for frame in range(1, frames + 1):
        await asyncio.sleep(0.05)
        current_task().report({"frame": frame, "of": frames})
    return f"{frames} frames"


@task(max_attempts=3, retry_delay=0.4)
async def call_service(request: str) -> str:
    """Fail twice. A failed task runs again until `max_attempts` is reached."""
    run = current_task().attempt + 1
    if run < 3:
        raise ConnectionError(f"the service is busy (run {run})")
    return f"{request}: answered on run {run}"


class ChargeCard(AsyncTask[str]):
    """A task as a class. It fails on every run and becomes a dead letter."""

    max_attempts = 2
    retry_delay = 0.2

    def __init__(self, order: int, card: str) -> None:
        super().__init__()
        self.order = order
        self.card = card

    async def execute(self) -> str:
        """Raise an error."""
        raise ValueError(f"the card {self.card} has expired")


@task
async def long_task(_number: int) -> int:
    """Run for a second, and return the PID of the worker."""
    await asyncio.sleep(1)
    return os.getpid()


async def main() -> None:
    """Dispatch a task and wait for its result."""
    handle = await greet("world").dispatch()
    print(await handle.result(timeout=30))


if __name__ == "__main__":
    asynctasq.run(main())
