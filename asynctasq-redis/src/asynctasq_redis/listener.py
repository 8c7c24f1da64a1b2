"""Waiting: one connection per opened driver on which the server says what there is to look at.

A message that is pushed is a hint. Behind it every waiter looks for itself once a second, which also
renews its entry in the store: scripts push only to those who have one.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import redis.exceptions as client

from asynctasq.errors import DriverError
from asynctasq_redis.codec import text_bytes
from asynctasq_redis.connecting import pack_command
from asynctasq_redis.errors import FAILURES
from asynctasq_redis.pipeline import Line
from asynctasq_redis.server import Server

POLL = 1.0
"""Seconds after which a waiter looks for itself."""
SHORTEST_SLEEP = 0.001
RECONNECT = (0.05, 2.0)
"""Seconds: the first pause, and the longest."""
REFUSED_SECONDS = 60.0
"""Pause where we are not allowed to listen."""
PING_SECONDS = 15.0
"""A connection that hears nothing for so long after a ping is half open."""

log = logging.getLogger("asynctasq.redis")

Look = Callable[[], Awaitable[float]]
"""Looks into the store: 0 if there is something, otherwise seconds until it may be."""
LookForEnds = Callable[[Sequence[bytes]], Awaitable[set[bytes]]]
"""Looks for outcomes, and asks to be told of the others: which have ended."""


class SharedLook:
    """One look for the outcomes that several waiters wait for."""

    def __init__(self) -> None:
        self.ids: set[bytes] = set()
        self.ended: set[bytes] | None = None
        self.failure: DriverError | None = None


class Waiter:
    """One waiting coroutine."""

    def __init__(self, topics: frozenset[bytes]) -> None:
        self.topics = topics
        self.told = False
        """Something was pushed for it."""
        self.event = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Until it is to look again, or for so long."""
        timer = asyncio.get_running_loop().call_later(max(seconds, SHORTEST_SLEEP), self.event.set)
        try:
            await self.event.wait()
        finally:
            timer.cancel()


class Listener:
    """Hears what the server pushes, and wakes those whom it concerns."""

    def __init__(self, server: Server) -> None:
        self.instance = secrets.token_hex(8)
        self._server = server
        self._waiters: set[Waiter] = set()
        self._task: asyncio.Task[None] | None = None
        self._first_try = asyncio.Event()
        self._next_look = SharedLook()
        self._looking = asyncio.Lock()
        self._line: Line | None = None
        self._silent = False
        """Nothing was heard since the last ping."""
        self._is_reported = False
        """A log line says that nothing is heard at present. One line is enough for an outage."""

    async def wait_for_queues(self, queues: Sequence[str], look: Look, timeout: float) -> None:
        await self._wait(frozenset(b"q" + text_bytes(queue) for queue in queues), look, timeout)

    async def wait_for_ids(self, ids: Sequence[bytes], look: LookForEnds, timeout: float) -> None:
        async def look_together() -> float:
            return 0.0 if await self._any_ended(ids, look) else float("inf")

        await self._wait(frozenset(b"r" + one for one in ids), look_together, timeout)

    async def _any_ended(self, ids: Sequence[bytes], look: LookForEnds) -> bool:
        """Look once for all who want to while another look is under way: one of them does it."""
        shared = self._next_look
        shared.ids.update(ids)
        async with self._looking:
            if shared.failure is not None:
                raise shared.failure
            if shared.ended is None:
                if shared is self._next_look:  # otherwise who was to look has been cancelled
                    self._next_look = SharedLook()
                try:
                    shared.ended = await look(list(shared.ids))
                except DriverError as error:
                    shared.failure = error
                    raise
        return not shared.ended.isdisjoint(ids)

    async def _wait(self, topics: frozenset[bytes], look: Look, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        waiter = Waiter(topics)
        self._waiters.add(waiter)
        try:
            await self._begin()
            while not waiter.told:
                waiter.event.clear()
                pause = await look()
                left = end - loop.time()
                if pause <= 0.0 or left <= 0.0:
                    return
                if not waiter.told:
                    await waiter.sleep(min(pause, left, POLL))
                if loop.time() >= end:
                    return  # who waited looks now
        except DriverError:
            if not waiter.told:  # otherwise it returns all the same, and the driver may be closed
                raise
        finally:
            self._waiters.discard(waiter)

    def look_again(self) -> None:
        """Let every waiter look for itself now."""
        for waiter in self._waiters:
            waiter.event.set()

    async def _begin(self) -> None:
        """Be connected, or have tried: what is pushed before that is not heard."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="asynctasq-redis-listener")
        if not self._first_try.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._first_try.wait()

    async def _listen(self) -> None:
        pause = RECONNECT[0]
        while True:
            try:
                timeout = self._server.settings.connect_timeout
                async with asyncio.timeout(timeout):
                    self._line = line = await self._server.connections.line_for_messages()
                line.heard = self._heard
                channel = self._server.prefix + b"p:" + self.instance.encode()
                [answer] = await line.ask(pack_command(("SUBSCRIBE", channel)), 1, timeout)
                if isinstance(answer, Exception):
                    raise answer
                pause = RECONNECT[0]
                self._first_try.set()
                self.look_again()
                if self._is_reported:
                    self._is_reported = False
                    log.info("Listening to the Redis at %s again", self._server.place)
                await self._until_silent(line)
                self._report(
                    logging.INFO,
                    "Lost the connection that listens to the Redis at %s; polling until it is back",
                    self._server.place,
                )
            except client.NoPermissionError as error:
                self._report(
                    logging.WARNING,
                    "The Redis at %s lets this user hear of nothing, so work and results are looked for "
                    "once a second. Give it the channels of the namespace (see `ACL users` in "
                    "docs/redis.md): %s",
                    self._server.place,
                    error,
                )
                pause = REFUSED_SECONDS
            except FAILURES as error:
                self._report(
                    logging.INFO,
                    "Cannot listen to the Redis at %s; polling until it is back: %s",
                    self._server.place,
                    error,
                )
            finally:
                self._first_try.set()
                await self._disconnect()
            await asyncio.sleep(pause)
            pause = min(pause * 2, RECONNECT[1])

    def _report(self, level: int, line: str, *values: object) -> None:
        """Log the first line of an outage; the others are for DEBUG."""
        log.log(logging.DEBUG if self._is_reported else level, line, *values)
        self._is_reported = True

    async def _until_silent(self, line: Line) -> None:
        """Return when the connection has ended, or nothing is heard of the other side."""
        self._silent = False
        while not self._silent:
            self._silent = True
            line.send(pack_command(("PING",)))
            await asyncio.wait([line.lost], timeout=PING_SECONDS)
            if line.lost.done():
                return

    def _heard(self, push: object) -> None:
        self._silent = False
        if isinstance(push, list) and len(push) == 3 and isinstance(push[2], bytes):
            topic = push[2]
            for waiter in self._waiters:
                if topic in waiter.topics:
                    waiter.told = True
                    waiter.event.set()

    async def _disconnect(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    async def stop(self) -> None:
        """End, and let every waiter return."""
        task, self._task = self._task, None
        if task is None:
            return
        if task.get_loop() is not asyncio.get_running_loop():
            if self._line is not None:
                self._line.drop()
            return
        for waiter in self._waiters:
            waiter.told = True
            waiter.event.set()
        self._first_try.set()  # a task that has not begun yet does not do it
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
