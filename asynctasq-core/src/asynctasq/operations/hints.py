"""Why a task has not ended: facts about its queue and the workers that serve it.

Hints are best effort. They are empty if the driver lacks a capability, fails, or takes too long.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from asynctasq.contracts.capabilities import (
    Capability,
    SupportsInspect,
    SupportsPause,
    SupportsResults,
    SupportsWorkers,
    WorkerInfo,
)
from asynctasq.contracts.driver import Driver
from asynctasq.message import State
from asynctasq.operations.queues import COUNT_BOUND, count_text
from asynctasq.operations.views import TaskInfo, info_of_snapshot
from asynctasq.records import record

logger = logging.getLogger("asynctasq")

HINT_SECONDS = 1.0
"""Longest time that a hint may take."""
LATE_SECONDS = 30.0
"""Age of a heartbeat after which its worker counts as gone. Workers send one every ten seconds."""
RESTING = frozenset({"quiet", "stopping"})
"""Phases of live workers that take no new messages."""
WORKERS_NAMED = 3
ENDED = "It has ended since."
NOT_KNOWN = (
    "The store does not know it: its transaction was rolled back, no relay has sent it from the outbox yet, or "
    "it ended and its outcome has expired."
)

Connect = Callable[[], Awaitable[Driver]]


@record
class Workers:
    """The workers that a store lists, at one moment."""

    alive: Sequence[WorkerInfo]
    late: Sequence[WorkerInfo]
    """Workers whose last heartbeat is old: they were killed, or cannot reach the store."""
    now: float

    def serving(self, queue: str) -> list[WorkerInfo]:
        """Return the live workers that serve a queue."""
        return [each for each in self.alive if queue in each.queues]

    def taking(self, queue: str) -> list[WorkerInfo]:
        """Return those that take new messages of a queue: they are neither quiet nor stopping."""
        return [each for each in self.serving(queue) if each.phase not in RESTING]

    def text(self) -> str:
        """Name the live workers with their queues; `none` if there are none."""
        named = [f"{each.id} on {', '.join(each.queues)}" for each in self.alive[:WORKERS_NAMED]]
        more = len(self.alive) - len(named)
        return "; ".join([*named, *([f"{more} more"] if more else [])]) or "none"


async def list_workers(driver: Driver) -> Workers | None:
    """List the workers of a store; None if the driver has no registry of them."""
    if Capability.WORKERS not in driver.capabilities or not isinstance(driver, SupportsWorkers):
        return None
    found, now = await driver.workers(), time.time()
    late = [each for each in found if now - each.seen_at > LATE_SECONDS]
    return Workers([each for each in found if each not in late], late, now)


async def timeout_hint(connect: Connect, message_id: bytes) -> str:
    """Return why a task has not ended; empty if that cannot be found within a second. Never raises."""

    async def look() -> str:
        driver = await connect()
        if Capability.INSPECT not in driver.capabilities or not isinstance(driver, SupportsInspect):
            return await _paused_queues(driver)
        [snapshot] = await driver.find([message_id])
        if snapshot is None:
            return ENDED if await _has_outcome(driver, message_id) else NOT_KNOWN
        info = info_of_snapshot(snapshot)
        about = state_sentence(info, time.time())
        return " ".join(part for part in (about, await _queue_or_worker(driver, info)) if part)

    return await _within_a_second(look)


async def _has_outcome(driver: Driver, message_id: bytes) -> bool:
    if not isinstance(driver, SupportsResults):
        return False
    return (await driver.results([message_id]))[0] is not None


async def waiting_hint(connect: Connect, info: TaskInfo) -> str:
    """Return the reason for which a task waits, other than its state; empty if unknown. Never raises."""

    async def look() -> str:
        return await _queue_or_worker(await connect(), info)

    return await _within_a_second(look)


def state_sentence(info: TaskInfo, now: float) -> str:
    """Return the state of a task that has not ended, as a sentence."""
    failed = ""
    if info.error is not None:
        runs = f"{info.attempts} failed run{'' if info.attempts == 1 else 's'}"
        what = runs if info.attempts else "a worker could not run it"
        failed = f", after {what} ({info.error.type}: {info.error.message})"
    match info.state:
        case State.SCHEDULED:
            return (
                f"It is scheduled to run in {max(0.0, (info.due_at or now) - now):.0f} s{failed}."
            )
        case State.RUNNING:
            cancelling = " and being cancelled" if info.cancelling else ""
            return f"It is running on worker {info.worker}{cancelling}{failed}."
        case State.BLOCKED:
            return "It waits for other tasks."
        case State.READY:
            return f"It is ready to run{failed}." if failed else ""
        case _:
            return f"It is {info.state}."


def queue_sentence(queue: str, *, paused: bool, workers: Workers | None, ready: int | None) -> str:
    """Return why messages of a queue wait; empty if there is no likely reason.

    Args:
        queue: the name of the queue.
        paused: whether the queue is paused.
        workers: the workers of the store; None if not known.
        ready: the number of ready messages in the queue; None if not known.
    """
    if paused:
        return f"The queue {queue!r} is paused. To resume it: asynctasq queues resume {queue}"
    if workers is not None and not workers.serving(queue):
        late = [each for each in workers.late if queue in each.queues]
        if late:
            seconds = workers.now - late[0].seen_at
            return (
                f"No live worker serves queue {queue!r}: the last heartbeat of {late[0].id} was "
                f"{seconds:.0f} s ago."
            )
        return f"No worker serves queue {queue!r} (workers: {workers.text()})."
    if workers is not None and not workers.taking(queue):
        return (
            f"All workers of queue {queue!r} are quiet or stopping. To resume quiet ones: asynctasq workers "
            f"resume --queue {queue}"
        )
    if ready is not None and ready > 1:
        return f"{count_text(ready)} messages are ready in queue {queue!r}."
    return ""


async def workers_by_queue(driver: Driver, queues: Sequence[str]) -> Mapping[str, int | None]:
    """Count the live workers that serve each queue; None if the driver has no registry of workers."""
    workers = await list_workers(driver)
    return {name: None if workers is None else len(workers.serving(name)) for name in queues}


async def _paused_queues(driver: Driver) -> str:
    """Name the paused queues of a store that cannot say in which queue a task is."""
    if Capability.PAUSE not in driver.capabilities or not isinstance(driver, SupportsPause):
        return ""
    paused = sorted(await driver.paused())
    if not paused:
        return ""
    names = ", ".join(paused)
    if len(paused) == 1:
        return f"The queue {names!r} is paused. To resume it: asynctasq queues resume {names}"
    return f"These queues are paused: {names}. To resume one: asynctasq queues resume NAME"


async def _queue_or_worker(driver: Driver, info: TaskInfo) -> str:
    if info.state is State.RUNNING:
        workers = await list_workers(driver)
        gone = [each for each in workers.late if each.id == info.worker] if workers else []
        if workers is None or not gone:
            return ""
        seconds = workers.now - gone[0].seen_at
        return f"The last heartbeat of {info.worker} was {seconds:.0f} s ago; if it is gone, the task runs again."
    if info.state not in {State.READY, State.SCHEDULED} or not info.queue:
        return ""
    paused = False
    own: str = getattr(driver, "waiting_hint", "")
    if Capability.PAUSE in driver.capabilities and isinstance(driver, SupportsPause):
        paused = info.queue in await driver.paused()
    if own and not paused:
        return own
    workers = None if paused else await list_workers(driver)
    ready = None
    if not paused and info.state is State.READY:
        ready = (await driver.count(info.queue, bound=COUNT_BOUND)).ready
    return queue_sentence(info.queue, paused=paused, workers=workers, ready=ready)


async def _within_a_second(look: Callable[[], Awaitable[str]]) -> str:
    try:
        async with asyncio.timeout(HINT_SECONDS):
            return await look()
    except Exception:
        # A hint must not take the place of the error that it explains.
        logger.debug("Could not find out why a task has not ended", exc_info=True)
        return ""
