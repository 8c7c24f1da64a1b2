"""Metrics of a store, for Prometheus and for autoscalers."""

import time
from collections.abc import Collection
from math import ceil
from typing import TYPE_CHECKING, Any, TypeAlias

from asynctasq.cli.times import last_minutes
from asynctasq.errors import CapabilityMissing, DriverError
from asynctasq.exposition import Family
from asynctasq.operations.queues import COUNT_BOUND

if TYPE_CHECKING:
    from asynctasq.app import App
    from asynctasq.contracts.capabilities import QueueInfo, WorkerInfo

Samples: TypeAlias = dict[tuple[str, ...], float]
RATE_SECONDS = 300.0
"""Time over which rates are counted, at least."""
STATES = ("ready", "scheduled", "leased", "blocked", "dead")


async def store_families(app: "App") -> list[Family]:
    """Return what a store holds, and who works on it.

    Counts end at 100,000 for each state of a queue, so that the call costs the same whatever has piled up. If the
    store cannot be reached, `asynctasq_up` is 0, and nothing else is returned.
    """
    try:
        queues = await app.queues.all(bound=COUNT_BOUND)
        workers = await _workers(app)
    except CapabilityMissing:
        raise
    except DriverError:
        return [up_family(0.0)]
    return [up_family(1.0), *queue_families(queues), *worker_families(workers)]


def up_family(value: float) -> Family:
    """Return whether the store answers."""
    return Family("asynctasq_up", "1 if the store answers, otherwise 0.", samples={(): value})


async def _workers(app: "App") -> list["WorkerInfo"]:
    try:
        return await app.workers()
    except CapabilityMissing:
        return []


def queue_families(queues: Collection["QueueInfo"]) -> list[Family]:
    """Return what queues hold."""
    now = time.time()
    counts: Samples = {
        (each.name, "running" if state == "leased" else state): float(count)
        for each in queues
        for state in STATES
        if (count := getattr(each, state)) is not None
    }
    ages: Samples = {
        (each.name,): max(0.0, now - each.oldest_ready_at)
        for each in queues
        if each.oldest_ready_at is not None
    }
    paused: Samples = {(each.name,): float(each.paused) for each in queues}
    return [
        Family(
            "asynctasq_messages",
            "Messages by queue and state, counted up to 100,000.",
            labels=("queue", "state"),
            samples=counts,
        ),
        Family(
            "asynctasq_oldest_ready_seconds",
            "Age of the message that has been ready for the longest time.",
            labels=("queue",),
            samples=ages,
        ),
        Family(
            "asynctasq_queue_paused",
            "1 if the queue is paused.",
            labels=("queue",),
            samples=paused,
        ),
    ]


def worker_families(workers: Collection["WorkerInfo"]) -> list[Family]:
    """Return who serves the queues."""
    slots: Samples = {}
    counts: Samples = {}
    for each in workers:
        for queue in each.queues:
            slots[queue,] = slots.get((queue,), 0.0) + each.concurrency
            counts[queue,] = counts.get((queue,), 0.0) + 1.0
    return [
        Family(
            "asynctasq_workers",
            "Workers that have reported in the last minute, by queue that they serve.",
            labels=("queue",),
            samples=counts,
        ),
        Family(
            "asynctasq_worker_slots",
            "Slots of these workers. A slot counts for each queue that its worker serves.",
            labels=("queue",),
            samples=slots,
        ),
    ]


async def scale(app: "App", queue: str, *, within: float) -> dict[str, Any]:
    """Return how much work a queue has, and how many slots it needs.

    Args:
        app: of the store.
        queue: its name. An unknown queue has no work.
        within: seconds within which everything that is ready should have started.

    Raises:
        DriverError: the store refused or could not be reached.
        ValueError: the name is not valid.
    """
    counts = await app.queues.count(queue, bound=COUNT_BOUND)
    per_second, mean = await _rate(app, queue)
    ready, running = counts.ready or 0, counts.leased or 0
    wanted = None if mean is None else ceil(round(per_second * mean + ready * mean / within, 9))
    return {
        "queue": queue,
        "ready": ready,
        "scheduled": counts.scheduled,
        "running": running,
        "finished_per_second": round(per_second, 6),
        "mean_run_seconds": mean,
        "wanted_slots": max(1 if ready else 0, ready if wanted is None else wanted),
        "seconds_to_empty": round(ready / per_second, 3) if ready and per_second else None,
    }


async def _rate(app: "App", queue: str) -> tuple[float, float | None]:
    """Return the runs per second of the last minutes and their mean duration; None if that is unknown."""
    since, until = last_minutes(RATE_SECONDS)
    try:
        times = (await app.metrics.percentiles(queue=queue, since=since, until=until)).run
    except CapabilityMissing:
        return 0.0, None
    return times.runs / (until - since), times.mean
