"""A datagram that tells a waiting process that a task has started.

Uses only the standard library, because programs of peers use it too.
"""

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable

WARM = 20
PAUSE_SECONDS = (0.04, 0.08)
"""Long enough for a worker to settle and go to sleep, and never in step with its polls."""


def tell_start(path: str) -> None:
    """Report the start; a task calls this on its first line."""
    now = time.monotonic_ns()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(now.to_bytes(8, "big"), path)


async def latencies(
    dispatch: Callable[[], Awaitable[object]], path: str, samples: int, idle_seconds: float = 0.0
) -> list[float]:
    """Return the seconds from before `dispatch()` to the start of what it dispatched.

    The worker is idle for `idle_seconds` before each sample, and a moment more.
    """
    loop = asyncio.get_running_loop()
    taken: list[float] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.setblocking(False)
        begun: asyncio.Queue[int] = asyncio.Queue()
        loop.add_reader(receiver, lambda: begun.put_nowait(int.from_bytes(receiver.recv(8), "big")))
        try:
            for number in range(WARM + samples):
                idle = idle_seconds if number >= WARM else 0.0
                await asyncio.sleep(idle + random.uniform(*PAUSE_SECONDS))
                before = time.monotonic_ns()
                await dispatch()
                async with asyncio.timeout(30):
                    taken.append((await begun.get() - before) / 1e9)
        finally:
            loop.remove_reader(receiver)
    return taken[WARM:]
