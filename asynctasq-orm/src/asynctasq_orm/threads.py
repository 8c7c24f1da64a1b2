"""Threads for closing: the loop's own may be shut down by then."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


async def in_own_thread(function: Callable[[], object]) -> None:
    """Run a function in a thread that is there for nothing else."""
    with ThreadPoolExecutor(1, "asynctasq-orm") as executor:
        await asyncio.get_running_loop().run_in_executor(executor, function)
