"""Keeps leases alive and hears of cancels, from a thread that no task can block."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from time import monotonic

from asynctasq.contracts.capabilities import (
    Capability,
    SupportsCancel,
    SupportsProgress,
    SupportsWorkers,
    WorkerInfo,
)
from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Lease
from asynctasq.records import record
from asynctasq.settlement import LeaseState
from asynctasq.worker.backoff import LONGEST_PAUSE_SECONDS, Backoff, Outage
from asynctasq.worker.health import OwnersToEnd
from asynctasq.worker.in_flight import InFlightMessage, Interrupt
from asynctasq.worker.log_guard import SilenceReport, keep_loggers_enabled

logger = logging.getLogger("asynctasq")

TICK_SECONDS = 0.75
"""Between looks at cancel requests, progress and the worker's loop."""
BLOCKED_AFTER_SECONDS = 2.0
"""A loop that has not run for this long is reported."""
REGISTRY_INTERVAL_SECONDS = 10.0
REGISTRY_TTL_SECONDS = 60.0
AGAIN_SECONDS = 0.5
"""Before a keeper that died begins anew."""
END_SECONDS = 10.0
"""How long the keeper may take to end: it may hang in a call to the store."""


@record
class RenewerSettings:
    """Durations in seconds."""

    owner: str
    lease: float
    interval: float
    """Between renewals."""
    stall_limit: float
    """For which a blocked loop keeps its leases."""


class LeaseRenewer:
    """A thread with a loop and a driver of its own."""

    def __init__(
        self,
        driver: Driver,
        settings: RenewerSettings,
        *,
        worker: WorkerInfo,
        held: Callable[[], Sequence[InFlightMessage]],
        take_progress: Callable[[], list[tuple[Lease, bytes]]],
        reached: Callable[[], None],
        ending: OwnersToEnd,
        outage: Outage,
    ) -> None:
        """Make a keeper for the running loop.

        Args:
            driver: an unopened clone of the worker's.
            settings: how often, for whom.
            worker: how it stands in the registry of workers.
            held: what the worker holds; called from the keeper's thread.
            take_progress: what tasks have reported since the last call; called from its thread.
            reached: told, in its thread, whenever the store has renewed.
            ending: owners whose leases it is to end, as their processes have died.
            outage: of the store, as the other parts of the worker see it.
        """
        self._driver = driver
        self._settings = settings
        self._worker = worker
        self._held = held
        self._take_progress = take_progress
        self._reached = reached
        self._ending = ending
        self._outage = outage
        self._woken = asyncio.Event()
        self._silence = SilenceReport()
        self._watch = LoopWatch(asyncio.get_running_loop(), settings.stall_limit)
        self._main_loop = asyncio.get_running_loop()
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._stop_asked = False
        self._stopping = asyncio.Event()
        self._running = asyncio.Event()
        self._ended = asyncio.Event()
        self._unsent: dict[Lease, bytes] = {}
        self._thread = threading.Thread(target=self._run, name="asynctasq-keeper", daemon=True)

    async def start(self) -> None:
        """Start the thread; returns when it has opened the store: without it, leases would end."""
        self._thread.start()
        await self._running.wait()

    async def stop(self) -> None:
        """End; returns when the thread has ended, or is left behind because the store does not answer."""
        self._stop_asked = True
        if self._own_loop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._own_loop.call_soon_threadsafe(self._stopping.set)
        self._wake()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            logger.warning("The keeper hangs in a call to the store and is left behind.")
        else:
            self._thread.join()

    def _run(self) -> None:
        try:
            pause = AGAIN_SECONDS
            while not self._has_kept():
                threading.Event().wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                self._driver = self._driver.clone()
        finally:
            with suppress(RuntimeError):  # the worker's loop was closed under us
                self._main_loop.call_soon_threadsafe(self._ended.set)

    def _has_kept(self) -> bool:
        """Keep until the end; False if something ended that early, such as an error thrown into this thread."""
        try:
            asyncio.run(self._keep())
        except BaseException:
            logger.exception("The keeper of leases has died.")
            return self._stop_asked or self._main_loop.is_closed()
        return True

    async def _keep(self) -> None:
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._own_loop = asyncio.get_running_loop()
        self._ending.added = self._wake
        if self._stop_asked:  # `stop` reads the loop after it has set this
            self._stopping.set()
        try:
            if await self._keep_until_told():
                await self._finish()
        finally:
            await self._driver.close()

    async def _keep_until_told(self) -> bool:
        """Returns whether the store was ever reached."""
        opened = False
        renew_at = register_at = 0.0
        patience = Backoff("keep leases", self._outage)
        failing = False
        while not self._stopping.is_set() and not self._main_loop.is_closed():
            now = monotonic()
            try:
                if not opened:
                    await self._driver.open()
                    opened = True
                    self._main_loop.call_soon_threadsafe(self._running.set)
                    renew_at = now + self._settings.interval
                if self._watch.look():
                    if now >= renew_at:
                        await self._renew()
                        renew_at = now + self._settings.interval
                    await self._hear_cancels()
                    await self._send_progress()
                    running = sum(each.started_at > 0 for each in self._held())
                    if now >= register_at or running != self._worker.running:
                        await self._register(running)
                        register_at = now + REGISTRY_INTERVAL_SECONDS
                    await self._end_owners()
                patience.reached()
                failing = False
            except DriverError as error:
                patience.note(error)
            except Exception as error:
                # Without a keeper every lease would end, so it outlives whatever it meets.
                if not failing:
                    logger.exception("Renewing leases failed; trying again.")
                failing = True
                logger.debug("Renewing leases failed: %s", error)
            keep_loggers_enabled()
            self._silence.check()
            await self._pause()
        return opened

    async def _finish(self) -> None:
        try:
            await self._send_progress()
            if Capability.WORKERS in self._driver.capabilities and isinstance(
                self._driver, SupportsWorkers
            ):
                await self._driver.forget_worker(self._worker.id)
        except DriverError as error:
            logger.warning("The keeper cannot tell the store of its end: %s", error)

    async def _pause(self) -> None:
        self._woken.clear()
        if not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(min(TICK_SECONDS, self._settings.interval)):
                    await self._woken.wait()

    def _wake(self) -> None:
        """End the pause; from any thread."""
        if self._own_loop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._own_loop.call_soon_threadsafe(self._woken.set)

    async def _end_owners(self) -> None:
        """End the leases of workers that their supervisor saw die."""
        for owner in self._ending.todo():
            if Capability.WORKERS in self._driver.capabilities and isinstance(
                self._driver, SupportsWorkers
            ):
                try:
                    await self._driver.end_owner(owner)
                    logger.info("Ended the leases of %s: its process died.", owner)
                except DriverUnavailable:
                    raise
                except Exception:
                    logger.exception(
                        "Ending the leases of %s failed; they end by themselves.", owner
                    )
            self._ending.done(owner)

    async def _renew(self) -> None:
        # Also with nothing held: a message whose delivery was lost on the way is given back by this.
        held = self._held()
        leases = [running.delivery.lease for running in held]
        states = await self._driver.extend(self._settings.owner, leases, lease=self._settings.lease)
        self._reached()
        for running, state in zip(held, states, strict=True):
            if state is LeaseState.LOST:
                self._interrupt(running, Interrupt.LOST)

    async def _hear_cancels(self) -> None:
        held = self._held()
        if (
            not held
            or Capability.CANCEL not in self._driver.capabilities
            or not isinstance(self._driver, SupportsCancel)
        ):
            return
        flagged = set(await self._driver.cancel_requests(self._settings.owner))
        if flagged:
            for running in held:
                if running.delivery.lease in flagged:
                    self._interrupt(running, Interrupt.CANCEL)

    def _interrupt(self, running: InFlightMessage, why: Interrupt) -> None:
        if running.interrupt is not why:
            self._main_loop.call_soon_threadsafe(running.end_early, why)

    async def _send_progress(self) -> None:
        self._unsent.update(self._take_progress())
        if self._unsent and isinstance(self._driver, SupportsProgress):
            await self._driver.set_progress(list(self._unsent.items()))
            self._unsent.clear()

    async def _register(self, running: int) -> None:
        """Record the worker with the number of tasks that run; repeated as soon as that has changed."""
        if Capability.WORKERS in self._driver.capabilities and isinstance(
            self._driver, SupportsWorkers
        ):
            worker = replace(self._worker, running=running, seen_at=time.time())
            await self._driver.record_worker(worker, ttl=REGISTRY_TTL_SECONDS)
            self._worker = worker


class LoopWatch:
    """Sees whether the worker's loop runs, by asking it to tick."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stall_limit: float) -> None:
        """Watch the loop of the calling thread."""
        self._loop = loop
        self._thread_id = threading.get_ident()
        self._stall_limit = stall_limit
        self._ticked_at = monotonic()
        self._asked = False
        self._reported = False
        self._given_up = False

    def look(self) -> bool:
        """Ask again, report a blocked loop; False once it has been blocked for `stall_limit`."""
        blocked_for = monotonic() - self._ticked_at if self._asked else 0.0
        if not self._asked:
            self._asked = True
            self._loop.call_soon_threadsafe(self._tick)
        if blocked_for > BLOCKED_AFTER_SECONDS and not self._reported:
            self._reported = True
            logger.warning(
                "The worker's event loop has been blocked for %.1f s, here:\n%s",
                blocked_for,
                self._stack(),
            )
        if blocked_for > self._stall_limit and not self._given_up:
            self._given_up = True
            logger.critical(
                "The worker's event loop has been blocked for %.0f s: its leases are not renewed any more, "
                "and other workers will run its messages.",
                blocked_for,
            )
        return not self._given_up

    def _tick(self) -> None:
        self._ticked_at = monotonic()
        self._asked = self._reported = self._given_up = False

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._thread_id)
        return "".join(traceback.format_stack(frame)) if frame is not None else "(no stack)"
