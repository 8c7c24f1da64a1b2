"""Waiting for work and results: one connection per opened driver receives notifications.

A notification is a hint: every waiter also looks into the database now and then. Processes notify only
those that have announced that they sleep.
"""

import asyncio
import logging
from base64 import b64decode
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

from asynctasq.driverkit.continued_calls import ContinuedCalls
from asynctasq.driverkit.packing import ID_BYTES
from asynctasq.driverkit.times import micros
from asynctasq_postgres.connections import CLOSE_SECONDS, Connection, abandon, connect
from asynctasq_postgres.doorbell import channel_of, event_topic
from asynctasq_postgres.errors import FAILURES
from asynctasq_postgres.server import Server
from asynctasq_postgres.timing import ListenerTiming

ANNOUNCED_SECONDS = 30.0
"""Seconds for which an announcement of a sleeping worker is valid."""
HEARD_SECONDS = 5.0
"""Seconds for which an announcement of a process that waits for results is valid."""
SHORTEST_SLEEP = 0.001
"""Seconds."""
HEARING_FACTOR = 1.5
"""A worker that receives notifications looks so many times less often, so that it makes less than one call a second.

It renews its leases, records itself and keeps the connection alive every ten seconds: 1 / 1.5 + 3 / 10 = 0.97.
"""

log = logging.getLogger("asynctasq.postgres")


class Waiter:
    """One waiting coroutine."""

    def __init__(self) -> None:
        self.topics: frozenset[bytes | int] = frozenset()
        """Numbers of queues, IDs of messages, or a notification about events."""
        self.notified = False
        self.event = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Wait until there is a reason to look again, for so many seconds at most."""
        timer = asyncio.get_running_loop().call_later(max(seconds, SHORTEST_SLEEP), self.event.set)
        try:
            await self.event.wait()
        finally:
            timer.cancel()


class Listener:
    """Receives notifications, and wakes the waiters that they concern."""

    def __init__(self, server: Server, timing: ListenerTiming) -> None:
        self.process: UUID = uuid4()
        self._server = server
        self._channel = channel_of(server)
        self._waiters: set[Waiter] = set()
        self._calls = ContinuedCalls()
        self._sleeping = 0
        """Coroutines that wait for work."""
        self._is_announced = False
        self._announced_until = 0.0
        """The time of the loop at which the announcement of a sleeping worker is renewed."""
        self._named: tuple[str, ...] = ()
        """The queues of that announcement."""
        self._keys: frozenset[bytes | int] = frozenset()
        """Their numbers."""
        self._has_waited = False
        """True from the end of a wait for work to the next reserve: usually another wait follows."""
        self._was_notified = False
        """True from the end of a wait for work by a notification to the next reserve."""
        self._is_hearing = False
        """True while notifications arrive."""
        self._task: asyncio.Task[None] | None = None
        self._first_try = asyncio.Event()
        self._timing = timing
        self._connection: Connection | None = None
        self._is_reported = False

    def awake(self) -> UUID | None:
        """Return the ID under which this process has announced that it sleeps, if it does not any more."""
        if self._sleeping or not self._is_announced:
            return None
        if self._has_waited:
            self._has_waited = False
            return None
        self._is_announced = False
        return self.process

    def take_notice(self) -> bool:
        """Return whether a notification ended the last wait for work, and forget it."""
        was_notified, self._was_notified = self._was_notified, False
        return was_notified

    async def wait_for_work(self, queues: Sequence[str], timeout: float) -> None:
        """Return when there may be something to reserve, or after `timeout` seconds."""
        server, names = self._server, tuple(queues)

        async def look(waiter: Waiter) -> float:
            now = asyncio.get_running_loop().time()
            lasts = self._announced_until - now if self._named == names else -ANNOUNCED_SECONDS
            is_in_force = self._is_announced and lasts > -ANNOUNCED_SECONDS / 4
            waiter.topics = self._keys if is_in_force else frozenset()
            if self._listens and not (is_in_force and lasts > 0.0):
                ready, until = await self._announce(waiter, names)
                if is_in_force:  # also during this look
                    return _pause(ready, until)
            # After the announcement: who commits from now on notifies.
            [(ready, until)] = await server.rows(
                "look", server.settings.namespace, list(names), server.shift
            )
            return _pause(ready, until)

        self._sleeping += 1
        try:
            self._was_notified = await self._wait(look, timeout, eases=True)
        finally:
            self._sleeping -= 1
            self._has_waited = True

    async def _announce(self, waiter: Waiter, names: tuple[str, ...]) -> tuple[bool, int | None]:
        """Announce that this process sleeps, and return what a look finds."""
        server = self._server
        now = asyncio.get_running_loop().time()
        [(keys, ready, until)] = await server.rows(
            "sleep", server.settings.namespace, list(names), self.process,
            micros(ANNOUNCED_SECONDS), server.shift,
        )  # fmt: skip
        self._is_announced, self._named, self._keys = True, names, frozenset(keys)
        self._announced_until = now + ANNOUNCED_SECONDS / 2
        waiter.topics = self._keys
        return ready, until

    async def wait_for_results(self, ids: Sequence[bytes], timeout: float) -> None:
        """Return when one of `ids` may have ended, or after `timeout` seconds."""
        server, joined = self._server, b"".join(ids)

        loop = asyncio.get_running_loop()
        announced_until = 0.0

        async def look(waiter: Waiter) -> float:
            nonlocal announced_until
            if self._listens and loop.time() >= announced_until:
                announced_until = loop.time() + HEARD_SECONDS / 2
                await server.rows(
                    "listen",
                    server.settings.namespace,
                    self.process,
                    micros(HEARD_SECONDS),
                    server.shift,
                )
                waiter.topics = frozenset(ids)
            has_ended = await server.value(
                "any_ended", server.settings.namespace, joined, server.shift
            )
            return 0.0 if has_ended else float("inf")

        await self._wait(look, timeout, eases=False)

    async def wait_for_events(
        self, namespace: int, look: Callable[[], Coroutine[Any, Any, bool]], timeout: float
    ) -> None:
        """Return when there are events of a namespace, or after `timeout` seconds.

        Args:
            namespace: its number.
            look: returns whether there are some.
            timeout: seconds.
        """
        topics = frozenset([event_topic(namespace).encode()])

        async def look_for(waiter: Waiter) -> float:
            waiter.topics = topics
            return 0.0 if await look() else float("inf")

        await self._wait(look_for, timeout, eases=False)

    @property
    def _listens(self) -> bool:
        return self._server.settings.listen

    async def _wait(
        self,
        look: Callable[[Waiter], Coroutine[Any, Any, float]],
        timeout: float,
        *,
        eases: bool,
    ) -> bool:
        """Wait until a look or a notification says that there is something, or the time has passed.

        Args:
            look: returns for how many seconds nothing can happen without a notification.
            timeout: seconds.
            eases: True to look less often while notifications arrive.

        Returns:
            Whether there was a notification.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        waiter = Waiter()
        self._waiters.add(waiter)
        try:
            await self._begin()
            while not waiter.notified:
                waiter.event.clear()
                pause = await self._calls.run(look(waiter))
                left = end - loop.time()
                if pause <= 0.0:
                    return False
                if left > 0.0 and not waiter.notified:
                    await waiter.sleep(min(pause, left, self._interval(eases)))
                if not waiter.notified and loop.time() >= end:
                    return False  # the caller looks now
            return True
        finally:
            self._waiters.discard(waiter)

    def _interval(self, eases: bool) -> float:
        """Return how many seconds to wait between two looks."""
        seconds = self._server.settings.poll_interval
        return seconds * HEARING_FACTOR if eases and self._is_hearing else seconds

    def look_again(self) -> None:
        """Make every waiter look into the database now."""
        for waiter in self._waiters:
            waiter.event.set()

    async def _begin(self) -> None:
        """Connect, or try to."""
        if not self._server.settings.listen:
            return
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="asynctasq-postgres-listener")
        if not self._first_try.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._server.settings.poll_interval):
                    await self._first_try.wait()

    async def _listen(self) -> None:
        """Keep the connection, and make another one after each loss."""
        failures = 0
        while True:
            try:
                self._connection = await connect(
                    self._server.settings, self._server.settings.listen_address()
                )
                await self._receive(self._connection)
                failures = 0
                self._report("the server has closed it")
            except FAILURES as error:
                self._report(str(error) or type(error).__qualname__)
            finally:
                self._first_try.set()
                self._disconnect()
            failures += 1
            await asyncio.sleep(self._timing.reconnect.pause(failures))

    def _report(self, reason: str) -> None:
        """Log the first line of an outage; the others are for DEBUG."""
        log.log(
            logging.DEBUG if self._is_reported else logging.INFO,
            "Lost the connection for notifications from %s; polling until it is back: %s",
            self._server.place,
            reason,
        )
        self._is_reported = True

    async def _receive(self, connection: Connection) -> None:
        """Listen until the connection is lost."""
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(self._channel, self._heard)
        self._is_hearing = True
        self._first_try.set()
        if self._is_reported:
            self._is_reported = False
            log.info("Listening to the PostgreSQL at %s again", self._server.place)
        self.look_again()  # what was sent meanwhile is lost
        while not lost.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.keepalive):
                    await lost.wait()
                return
            await connection.execute("SELECT 1")

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._is_hearing = False
        if connection is not None:
            abandon(connection)

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        topics = _topics(payload)
        for waiter in self._waiters:
            if not topics.isdisjoint(waiter.topics):
                waiter.notified = True
                waiter.event.set()

    async def stop(self) -> None:
        """Close the connection, and make every waiter return."""
        await self._calls.finish(CLOSE_SECONDS)
        task, self._task = self._task, None
        if task is None:
            return
        if task.get_loop() is not asyncio.get_running_loop():
            self._disconnect()
            return
        for waiter in self._waiters:
            waiter.notified = True
            waiter.event.set()
        self._first_try.set()  # a task that has not started yet does not set it
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _pause(ready: bool, until: int | None) -> float:
    """Return for how many seconds nothing can happen without a notification; 0 if something is there."""
    return 0.0 if ready else float("inf") if until is None else until / 1e6


def _topics(payload: str) -> frozenset[bytes | int]:
    """Return what a notification is about; nothing if it is not one of ours."""
    if payload.startswith("e"):
        return frozenset([payload.encode()])
    try:
        if payload.startswith("q"):
            return frozenset(int(key) for key in payload[1:].split(","))
        joined = b64decode(payload[1:])
    except ValueError:
        return frozenset()
    return frozenset(joined[at : at + ID_BYTES] for at in range(0, len(joined), ID_BYTES))
