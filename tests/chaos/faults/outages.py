"""A store that does not answer for longer than a lease, and answers that never arrive."""

from tests.chaos.faults.fault import Fault, Scene
from tests.chaos.inside.audit import ANSWER_LOST
from tests.chaos.inside.tasks import LEASE


async def _hang(scene: Scene) -> None:
    await scene.store.hang(scene.chance.uniform(1.2, 2.0) * LEASE)


async def _lose_answers(scene: Scene) -> None:
    await scene.inside(ANSWER_LOST, 1.0, rate=0.2)


HANGS = Fault("store hung", _hang)
ANSWERS = Fault(ANSWER_LOST, _lose_answers, counted_inside=True)
