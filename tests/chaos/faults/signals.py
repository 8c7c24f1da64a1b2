"""Signals to workers and to their child processes."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from tests.chaos.faults.fault import Fault, Scene
from tests.chaos.inside.tasks import LEASE

STOPS_SECONDS = (0.3, 1.0, 1.5 * LEASE, 2.5 * LEASE)
"""The durations of a pause of a worker; after more than a lease, it resumes too late."""


async def _kill_worker(scene: Scene) -> None:
    scene.chance.choice(scene.fleet.members[:2]).send(signal.SIGKILL)


async def _kill_supervised(scene: Scene) -> None:
    _send(scene, scene.fleet.supervised(), signal.SIGKILL)


async def _kill_supervisor(scene: Scene) -> None:
    scene.fleet.members[2].send(signal.SIGKILL)


async def _kill_task_child(scene: Scene) -> None:
    _send(scene, scene.fleet.task_children(), signal.SIGKILL)


async def _terminate(scene: Scene) -> None:
    scene.chance.choice(scene.fleet.members).send(signal.SIGTERM)


async def _stop(scene: Scene) -> None:
    pid = _send(scene, scene.fleet.pids(), signal.SIGSTOP)
    if pid:
        await asyncio.sleep(scene.chance.choice(STOPS_SECONDS))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _send(scene: Scene, pids: Sequence[int], number: signal.Signals) -> int:
    """Send one of the processes a signal; its id, or 0 if there is none."""
    if not pids:
        return 0
    pid = scene.chance.choice(pids)
    for each in scene.fleet.members:
        if each.process is not None and each.process.pid == pid:
            each.sent[number] += 1
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    return pid


SIGNALS = (
    Fault("SIGKILL of a worker", _kill_worker),
    Fault("SIGKILL of a worker", _kill_worker),
    Fault("SIGKILL of a supervised worker", _kill_supervised),
    Fault("SIGKILL of a supervisor", _kill_supervisor),
    Fault("SIGKILL of a child process", _kill_task_child),
    Fault("SIGTERM", _terminate),
    Fault("SIGSTOP", _stop),
    Fault("SIGSTOP", _stop),
)
