"""Faults that only RabbitMQ can have."""

import asyncio
from typing import TYPE_CHECKING, cast

from tests.chaos.faults.connections import CONNECTIONS
from tests.chaos.faults.fault import Fault, Scene
from tests.chaos.faults.servers import SERVER_KILLED
from tests.chaos.kinds import QUEUES
from tests.chaos.stores.store import NAMESPACE

if TYPE_CHECKING:
    from tests.chaos.stores.rabbitmq import RabbitmqStore

WRONG_TAG = 999_999_999
"""A message with this number is acknowledged in the name of a channel, which the server then closes."""


async def _evaluate(scene: Scene, expression: str) -> None:
    store = cast("RabbitmqStore", scene.store)
    await asyncio.to_thread(store.server.evaluate, expression)


async def _close_connections(scene: Scene) -> None:
    await _evaluate(scene, 'rabbit_networking:close_all_connections("closed by the storm")')


async def _close_channels(scene: Scene) -> None:
    """Let the server close every second channel, as it does after an error of a client."""
    acknowledgement = f"{{method, {{'basic.ack', {WRONG_TAG}, false}}, none, noflow}}"
    await _evaluate(
        scene,
        f"[gen_server2:cast(P, {acknowledgement}) "
        "|| P <- rabbit_channel:list(), rand:uniform(2) =:= 1]",
    )


async def _end_queue(scene: Scene) -> None:
    """Let a queue fail. It starts again with its messages, and all its consumers are cancelled."""
    store = cast("RabbitmqStore", scene.store)
    name = f"{NAMESPACE}.q.{scene.chance.choice(QUEUES)}"
    await asyncio.to_thread(store.server.end_queue, name)


async def _run_short_of_memory(scene: Scene) -> None:
    """Let the server read nothing from those who publish."""
    await _evaluate(scene, "vm_memory_monitor:set_vm_memory_high_watermark(0.0)")
    try:
        await asyncio.sleep(scene.chance.uniform(0.3, 3.0))
    finally:
        await _evaluate(scene, "vm_memory_monitor:set_vm_memory_high_watermark(0.4)")


QUEUE_FAILED = Fault("consumers cancelled by the server", _end_queue)
OF_BROKER = (
    Fault("connections closed by the server", _close_connections),
    Fault("channels closed by the server", _close_channels),
    QUEUE_FAILED,
    Fault("memory of the server full", _run_short_of_memory),
)
RABBITMQ_STORE = (SERVER_KILLED, *CONNECTIONS, *OF_BROKER)
