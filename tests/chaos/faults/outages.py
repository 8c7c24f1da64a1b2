"""A store that answers nobody for longer than a lease, and answers that never arrive."""

import asyncio

from tests.chaos.faults.fault import Fault, Scene
from tests.chaos.inside.audit import ANSWER_LOST
from tests.chaos.inside.tasks import LEASE


async def _hang(scene: Scene) -> None:
    await scene.store.hang(scene.chance.uniform(1.2, 2.0) * LEASE)


async def _lose_answers(scene: Scene) -> None:
    scene.board.turn_on(ANSWER_LOST, 1.0, rate=0.2)
    await asyncio.sleep(1.0)


HANGS = Fault("store hung", _hang)
ANSWERS = Fault(ANSWER_LOST, _lose_answers, counted_inside=True)
