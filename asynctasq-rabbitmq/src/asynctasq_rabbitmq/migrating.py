"""Creating queues and exchanges beforehand, for users without the right to create them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from asynctasq.contracts.capabilities import SchemaState
from asynctasq_rabbitmq import names
from asynctasq_rabbitmq.broker import endpoint
from asynctasq_rabbitmq.errors import broker_errors
from asynctasq_rabbitmq.lines import Line
from asynctasq_rabbitmq.settings import RabbitMQSettings
from asynctasq_rabbitmq.topology import Topology

VERSION = 1


async def schema(settings: RabbitMQSettings, place: str) -> SchemaState:
    """Return the version at the broker: 0 if something is missing."""
    async with _topology(settings, place) as topology:
        return SchemaState(0 if await _missing(settings, topology) else VERSION, VERSION)


async def migrate(settings: RabbitMQSettings, place: str, *, dry_run: bool) -> Sequence[str]:
    """Create what is missing; return the names."""
    async with _topology(settings, place) as topology:
        missing = await _missing(settings, topology)
        if not dry_run:
            if settings.delays == "levels":
                await topology.ensure_levels()
            for queue in settings.queue_names():
                await topology.ensure(queue)
        return missing


async def _missing(settings: RabbitMQSettings, topology: Topology) -> list[str]:
    missing: list[str] = []
    if settings.delays == "levels" and not await topology.has_levels():
        missing.append(f"levels of delays ({topology.level_type})")
    wanted = [
        name
        for queue in settings.queue_names()
        for name in (
            names.work_queue(settings.namespace, queue),
            names.dead_queue(settings.namespace, queue),
        )
    ]
    missing += [f"queue {name}" for name in wanted if await topology.count(name) is None]
    return missing


@asynccontextmanager
async def _topology(settings: RabbitMQSettings, place: str) -> AsyncIterator[Topology]:
    """Yield the queues and exchanges on a connection of their own."""
    line = Line(endpoint(settings, "asynctasq migrate"))
    topology = Topology(line, settings, place)
    try:
        with broker_errors(place):
            await topology.connect()
            yield topology
    finally:
        await line.close()
