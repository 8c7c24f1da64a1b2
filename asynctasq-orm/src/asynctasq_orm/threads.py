"""Threads for closing connections, when the executor of the loop may already be shut down."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


async def in_own_thread(function: Callable[[], object]) -> None:
    """Run a function in a new thread."""
    with ThreadPoolExecutor(1, "asynctasq-orm") as executor:
        await asyncio.get_running_loop().run_in_executor(executor, function)
