"""Keeps the worker supplied: reserves what there is room for, sleeps in `wait` when there is nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Delivery
from asynctasq.settlement import LeaseState
from asynctasq.worker.patience import Patience
from asynctasq.worker.slots import Slots

logger = logging.getLogger("asynctasq")

WAIT_SECONDS = 5.0
"""Longest single wait for work; drivers return earlier when there is some."""
REFUSED_PAUSE_SECONDS = 1.0
"""After the store has refused a call that should work."""
HAND_SECONDS = 0.25
"""How long a batch may stay in hand before it is given back."""


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
            in_hand: how many deliveries wait for a slot.
            held: how many are in hand, running, or run and not yet settled.
            accept: takes new deliveries.
            give_back: releases what has been in hand for too long.
            known: every delivery held.
        """
        self._driver = driver
        self._slots = slots
        self._queues = queues
        self._owner = owner
        self._lease = lease
        self._burst = burst
        self._in_hand = in_hand
        self._held = held
        self._accept = accept
        self._give_back = give_back
        self._known = known
        self._changed = asyncio.Event()
        self.stopping = False
        self._sleeping: asyncio.Task[None] | None = None

    def notice(self) -> None:
        """A slot has become free, or something has been settled."""
        self._changed.set()

    def stop(self) -> None:
        """Reserve nothing more; a reserve that is under way is let finish, and what it brings is accepted."""
        self.stopping = True
        self._changed.set()
        if self._sleeping is not None:
            self._sleeping.cancel()

    async def run(self) -> None:
        """Fetch until stopped, or until there is nothing more to do in burst mode."""
        patience = Patience("fetch messages")
        while not self.stopping:
            try:
                finished = await self._step()
            except DriverUnavailable as error:
                await self._sleep_in(patience.after(error))
            except DriverError:
                logger.exception("The store refused to hand out messages; trying again.")
                await self._sleep_in(asyncio.sleep(REFUSED_PAUSE_SECONDS))
            else:
                patience.reached()
                if finished:
                    return

    async def _step(self) -> bool:
        """Reserve once, or sleep; True when a burst is over."""
        self._changed.clear()
        room = self._slots.room(self._in_hand()) if self._held() < self._most_held else 0
        caps = self._slots.caps(room) if room > 0 else {}
        if not caps:
            await self._until_room()
            return False
        deliveries = await self._reserve(caps, room)
        if deliveries:
            self._accept(deliveries)
        if len(deliveries) == room or self.stopping:
            return False
        if not self._burst:
            await self._sleep_in(self._until_work(list(caps)))
            return False
        if deliveries or not self._held():
            return not deliveries
        await self._sleep_in(self._changed.wait())
        return False

    @property
    def _most_held(self) -> int:
        """Bound on what is held, so that a store that takes no settlements stops the fetching."""
        return 4 * self._slots.concurrency + 1000

    async def _reserve(self, caps: dict[str, int], limit: int) -> list[Delivery]:
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        deliveries = await self._driver.reserve(
            caps, limit=limit, owner=self._owner, lease=self._lease
        )
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

    async def _until_work(self, queues: Sequence[str]) -> None:
        """Sleep until there may be work in `queues`, or room for that of a queue at its limit."""
        wait = self._driver.wait(queues, timeout=WAIT_SECONDS)
        if len(queues) == len(self._queues):
            await wait
            return
        work = asyncio.ensure_future(wait)
        room = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait([work, room], return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            room.cancel()
            await asyncio.wait([work, room])
        if not work.cancelled():
            work.result()

    async def _until_room(self) -> None:
        """Sleep until a slot is free; what is in hand meanwhile is not kept for long."""
        if not self._in_hand():
            await self._changed.wait()
            return
        try:
            async with asyncio.timeout(HAND_SECONDS):
                await self._changed.wait()
        except TimeoutError:
            self._give_back()

    async def _sleep_in(self, sleep: Awaitable[object]) -> None:
        """Await something that `stop()` may cancel."""

        async def sleeping() -> None:
            await sleep

        self._sleeping = asyncio.get_running_loop().create_task(sleeping())
        if self.stopping:
            self._sleeping.cancel()
        try:
            await asyncio.wait([self._sleeping])
            if not self._sleeping.cancelled():
                self._sleeping.result()
        except asyncio.CancelledError:
            self._sleeping.cancel()
            raise
        finally:
            self._sleeping = None
