"""Publishing of events: beside the work, in batches, and only while there is a listener.

Nothing waits for it. Who records events tests `active` first. It is False while there is no listener, except that it becomes
True every two seconds: the next fact that is recorded then makes the publisher ask the store, in a separate task.
Until the answer is there, facts are kept for the case that there is a listener.
"""

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.events import LISTENING_SECONDS, SupportsEvents
from asynctasq.contracts.driver import Driver, Enqueued
from asynctasq.errors import DriverError
from asynctasq.events import FACTS_AT_ONCE, Fact, enqueued_fact, pack_batch
from asynctasq.message import Message
from asynctasq.records import record

logger = logging.getLogger("asynctasq")


@record
class EventTiming:
    """Durations of publishing events, in seconds."""

    look: float = 2.0
    """Time between two questions whether there is a listener."""
    delay: float = 0.01
    """Time from the first fact to the question. A loop that ends meanwhile, as in a short program, asks nothing."""
    batch: float = 0.1
    """Time for which facts are collected."""
    failed: float = 1.0
    """Pause after the store has refused a call or could not be reached."""
    remind: float = 60.0
    """Time between two log lines about that."""
    finish: float = 1.0
    """Time for the last batch when a connection is closed."""


TIMING = EventTiming()
FACTS_HELD = 10_000
"""Facts that wait to be published, at most. Later ones are dropped and counted."""
BYTES_AT_ONCE = 1 << 20
"""Bytes of progress reports in a batch, roughly."""


class EventPublisher:
    """Publishes facts through one opened driver. Any thread may add some; one event loop sends them."""

    def __init__(self, capabilities: Capability, timing: EventTiming = TIMING) -> None:
        """Make a publisher.

        Args:
            capabilities: of the driver. Without EVENTS, nothing is ever recorded.
            timing: durations.
        """
        self.is_enabled = Capability.EVENTS in capabilities
        self.active = self.is_enabled
        """False if there is no listener. Test it before you make a fact."""
        self.dropped = 0
        """Facts that were dropped since the last batch, because the store did not take them."""
        self._timing = timing
        self._waiting: deque[Fact] = deque()
        self._driver: SupportsEvents | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = contextvars.copy_context()
        self._is_awake = False
        """True from the first fact until the sender has found that there is no other one."""
        self._sending: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._reopening: asyncio.TimerHandle | None = None
        self._asked_at = -float("inf")
        self._heard_at = -float("inf")
        """Monotonic time of the last answer that there is a listener."""
        self._logged_at = -float("inf")

    def attach(self, driver: Driver) -> None:
        """Send through this driver, which is open on the running loop, from now on."""
        if not self.is_enabled or not isinstance(driver, SupportsEvents) or driver is self._driver:
            return
        self._driver = driver
        self._loop = asyncio.get_running_loop()
        self._hurry = asyncio.Event()
        self._sending = None
        self.active = True
        self._is_awake = bool(self._waiting)
        if self._is_awake:
            self._start()

    # Recording.

    def add(self, fact: Fact) -> None:
        """Publish a fact soon. Call it only if `active` is True."""
        waiting = self._waiting
        if len(waiting) >= FACTS_HELD:
            self.dropped += 1
            return
        waiting.append(fact)
        if not self._is_awake:
            self._is_awake = True
            self._wake()

    def enqueued(self, messages: Sequence[Message], answers: Sequence[object]) -> None:
        """Publish that a store has accepted messages. Call it only if `active` is True.

        Args:
            messages: in the order of the answers.
            answers: an `Enqueued` for each message that was accepted, and anything for the others.
        """
        now = time.time()
        for message, answer in zip(messages, answers, strict=False):
            # An ID that core made is known already if the answer to an earlier try was lost.
            if isinstance(answer, Enqueued) and (
                answer.created or (answer.id == message.id and not message.given_id)
            ):
                self.add(enqueued_fact(message, now))

    def _wake(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop was closed
                self._loop.call_soon_threadsafe(self._start_later)

    # Sending, on the loop of the driver.

    def _start_later(self) -> None:
        if self._loop is not None and self._driver is not None:
            self._loop.call_later(self._timing.delay, self._start)

    def _start(self) -> None:
        if self._loop is None or self._driver is None:  # finished
            return
        if self._sending is not None and not self._sending.done():
            return
        self._sending = self._loop.create_task(self._send(), context=self._context.copy())

    async def _send(self) -> None:
        try:
            while self._waiting or self.dropped:
                if not await self._is_heard():
                    return
                await self._collect()
                while (self._waiting or self.dropped) and await self._publish():
                    pass
                if self._hurry.is_set():
                    return
                if not self._waiting:
                    self._is_awake = False  # a fact that comes now wakes the sender again
        except asyncio.CancelledError:  # the loop ends
            self.active = False
            self._waiting.clear()
            raise
        except Exception:
            logger.exception("Publishing events failed")
            self._pause()
        finally:
            self._is_awake = False
            if self._waiting and self.active:  # one came between the last look and this line
                self._is_awake = True
                self._wake()

    async def _is_heard(self) -> bool:
        """Return whether there is a listener; ask the store if the last answer is too old."""
        if self._heard_at >= self._asked_at > time.monotonic() - self._timing.look:
            return True
        while True:
            self._asked_at = time.monotonic()
            try:
                listening = self._driver is not None and await self._driver.listening()
            except DriverError as error:
                self._report(error)
                if self._hurry.is_set() or self._asked_at > self._heard_at + LISTENING_SECONDS:
                    self._pause()
                    return False
                await self._sleep(self._timing.failed)
                continue
            if listening:
                self._heard_at = time.monotonic()
            else:
                self._pause()
            return listening

    async def _collect(self) -> None:
        if len(self._waiting) < FACTS_AT_ONCE:
            await self._sleep(self._timing.batch)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    async def _publish(self) -> bool:
        """Publish one batch; return False after an error."""
        facts: list[Fact] = []
        room = BYTES_AT_ONCE
        while self._waiting and len(facts) < FACTS_AT_ONCE and room > 0:
            facts.append(self._waiting.popleft())
            room -= len(facts[-1].value or b"")
        dropped, self.dropped = self.dropped, 0
        try:
            if self._driver is not None:
                await self._driver.publish(pack_batch(facts, dropped=dropped), len(facts))
        except DriverError as error:
            self.dropped += dropped + len(facts)
            self._report(error)
            self._asked_at = -float("inf")
            await self._sleep(self._timing.failed)
            return False
        return True

    def _pause(self) -> None:
        """Record nothing until it is time to ask again."""
        self.active = False
        self._waiting.clear()
        self.dropped = 0
        if self._loop is not None and not self._hurry.is_set():
            self._reopening = self._loop.call_later(self._timing.look, self._reopen)

    def _reopen(self) -> None:
        self._waiting.clear()  # of a thread that saw `active` before it became False
        self._is_awake = False
        self.active = True

    def _report(self, error: DriverError) -> None:
        now = time.monotonic()
        if now >= self._logged_at + self._timing.remind:
            self._logged_at = now
            # Without a listener, no listener misses them. A program that ends may have closed its store already.
            was_heard = now < self._heard_at + LISTENING_SECONDS
            level = logging.WARNING if was_heard else logging.INFO
            logger.log(level, "Could not publish events; tasks are not affected: %s", error)

    async def finish(self) -> None:
        """Publish the last facts, for a second at most, and record no others."""
        if self._loop is not asyncio.get_running_loop():
            return
        self._hurry.set()
        if self._reopening is not None:
            self._reopening.cancel()
        if self._waiting:
            self._is_awake = True
            self._start()
        if self._sending is not None and not self._sending.done():
            await asyncio.wait([self._sending], timeout=self._timing.finish)
            if not self._sending.done():
                self._sending.cancel()
                await asyncio.wait([self._sending])
        self.active = False
        self._driver = None
