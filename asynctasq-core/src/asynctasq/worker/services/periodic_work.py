"""The periodic work of the lease renewer, done at each tick on its own thread, loop and driver.

To add some, write a class with `run` and `finish`, and add an instance to `periodic_work` of the renewer.
A blocked event loop of the worker does not delay it.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic
from typing import Protocol, TypeAlias

from asynctasq.contracts.capabilities import (
    Capability,
    SupportsCancel,
    SupportsProgress,
    SupportsWorkers,
    WorkerInfo,
)
from asynctasq.contracts.capabilities.worker_requests import (
    SupportsWorkerRequests,
    WorkerRequest,
)
from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Lease
from asynctasq.settlement import LeaseState
from asynctasq.tasks.registry import registry as tasks
from asynctasq.version import __version__
from asynctasq.worker.events import WorkerEvents
from asynctasq.worker.health import WorkerHealth
from asynctasq.worker.in_flight import InFlight, InFlightMessage, Interrupt
from asynctasq.worker.options import WorkerOptions
from asynctasq.worker.services.memory_limit import resident_bytes
from asynctasq.worker.timing import RenewerTiming

logger = logging.getLogger("asynctasq")


Interrupter: TypeAlias = Callable[[InFlightMessage, Interrupt], None]
"""Interrupts a run on the worker's loop, unless that was done for the same reason before."""


class PeriodicWork(Protocol):
    """Work that the lease renewer does at each tick."""

    async def run(self, driver: Driver, /) -> None:
        """Do the work that is due. An error ends the tick; the next tick tries again.

        Args:
            driver: of the renewer, opened.
        """
        ...

    async def finish(self, driver: Driver, /) -> None:
        """Run for the last time, when the worker stops."""
        ...


def workers_of(driver: Driver) -> SupportsWorkers | None:
    """Return the driver as a registry of workers; None if it is not one."""
    if Capability.WORKERS in driver.capabilities and isinstance(driver, SupportsWorkers):
        return driver
    return None


class RenewLeases:
    """Extends the leases of all held messages, and interrupts runs whose lease is lost."""

    def __init__(
        self,
        options: WorkerOptions,
        *,
        owner: str,
        in_flight: InFlight,
        health: WorkerHealth,
        interrupt: Interrupter,
    ) -> None:
        self._options = options
        self._owner = owner
        self._in_flight = in_flight
        self._health = health
        self._interrupt = interrupt
        self._due_at: float | None = None

    async def run(self, driver: Driver) -> None:
        """Renew if the interval has passed; the first time an interval after the start."""
        now = monotonic()
        if self._due_at is None:
            self._due_at = now + self._options.heartbeat_interval
        if now < self._due_at:
            return
        # Also with nothing held: this releases a message whose delivery was lost on its way here.
        held = self._in_flight.snapshot()
        leases = [each.delivery.lease for each in held]
        states = await driver.extend(self._owner, leases, lease=self._options.lease)
        self._health.reached()
        for each, state in zip(held, states, strict=True):
            if state is LeaseState.LOST:
                self._interrupt(each, Interrupt.LOST)
        self._due_at = now + self._options.heartbeat_interval

    async def finish(self, driver: Driver) -> None:
        """Do nothing: all messages are settled."""


class ApplyRequests:
    """Interrupts runs whose messages were cancelled, and passes requests about the worker on."""

    def __init__(
        self,
        *,
        owner: str,
        in_flight: InFlight,
        interrupt: Interrupter,
        steer: Callable[[WorkerRequest], None],
        timing: RenewerTiming,
    ) -> None:
        self._owner = owner
        self._in_flight = in_flight
        self._interrupt = interrupt
        self._steer = steer
        self._timing = timing
        self._due_at = 0.0
        self._was_refused = False

    async def run(self, driver: Driver) -> None:
        """Look for requests at each tick if anything is held, and otherwise from time to time."""
        held = self._in_flight.snapshot()
        if not held and monotonic() < self._due_at:
            return
        self._due_at = monotonic() + self._timing.requests
        flagged = set(await self._requests(driver, is_busy=bool(held)))
        if flagged:
            for each in held:
                if each.delivery.lease in flagged:
                    self._interrupt(each, Interrupt.CANCEL)

    async def _requests(self, driver: Driver, *, is_busy: bool) -> Sequence[Lease]:
        """Carry out the request about the worker, and return the leases whose messages are flagged."""
        if Capability.WORKER_REQUESTS in driver.capabilities and isinstance(
            driver, SupportsWorkerRequests
        ):
            try:
                found = await driver.requests(self._owner)
            except DriverUnavailable:
                raise
            except DriverError as error:  # it lacks rights in the store, perhaps
                if not self._was_refused:
                    logger.warning("Could not read requests about this worker: %s", error)
                self._was_refused = True
            else:
                self._was_refused = False
                self._steer(found.worker)
                return found.cancels
        if (
            is_busy
            and Capability.CANCEL in driver.capabilities
            and isinstance(driver, SupportsCancel)
        ):
            return await driver.cancel_requests(self._owner)
        return ()

    async def finish(self, driver: Driver) -> None:
        """Do nothing: nothing runs any more."""


class SendProgress:
    """Stores the progress that tasks have reported."""

    def __init__(self, in_flight: InFlight, events: WorkerEvents) -> None:
        self._in_flight = in_flight
        self._events = events
        self._unsent: dict[Lease, bytes] = {}

    async def run(self, driver: Driver) -> None:
        """Store progress that was reported since the last call, or could not be stored then."""
        await self.finish(driver)

    async def finish(self, driver: Driver) -> None:
        """Store the last progress."""
        self._unsent.update(self._in_flight.take_progress())
        if self._unsent and isinstance(driver, SupportsProgress):
            updates = list(self._unsent.items())
            await driver.set_progress(updates)
            self._unsent.clear()
            if self._events.active:
                self._events.progress(updates, self._in_flight)


TASKS_NAMED = 50
"""Names of tasks in the record of a worker, at most."""


class RecordWorker:
    """Records the worker in the registry, with its running tasks and its memory."""

    def __init__(
        self,
        options: WorkerOptions,
        *,
        in_flight: InFlight,
        health: WorkerHealth,
        timing: RenewerTiming,
    ) -> None:
        self._in_flight = in_flight
        self._health = health
        self._timing = timing
        self._due_at = 0.0
        self._worker = WorkerInfo(
            id=options.worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=time.time(),
            queues=tuple(options.queues),
            concurrency=options.concurrency,
            running=0,
            version=__version__,
            owner=health.owner,
        )

    async def run(self, driver: Driver) -> None:
        """Record the worker if its phase or its running tasks have changed, or the record is old."""
        now = monotonic()
        starts = [each.started_at for each in self._in_flight.snapshot() if each.started_at > 0]
        running, phase = len(starts), self._health.shown_phase.value
        recorded = (self._worker.running, self._worker.phase)
        if now < self._due_at and recorded == (running, phase):
            return
        registry = workers_of(driver)
        if registry is not None:
            worker = replace(
                self._worker,
                running=running,
                phase=phase,
                seen_at=time.time(),
                loop_lag=round(self._health.loop_watch.lag, 3),
                resident_bytes=resident_bytes(),
                tasks=tuple(sorted(each.name for each in tasks)[:TASKS_NAMED]),
                longest_run=now - min(starts) if starts else None,
            )
            await registry.record_worker(worker, ttl=self._timing.register_ttl)
            self._worker = worker
        self._due_at = now + self._timing.register

    async def finish(self, driver: Driver) -> None:
        """Remove the worker from the registry."""
        registry = workers_of(driver)
        if registry is not None:
            await registry.forget_worker(self._worker.id)


class EndOwners:
    """Ends the leases of workers that their supervisor saw crash."""

    def __init__(self, health: WorkerHealth) -> None:
        self._owners = health.ending

    async def run(self, driver: Driver) -> None:
        """End the leases of each owner that the supervisor has named."""
        for owner in self._owners.todo():
            registry = workers_of(driver)
            if registry is not None:
                try:
                    await registry.end_owner(owner)
                    logger.info(
                        "Ended the leases of %s after its process crashed",
                        owner,
                        extra={"owner": owner},
                    )
                except DriverUnavailable:
                    raise
                except Exception:
                    logger.exception(
                        "Could not end the leases of %s; they expire on their own",
                        owner,
                        extra={"owner": owner},
                    )
            self._owners.done(owner)

    async def finish(self, driver: Driver) -> None:
        """Do nothing: another worker of the supervisor ends the remaining leases."""
