"""Clocks that jump: of one worker, or of all processes as on a machine whose clock is set."""

import time

from tests.chaos.faults.fault import Fault, Scene
from tests.chaos.inside.audit import CLOCK_JUMPED
from tests.chaos.inside.tasks import LEASE


async def _jump(scene: Scene) -> None:
    pids = [*scene.fleet.pids(), 0]
    offset = scene.chance.choice([-3.0, -1.0, 1.0, 3.0]) * LEASE
    pid = scene.chance.choice(pids) if scene.chance.random() < 0.5 else 0
    seconds = scene.chance.uniform(0.5, 1.5) * LEASE
    began_at = time.time()
    await scene.inside(CLOCK_JUMPED, seconds, value=offset, pid=pid)
    scene.jumps.append((began_at, time.time()))


CLOCKS = (Fault(CLOCK_JUMPED, _jump, counted_inside=True),)
