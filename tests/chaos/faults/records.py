"""Records that are overwritten in the store."""

import asyncio
import time

from tests.chaos.faults.fault import Fault, Scene

LOG = "damages.log"
ATTEMPTS = 40
PAUSE_SECONDS = 0.05


async def _damage(scene: Scene) -> None:
    """Overwrite up to three records."""
    wanted = scene.chance.randint(1, 3)
    for _ in range(ATTEMPTS):
        damage = await scene.store.damage(scene.chance)
        if damage is not None:
            scene.damages.append(damage)
            line = f"{time.time():.6f} {damage.message} {damage.must_die} {damage.how}\n"
            with (scene.folder / LOG).open("a") as log:
                log.write(line)
            scene.report.faults[f"record damaged: {damage.how}"] += 1
            scene.report.faults[RECORDS.name] += 1
            wanted -= 1
            if not wanted:
                return
        await asyncio.sleep(PAUSE_SECONDS)


RECORDS = Fault("records damaged", _damage, counted_inside=True)
