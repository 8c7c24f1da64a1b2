"""Keeps the worker supplied: reserves what there is room for, sleeps in `wait` when there is nothing."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from math import inf
from typing import Any

from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Delivery
from asynctasq.settlement import LeaseState
from asynctasq.worker.backoff import Backoff, Outage
from asynctasq.worker.slots import HAND_MOST, Slots
from asynctasq.worker.store_news import StoreNews

logger = logging.getLogger("asynctasq")

WAIT_SECONDS = 5.0
"""Longest single wait for work; drivers return earlier when there is some."""
RESERVED_AT_ONCE = 1000
"""The first of them run while the rest is fetched."""
REFUSED_PAUSE_SECONDS = 1.0
"""After the store has refused a call that should work."""
HAND_SECONDS = 0.25
"""How long a batch may stay in hand before it is given back: far longer than it was to take."""


class Fetcher:
    """Reserves and hands on, until told to stop."""

    def __init__(
        self,
        driver: Driver,
        *,
        slots: Slots,
        queues: Sequence[str],
        owner: str,
        lease: float,
        burst: bool,
        outage: Outage,
        in_hand: Callable[[], int],
        held: Callable[[], int],
        accept: Callable[[list[Delivery]], None],
        give_back: Callable[[], None],
        known: Callable[[], list[Delivery]],
    ) -> None:
        """Make a fetcher.

        Args:
            driver: opened.
            slots: what there is room for.
            queues: in strict order.
            owner: whose leases they become.
            lease: seconds.
            burst: end when there is nothing more to do.
            outage: of the store, as the other parts of the worker see it.
            in_hand: how many deliveries wait for a slot.
            held: how many are in hand, running, or run and not yet settled.
            accept: takes new deliveries.
            give_back: releases what has been in hand for too long.
            known: every delivery held.
        """
        self.news: StoreNews | None = None
        """Reports what the reserves of this worker did for the whole store."""
        self._driver = driver
        self._slots = slots
        self._queues = queues
        self._owner = owner
        self._lease = lease
        self._burst = burst
        self._outage = outage
        self._in_hand = in_hand
        self._held = held
        self._accept = accept
        self._give_back = give_back
        self._known = known
        self._changed = asyncio.Event()
        self._began_at = 0.0
        """Loop time of the first reserve."""
        self._accepted_at = 0.0
        """Loop time of the last batch."""
        self.stopping = False
        self._sleeping: asyncio.Task[object] | None = None
        self._some_full = False
        """Whether a queue that is at its limit is left out of the wait that is going on."""

    def notice(self) -> None:
        """A slot has become free, or something has been settled."""
        self._changed.set()
        if self._some_full and self._sleeping is not None:
            self._sleeping.cancel()

    def stop(self) -> None:
        """Reserve nothing more; a reserve that is under way is let finish, and what it brings is accepted."""
        self.stopping = True
        self._changed.set()
        if self._sleeping is not None:
            self._sleeping.cancel()

    async def run(self) -> None:
        """Fetch until stopped, or until there is nothing more to do in burst mode."""
        patience = Backoff("fetch messages", self._outage)
        self._began_at = asyncio.get_running_loop().time()
        while not self.stopping:
            try:
                finished = await self._step()
            except DriverUnavailable as error:
                await self._sleep_in(patience.after(error))
            except Exception:  # whatever a driver raises, the worker outlives it
                logger.exception("The store refused to hand out messages; trying again.")
                await self._sleep_in(asyncio.sleep(REFUSED_PAUSE_SECONDS))
            else:
                patience.reached()
                if finished:
                    return

    async def _step(self) -> bool:
        """Reserve once, or sleep; True when a burst is over."""
        self._changed.clear()
        room = 0
        if self._held() < self._most_held:
            room = min(self._slots.room(self._in_hand()), RESERVED_AT_ONCE)
        caps = self._slots.caps(room) if room > 0 else {}
        if not caps:
            await self._until_room()
            return False
        deliveries = await self._reserve(caps, room)
        if deliveries:
            self._accept(deliveries)
            self._accepted_at = asyncio.get_running_loop().time()
        if len(deliveries) == room or self.stopping:
            return False
        if self._in_hand():
            await self._until_room()
        elif not self._burst:
            await self._until_work()
        elif not deliveries:
            if not self._held() and not await self._leases_may_end():
                return True
            await self._until_work(or_notice=True, until=self._last_reclaim_at)
        return False

    @property
    def _last_reclaim_at(self) -> float:
        """Loop time after which no lease is left of owners that died before this worker began.

        Such a lease ends within a second after `lease` seconds, and is reclaimed half of that later at
        most, should the store have been unreachable meanwhile.
        """
        return self._began_at + 1.5 * self._lease + 1.0

    async def _leases_may_end(self) -> bool:
        """Check whether owners that died before this worker began may still have leases in its queues."""
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
        """Bound on what is held, so that a store that takes no settlements stops the fetching."""
        return 4 * self._slots.concurrency + 2 * HAND_MOST + self._slots.lent

    async def _reserve(self, caps: dict[str, int], limit: int) -> list[Delivery]:
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        deliveries = await self._driver.reserve(
            caps, limit=limit, owner=self._owner, lease=self._lease
        )
        if self.news is not None:
            self.news.drain()
        if deliveries and clock() - asked_at > self._lease / 2:
            return await self._still_held(deliveries)
        return deliveries

    async def _still_held(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Of an answer that was long under way: those whose leases have not ended meanwhile."""
        known = [delivery.lease for delivery in self._known()]
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
            or_notice: or until something has been settled; without it, until a full queue has room.
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
        timeout = min(WAIT_SECONDS, left) if left > 0 else WAIT_SECONDS
        try:
            await self._sleep_in(self._driver.wait(open_queues, timeout=timeout))
        finally:
            self._some_full = False
            self._slots.expect_anything()

    async def _until_room(self) -> None:
        """Sleep until a slot is free; what is in hand meanwhile is not kept for long."""
        if not self._in_hand():
            await self._changed.wait()
            return
        try:
            async with asyncio.timeout_at(self._accepted_at + HAND_SECONDS):
                await self._changed.wait()
        except TimeoutError:
            self._slots.expect_anything()
            self._give_back()

    async def _sleep_in(self, sleep: Coroutine[Any, Any, object]) -> None:
        """Await something that `stop()` may cancel."""
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
