"""The lease renewer: a thread that keeps leases alive, and that no task can block."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError
from asynctasq.worker.events import PublishEvents, WorkerEvents
from asynctasq.worker.health import WorkerHealth
from asynctasq.worker.in_flight import InFlight, InFlightMessage, Interrupt
from asynctasq.worker.log_guard import SilenceReport, keep_loggers_enabled
from asynctasq.worker.options import WorkerOptions
from asynctasq.worker.outage import Outage, StoreRetries
from asynctasq.worker.services.metric_flush import FlushMetrics
from asynctasq.worker.services.periodic_work import (
    ApplyRequests,
    EndOwners,
    PeriodicWork,
    RecordWorker,
    RenewLeases,
    SendProgress,
)
from asynctasq.worker.services.service import Failed, OnFailure
from asynctasq.worker.tally import Tally
from asynctasq.worker.timing import RenewerTiming

logger = logging.getLogger("asynctasq")


class LeaseRenewer:
    """A thread with its own event loop and driver, which does its periodic work at each tick."""

    name = "the lease renewer"
    on_failure = OnFailure.STOP_WORKER

    def __init__(
        self,
        driver: Driver,
        options: WorkerOptions,
        *,
        owner: str,
        in_flight: InFlight,
        health: WorkerHealth,
        outage: Outage,
        tally: Tally,
        steer: Callable[[WorkerRequest], None],
        events: WorkerEvents,
        timing: RenewerTiming,
        more_work: Callable[[Callable[[], None]], Sequence[PeriodicWork]] = lambda _: (),
    ) -> None:
        """Make the renewer for the running loop.

        Args:
            driver: an unopened clone of the worker's driver.
            options: of the worker.
            owner: owner of the leases.
            in_flight: the messages that the worker holds.
            health: notified of each renewal; knows the crashed owners whose leases to end.
            outage: shared with the other parts of the worker.
            tally: the counts to store.
            steer: carries out requests about the worker; called in the renewer's thread.
            events: sent by this thread.
            timing: durations.
            more_work: makes further periodic work from a function that wakes the renewer.
        """
        self._driver = driver
        self._options = options
        self._health = health
        self._outage = outage
        self._timing = timing
        self._main_loop = asyncio.get_running_loop()
        self.periodic_work: Sequence[PeriodicWork] = (
            RenewLeases(
                options,
                owner=owner,
                in_flight=in_flight,
                health=health,
                interrupt=self._interrupt,
            ),
            ApplyRequests(
                owner=owner,
                in_flight=in_flight,
                interrupt=self._interrupt,
                steer=steer,
                timing=timing,
            ),
            SendProgress(in_flight, events),
            RecordWorker(options, in_flight=in_flight, health=health, timing=timing),
            EndOwners(health),
            FlushMetrics(tally, timing),
            *more_work(self._wake),
            PublishEvents(events),
        )
        """Done in this order at each tick."""
        self._silence = SilenceReport()
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._stop_asked = False
        self._failed: Failed | None = None
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._running = asyncio.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(
            target=self._run, name="asynctasq-lease-renewer", daemon=True
        )

    async def start(self, failed: Failed) -> None:
        """Start the thread and wait until it has opened the store. Without the store, leases would expire."""
        self._failed = failed
        self._thread.start()
        await self._running.wait()

    async def stop(self) -> None:
        """Stop the thread and wait for it. Abandon it if it is blocked in a call to the store."""
        self._stop_asked = True
        if self._failed is None:  # never started
            return
        if self._own_loop is not None:
            with suppress(RuntimeError):  # the loop has ended already
                self._own_loop.call_soon_threadsafe(self._stopping.set)
        self._wake()
        try:
            async with asyncio.timeout(self._timing.stop):
                await self._ended.wait()
        except TimeoutError:
            logger.warning(
                "Lease renewer did not stop within %g s (blocked in a store call); abandoning its thread",
                self._timing.stop,
            )
        else:
            self._thread.join()

    def _run(self) -> None:
        crashes = 0
        try:
            while not self._ran_to_its_end():
                crashes += 1
                # Tasks may have changed `time.sleep`, and this event is never set.
                threading.Event().wait(self._timing.restart.pause(crashes))
                self._driver = self._driver.clone()
        except BaseException as error:  # noqa: BLE001  reported, and the worker stops
            self._on_main_loop(self._report, error)
        finally:
            self._on_main_loop(self._ended.set)

    def _on_main_loop(self, callback: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # the worker's loop was closed meanwhile
            self._main_loop.call_soon_threadsafe(callback, *args)

    def _report(self, error: BaseException) -> None:
        if self._failed is not None and not self._stop_asked:
            self._failed(error)
        self._running.set()  # `start` waits for it

    def _ran_to_its_end(self) -> bool:
        """Run until the worker stops. Return False after a crash, such as an error thrown into this thread."""
        try:
            asyncio.run(self._serve())
        except BaseException:
            logger.exception("Lease renewer crashed")
            return self._stop_asked or self._main_loop.is_closed()
        return True

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._own_loop = asyncio.get_running_loop()
        self._health.ending.added = self._wake
        if self._stop_asked:  # `stop` reads the loop after it has set this
            self._stopping.set()
        try:
            if await self._tick_until_stopped():
                await self._finish()
        finally:
            await self._driver.close()

    async def _tick_until_stopped(self) -> bool:
        """Do the periodic work at each tick. Return True if the store was ever reached."""
        opened = False
        retries = StoreRetries("renew leases", self._outage)
        failing = False
        while not self._stopping.is_set() and not self._main_loop.is_closed():
            try:
                if not opened:
                    await self._driver.open()
                    opened = True
                    self._on_main_loop(self._running.set)
                if self._health.loop_watch.check():
                    for work in self.periodic_work:
                        await work.run(self._driver)
                retries.reached()
                failing = False
            except DriverError as error:
                retries.note(error)
            except Exception as error:
                # Without renewals every lease would expire, so no error of a driver ends them.
                if not failing:
                    logger.exception("Renewing leases failed; retrying")
                failing = True
                logger.debug("Renewing leases failed: %s", error)
            keep_loggers_enabled()
            self._silence.check()
            await self._pause()
        return opened

    async def _finish(self) -> None:
        try:
            for work in self.periodic_work:
                await work.finish(self._driver)
        except DriverError as error:
            logger.warning("Could not report the worker's stop to the store: %s", error)

    async def _pause(self) -> None:
        self._woken.clear()
        if not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(
                    min(self._timing.tick, self._options.heartbeat_interval)
                ):
                    await self._woken.wait()

    def _wake(self) -> None:
        """End the pause. Any thread may call this."""
        if self._own_loop is not None:
            with suppress(RuntimeError):  # the loop has ended already
                self._own_loop.call_soon_threadsafe(self._woken.set)

    def _interrupt(self, message: InFlightMessage, why: Interrupt) -> None:
        if message.interrupt is not why:
            self._main_loop.call_soon_threadsafe(message.end_early, why)
