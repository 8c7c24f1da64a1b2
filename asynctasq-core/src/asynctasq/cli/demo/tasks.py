"""The tasks of `asynctasq demo`. Its folder holds a copy of this file: change it, and play with it.

asynctasq worker --app tasks      in one terminal
python tasks.py                   in another
"""

import asyncio
import os
import time
from pathlib import Path

import asynctasq
from asynctasq import AsyncTask, current_task, task


@task
async def greet(name: str) -> str:
    """Async functions run on the worker's event loop, many at a time."""
    await asyncio.sleep(0.05)
    return f"Hello, {name}!"


@task
def count_words(text: str) -> int:
    """Sync functions run in threads."""
    time.sleep(0.05)
    return len(text.split())


@task
async def square(number: int) -> int:
    """So short that only batches make it fast."""
    return number * number


@task(max_attempts=3, retry_delay=0.4)
async def call_service(request: str) -> str:
    """Fails twice; a failed run is repeated as long as `max_attempts` allows."""
    run = current_task().attempt + 1
    if run < 3:
        raise ConnectionError(f"the service is busy (run {run})")
    return f"{request}: answered at run {run}"


class ChargeCard(AsyncTask[str]):
    """Tasks may be classes. This one always fails, and ends among the dead letters."""

    max_attempts = 2
    retry_delay = 0.2

    def __init__(self, order: int, card: str) -> None:
        super().__init__()
        self.order = order
        self.card = card

    async def execute(self) -> str:
        """Do the work."""
        raise ValueError(f"the card {self.card} has expired")

    def failed(self, exception: Exception) -> None:
        """Called once, when no run is left."""
        with Path("failed.txt").open("a", encoding="utf-8") as file:
            file.write(f"order {self.order}: {exception}\n")


@task
async def render(frames: int) -> str:
    """Whoever has the handle can see how far it is."""
    for frame in range(1, frames + 1):
        await asyncio.sleep(0.1)
        current_task().report({"frame": frame, "of": frames})
    return f"{frames} frames"


@task
async def remind(_what: str) -> float:
    """Dispatched with `.delay(...)`."""
    return time.time()


@task
async def rebuild_index(shop: str) -> str:
    """Dispatched with `.options(unique=...)`: once at a time, however often it is asked for."""
    await asyncio.sleep(0.1)
    return f"index of {shop}"


@task(queue="letters")
async def print_letter(_to: str) -> float:
    """The worker runs one task of the queue `letters` at a time, by priority."""
    await asyncio.sleep(0.02)
    return time.monotonic()


@task
async def long_task(_number: int) -> int:
    """Running when its worker is killed; returns the process that ran it to its end."""
    await asyncio.sleep(1)
    return os.getpid()


async def main() -> None:
    """Dispatch one task, and wait for its result."""
    handle = await greet("world").dispatch()
    print(await handle.result(timeout=30))


if __name__ == "__main__":
    asynctasq.run(main())
