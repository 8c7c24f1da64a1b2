"""The tasks that are run to measure."""

import asyncio
import time
from pathlib import Path

from asynctasq import task


@task
async def noop(number: int) -> int:
    return number


@task
async def tell_start() -> int:
    """Nanoseconds of the clock that all processes of a machine share."""
    return time.monotonic_ns()


@task(max_attempts=1)
async def mark(folder: str, number: int, seconds: float) -> None:
    """Leave a file when it has begun, and another when it has ended."""
    place = Path(folder)
    (place / f"begun-{number}").touch()
    await asyncio.sleep(seconds)
    (place / f"ended-{number}").touch()
