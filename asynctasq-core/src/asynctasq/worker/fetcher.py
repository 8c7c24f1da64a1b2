"""Fetches messages: reserves as many as there is room for, and sleeps in `wait` when there are none."""

import asyncio
import logging
from collections.abc import Coroutine
from math import inf
from typing import Any, Protocol

from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Delivery
from asynctasq.settlement import LeaseState
from asynctasq.worker.in_flight import InFlight
from asynctasq.worker.options import WorkerOptions
from asynctasq.worker.outage import Outage, StoreRetries
from asynctasq.worker.slots import PREFETCH_MAX, Slots
from asynctasq.worker.store_news import StoreNews
from asynctasq.worker.timing import FetcherTiming

logger = logging.getLogger("asynctasq")

RESERVED_AT_ONCE = 1000
"""Largest number of messages in one call: the first of them run while the rest is fetched."""


class Intake(Protocol):
    """Receives deliveries from the fetcher."""

    def accept(self, deliveries: list[Delivery], /) -> None:
        """Start new deliveries, or prefetch them."""
        ...

    def release_prefetched(self) -> None:
        """Release prefetched messages that have waited too long."""
        ...


class Fetcher:
    """Reserves messages and passes them on, until stopped."""

    def __init__(
        self,
        driver: Driver,
        options: WorkerOptions,
        *,
        owner: str,
        slots: Slots,
        in_flight: InFlight,
        news: StoreNews,
        outage: Outage,
        timing: FetcherTiming,
    ) -> None:
        """Make a fetcher.

        Args:
            driver: opened before `run`.
            options: of the worker.
            owner: owner of the new leases.
            slots: decide how many messages to reserve.
            in_flight: the messages that the worker holds.
            news: reports what the calls of this worker changed in the whole store.
            outage: shared with the other parts of the worker.
            timing: durations.
        """
        self._driver = driver
        self._slots = slots
        self._queues = list(options.queues)
        self._owner = owner
        self._lease = options.lease
        self._burst = options.burst
        self._outage = outage
        self._in_flight = in_flight
        self._news = news
        self._timing = timing
        self._intake: Intake
        self._changed = asyncio.Event()
        self._began_at = 0.0
        """Loop time of the first reserve."""
        self._accepted_at = 0.0
        """Loop time of the last batch."""
        self.stopping = False
        self._quiet = False
        self._sleeping: asyncio.Task[object] | None = None
        self._some_full = False
        """True if the current wait leaves out a queue that is at its limit."""

    @property
    def is_sleeping(self) -> bool:
        """True while the fetcher waits for work or for the store."""
        return self._sleeping is not None

    def notice(self) -> None:
        """Note that a slot has become free, or that a message has been settled."""
        self._changed.set()
        if self._some_full and self._sleeping is not None:
            self._sleeping.cancel()

    def stop(self) -> None:
        """Reserve nothing more. A call that is under way finishes, and its messages are accepted."""
        self.stopping = True
        self._changed.set()
        if self._sleeping is not None:
            self._sleeping.cancel()

    def set_quiet(self, is_quiet: bool) -> None:
        """Reserve nothing more until this is undone. A call that is under way finishes."""
        self._quiet = is_quiet
        self._changed.set()
        if is_quiet and self._sleeping is not None:
            self._sleeping.cancel()

    async def run(self, intake: Intake) -> None:
        """Fetch until stopped, or until there is nothing more to do in burst mode."""
        self._intake = intake
        retries = StoreRetries("fetch messages", self._outage, self._timing.backoff)
        self._began_at = asyncio.get_running_loop().time()
        while not self.stopping:
            if self._quiet:
                await self._until_loud()
                continue
            try:
                finished = await self._step()
            except DriverUnavailable as error:
                await self._sleep_in(retries.after(error))
            except Exception:  # no error of a driver ends the worker
                logger.exception("Fetching messages failed; retrying")
                await self._sleep_in(asyncio.sleep(self._timing.refused))
            else:
                retries.reached()
                if finished:
                    return

    async def _step(self) -> bool:
        """Reserve once, or sleep; True when a burst is over."""
        in_flight = self._in_flight
        self._changed.clear()
        room = 0
        if len(in_flight.held) < self._most_held:
            room = min(self._slots.room(len(in_flight.prefetched)), RESERVED_AT_ONCE)
        caps = self._slots.caps(room) if room > 0 else {}
        if not caps:
            await self._until_room()
            return False
        deliveries = await self._reserve(caps, room)
        if deliveries:
            self._intake.accept(deliveries)
            self._accepted_at = asyncio.get_running_loop().time()
        if len(deliveries) == room or self.stopping:
            return False
        if in_flight.prefetched:
            await self._until_room()
        elif not self._burst:
            await self._until_work()
        elif not deliveries:
            # A retry that was stored after the store answered would be left behind.
            settled_since = self._changed.is_set()
            if not (settled_since or in_flight.held or await self._leases_may_end()):
                return True
            await self._until_work(or_notice=True, until=self._last_reclaim_at)
        return False

    @property
    def _last_reclaim_at(self) -> float:
        """Loop time after which no lease is left of owners that crashed before this worker started.

        Such a lease expires within a second after `lease` seconds. It is reclaimed at most half a lease
        later if the store was unreachable meanwhile.
        """
        return self._began_at + 1.5 * self._lease + 1.0

    async def _leases_may_end(self) -> bool:
        """Check whether owners that crashed before this worker started may still have leases in its queues."""
        if asyncio.get_running_loop().time() > self._last_reclaim_at:
            return False
        try:
            counts = [await self._driver.count(queue) for queue in self._queues]
        except DriverUnavailable:
            raise
        except DriverError:
            return True  # unknown
        return any(each.leased is None or each.leased > 0 for each in counts)

    @property
    def _most_held(self) -> int:
        """Limit of held messages, so that a store that takes no settlements stops the fetching."""
        return 4 * self._slots.concurrency + 2 * PREFETCH_MAX + self._slots.lent

    async def _reserve(self, caps: dict[str, int], limit: int) -> list[Delivery]:
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        deliveries = await self._driver.reserve(
            caps, limit=limit, owner=self._owner, lease=self._lease
        )
        self._news.drain()
        if deliveries and clock() - asked_at > self._lease * self._timing.late:
            return await self._still_held(deliveries)
        return deliveries

    async def _still_held(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Return the deliveries of a late answer whose leases have not expired meanwhile."""
        known = self._in_flight.leases()
        states = await self._driver.extend(
            self._owner,
            known + [delivery.lease for delivery in deliveries],
            lease=self._lease,
        )
        answers = zip(deliveries, states[len(known) :], strict=True)
        return [delivery for delivery, state in answers if state is LeaseState.HELD]

    async def _until_work(self, *, or_notice: bool = False, until: float = inf) -> None:
        """Sleep until the store has work, in a queue that has room.

        Args:
            or_notice: True to sleep only until a message has been settled; otherwise until a full queue
                has room.
            until: loop time of the end of the sleep, if it lies ahead.
        """
        open_queues = list(self._slots.caps(1))
        if not open_queues:
            await self._changed.wait()
            return
        if or_notice and self._changed.is_set():
            return
        self._some_full = or_notice or len(open_queues) < len(self._queues)
        left = until - asyncio.get_running_loop().time()
        timeout = min(self._timing.wait, left) if left > 0 else self._timing.wait
        try:
            await self._sleep_in(self._driver.wait(open_queues, timeout=timeout))
        finally:
            self._some_full = False
            self._slots.expect_anything()

    async def _until_loud(self) -> None:
        """Give prefetched messages back, and sleep until something changes."""
        self._changed.clear()
        self._intake.release_prefetched()
        if self._quiet and not self.stopping:
            await self._changed.wait()

    async def _until_room(self) -> None:
        """Sleep until a slot is free. Prefetched messages are released if that takes too long."""
        if not self._in_flight.prefetched:
            await self._changed.wait()
            return
        try:
            async with asyncio.timeout_at(self._accepted_at + self._slots.timing.keep):
                await self._changed.wait()
        except TimeoutError:
            self._slots.expect_anything()
            self._intake.release_prefetched()

    async def _sleep_in(self, sleep: Coroutine[Any, Any, object]) -> None:
        """Await a sleep that `stop()` may cancel."""
        self._sleeping = asyncio.get_running_loop().create_task(sleep)
        if self.stopping:
            self._sleeping.cancel()
        try:
            await self._sleeping
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if me is not None and me.cancelling():
                raise
        finally:
            self._sleeping = None
