"""Servers that are killed, or whose clock jumps."""

import asyncio
import time
from typing import Protocol, cast

from tests.chaos.faults.fault import Fault, Scene
from tests.chaos.inside.tasks import LEASE
from tests.chaos.stores.faketime import FakeClock


class Served(Protocol):
    """A store on a server of its own."""

    clock: FakeClock

    def crash(self) -> None:
        """End the server at once."""

    def restart(self) -> None:
        """Start the server again after a crash."""


def _store(scene: Scene) -> Served:
    return cast("Served", scene.store)


async def _kill(scene: Scene) -> None:
    store = _store(scene)
    await asyncio.to_thread(store.crash)
    await asyncio.sleep(scene.chance.uniform(0.0, 1.5))
    await asyncio.to_thread(store.restart)


async def _jump(scene: Scene) -> None:
    clock = _store(scene).clock
    began_at = time.time()
    clock.jump(scene.chance.choice([-3.0, -1.0, 1.0, 3.0]) * LEASE)
    try:
        await asyncio.sleep(scene.chance.uniform(0.5, 1.5) * LEASE)
    finally:
        clock.jump(0.0)
        scene.jumps.append((began_at, time.time()))


SERVER_KILLED = Fault("server killed and restarted", _kill)
SERVER_CLOCK = Fault("clock of the server jumped", _jump)
