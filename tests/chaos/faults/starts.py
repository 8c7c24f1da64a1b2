"""Threads and processes that cannot be started."""

import asyncio
import os
import signal
from contextlib import suppress

from tests.chaos.faults.fault import Fault, Scene
from tests.chaos.inside.starts import THREAD_NOT_STARTED

WINDOW_SECONDS = 3.0


async def _no_threads(scene: Scene) -> None:
    """Replace a worker meanwhile: a new one has all its threads to start."""
    scene.chance.choice(scene.fleet.members[:2]).send(signal.SIGTERM)
    await scene.inside(THREAD_NOT_STARTED, WINDOW_SECONDS, rate=0.5)


async def _no_processes(scene: Scene) -> None:
    """Remove the interpreter, as an upgrade of the environment does, and make processes necessary."""
    interpreter = scene.fleet.interpreter
    away = interpreter.with_suffix(".away")
    interpreter.rename(away)
    try:
        for pids in (scene.fleet.task_children(), scene.fleet.supervised()):
            if pids:
                with suppress(ProcessLookupError):
                    os.kill(scene.chance.choice(pids), signal.SIGKILL)
        await asyncio.sleep(scene.chance.uniform(0.5, 2.0))
    finally:
        away.rename(interpreter)


STARTS = (
    Fault(THREAD_NOT_STARTED, _no_threads, counted_inside=True),
    Fault("processes not started", _no_processes),
)
