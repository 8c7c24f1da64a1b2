"""Waiting for work and results: one connection per opened driver receives notifications.

A notification is a hint. In addition, every waiter looks into the store once a second, which also renews its
entry there: scripts notify only instances that have an entry.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import redis.exceptions as client

from asynctasq.errors import DriverError
from asynctasq_redis.codec import text_bytes
from asynctasq_redis.errors import FAILURES
from asynctasq_redis.pipeline import Pipeline
from asynctasq_redis.server import Server
from asynctasq_redis.timing import ListenerTiming
from asynctasq_redis.wires import pack_command

SHORTEST_SLEEP = 0.001
"""Seconds."""

log = logging.getLogger("asynctasq.redis")

Look = Callable[[], Awaitable[float]]
"""Look into the store; return 0 if there is something, otherwise the seconds until there may be."""
LookForEnds = Callable[[Sequence[bytes]], Awaitable[set[bytes]]]
"""Look for outcomes, register for the others, and return the ids that have ended."""


class SharedLook:
    """One look for the outcomes of several waiters."""

    def __init__(self) -> None:
        self.ids: set[bytes] = set()
        self.ended: set[bytes] | None = None
        self.failure: DriverError | None = None


class Waiter:
    """One waiting coroutine."""

    def __init__(self, topics: frozenset[bytes]) -> None:
        self.topics = topics
        self.notified = False
        """True if a notification for it has arrived."""
        self.event = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Wait until there is a reason to look again, for so many seconds at most."""
        timer = asyncio.get_running_loop().call_later(max(seconds, SHORTEST_SLEEP), self.event.set)
        try:
            await self.event.wait()
        finally:
            timer.cancel()


class Listener:
    """Receives notifications from the server, and wakes the waiters that they concern."""

    def __init__(self, server: Server, timing: ListenerTiming) -> None:
        self.instance = secrets.token_hex(8)
        self._server = server
        self._timing = timing
        self._waiters: set[Waiter] = set()
        self._task: asyncio.Task[None] | None = None
        self._first_try = asyncio.Event()
        self._next_look = SharedLook()
        self._looking = asyncio.Lock()
        self._pipeline: Pipeline | None = None
        self._silent = False
        """True if nothing has arrived since the last ping."""
        self._is_reported = False
        """True if the present outage has been logged. One line is enough."""

    async def wait_for_queues(self, queues: Sequence[str], look: Look, timeout: float) -> None:
        await self._wait(frozenset(b"q" + text_bytes(queue) for queue in queues), look, timeout)

    async def wait_for_ids(self, ids: Sequence[bytes], look: LookForEnds, timeout: float) -> None:
        async def look_together() -> float:
            return 0.0 if await self._any_ended(ids, look) else float("inf")

        await self._wait(frozenset(b"r" + one for one in ids), look_together, timeout)

    async def wait_for_events(self, look: Look, timeout: float) -> None:
        await self._wait(frozenset([b"e"]), look, timeout)

    async def _any_ended(self, ids: Sequence[bytes], look: LookForEnds) -> bool:
        """Look once for all waiters that came while another look was under way; one of them does it."""
        shared = self._next_look
        shared.ids.update(ids)
        async with self._looking:
            if shared.failure is not None:
                raise shared.failure
            if shared.ended is None:
                if (
                    shared is self._next_look
                ):  # otherwise the waiter that was to look has been cancelled
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
            while not waiter.notified:
                waiter.event.clear()
                pause = await look()
                left = end - loop.time()
                if pause <= 0.0 or left <= 0.0:
                    return
                if not waiter.notified:
                    await waiter.sleep(min(pause, left, self._timing.poll))
                if loop.time() >= end:
                    return  # the caller looks now
        except DriverError:
            if not waiter.notified:  # otherwise it returns, even if the driver is closed
                raise
        finally:
            self._waiters.discard(waiter)

    def look_again(self) -> None:
        """Make every waiter look into the store now."""
        for waiter in self._waiters:
            waiter.event.set()

    async def _begin(self) -> None:
        """Connect, or try to: earlier notifications are lost."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="asynctasq-redis-listener")
        if not self._first_try.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.poll):
                    await self._first_try.wait()

    async def _listen(self) -> None:
        failures = 0
        while True:
            pause: float | None = None
            try:
                timeout = self._server.settings.connect_timeout
                async with asyncio.timeout(timeout):
                    self._pipeline = (
                        pipeline
                    ) = await self._server.connections.pipeline_for_messages()
                pipeline.on_push = self._on_push
                channel = self._server.prefix + b"p:" + self.instance.encode()
                [answer] = await pipeline.ask(pack_command(("SUBSCRIBE", channel)), 1, timeout)
                if isinstance(answer, Exception):
                    raise answer
                failures = 0
                self._first_try.set()
                self.look_again()
                if self._is_reported:
                    self._is_reported = False
                    log.info("Listening to the Redis at %s again", self._server.place)
                await self._until_silent(pipeline)
                self._report(
                    logging.INFO,
                    "Lost the connection that listens to the Redis at %s; polling until it is back",
                    self._server.place,
                )
            except client.NoPermissionError as error:
                self._report(
                    logging.WARNING,
                    "Redis user may not subscribe at %s; polling every second instead. Give it the channels "
                    "of the namespace (see `ACL users` in the documentation): %s",
                    self._server.place,
                    error,
                )
                pause = self._timing.refused
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
            failures += 1
            if pause is None:
                pause = self._timing.reconnect.pause(failures)
            await asyncio.sleep(pause)

    def _report(self, level: int, line: str, *values: object) -> None:
        """Log the first line of an outage; the others are for DEBUG."""
        log.log(logging.DEBUG if self._is_reported else level, line, *values)
        self._is_reported = True

    async def _until_silent(self, pipeline: Pipeline) -> None:
        """Return when the connection has ended, or the server stops answering."""
        self._silent = False
        while not self._silent:
            self._silent = True
            pipeline.send(pack_command(("PING",)))
            await asyncio.wait([pipeline.lost], timeout=self._timing.ping)
            if pipeline.lost.done():
                return

    def _on_push(self, push: object) -> None:
        self._silent = False
        if isinstance(push, list) and len(push) == 3 and isinstance(push[2], bytes):
            topic = push[2]
            for waiter in self._waiters:
                if topic in waiter.topics:
                    waiter.notified = True
                    waiter.event.set()

    async def _disconnect(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            await pipeline.close()

    async def stop(self) -> None:
        """Stop, and make every waiter return."""
        task, self._task = self._task, None
        if task is None:
            return
        if task.get_loop() is not asyncio.get_running_loop():
            if self._pipeline is not None:
                self._pipeline.drop()
            return
        for waiter in self._waiters:
            waiter.notified = True
            waiter.event.set()
        self._first_try.set()  # a task that has not started yet does not set it
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
