"""Processes that cannot open files or sockets."""

import asyncio
import os
import resource
from contextlib import suppress

from tests.chaos.faults.fault import Fault, Scene


async def _limit(scene: Scene) -> None:
    """Lower the limit of a worker or of the supervisor to about what it has open."""
    pids = [*scene.fleet.pids(), *scene.fleet.supervisors()]
    if not pids:
        return
    pid = scene.chance.choice(pids)
    with suppress(OSError):  # it has ended
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        opened = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - only their number
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (opened + scene.chance.randrange(3), hard))
        await asyncio.sleep(scene.chance.uniform(0.5, 2.0))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


DESCRIPTORS = (Fault("descriptors limited", _limit),)
