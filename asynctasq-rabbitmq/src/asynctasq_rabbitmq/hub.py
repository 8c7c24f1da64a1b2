"""The hub: a thread with an event loop that owns the connections of a process to one broker.

A task that blocks the event loop of its worker blocks neither heartbeats nor leases. All drivers of the process
with the same settings share one hub.
"""

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq_rabbitmq.broker import GRACE, Broker
from asynctasq_rabbitmq.errors import broker_errors
from asynctasq_rabbitmq.settings import RabbitMQSettings
from asynctasq_rabbitmq.wire.errors import ChannelClosed, ConnectionLost

logger = logging.getLogger("asynctasq_rabbitmq")

T = TypeVar("T")
TICK = 0.1
"""Seconds between two looks at messages that no worker takes, and at leases."""


class Hub:
    """One thread, one loop, one `Broker`. `Hubs.enter` returns it."""

    def __init__(self, settings: RabbitMQSettings, place: str) -> None:
        self.place = place
        self.users = 0
        self.loop = asyncio.new_event_loop()
        self.broker: Broker | None = None
        self._settings = settings
        self._thread = threading.Thread(
            target=self._run, name=f"asynctasq-rabbitmq {place}", daemon=True
        )
        self._ticking: asyncio.Task[None] | None = None
        try:
            self._thread.start()
        except RuntimeError as error:  # the system has no more threads, or the interpreter ends
            self.loop.close()
            raise DriverUnavailable(
                f"The thread that connects to the broker at {place} could not start ({error})."
            ) from error

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    async def call(self, make: Callable[[Broker], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the loop of the hub, and return its result. Cancelling the call cancels it.

        Raises:
            DriverError: the broker refused a call.
            DriverUnavailable: the broker gave no answer, or the hub was closed.
        """
        running = self._start(make)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            if running.cancelled() and not _is_cancelling():
                raise DriverUnavailable(f"The driver of {self.place} was closed.") from None
            raise

    def _start(self, make: Callable[[Broker], Coroutine[Any, Any, T]]) -> Any:
        return asyncio.run_coroutine_threadsafe(self._guarded(make), self.loop)

    async def _guarded(self, make: Callable[[Broker], Coroutine[Any, Any, T]]) -> T:
        with broker_errors(self.place):
            return await make(self._made())

    @property
    def made(self) -> Broker:
        """The broker, which an `open` has made."""
        assert self.broker is not None
        return self.broker

    def _made(self) -> Broker:
        """Return the broker, made on the loop of the hub."""
        if self.broker is None:
            name = f"{socket.gethostname()}-{os.getpid()}"
            self.broker = Broker(self._settings, self.place, name)
            self._ticking = self.loop.create_task(self._tick(self.broker))
        return self.broker

    def post(self, action: Callable[[Broker], None]) -> None:
        """Run a function on the loop of the hub, soon."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(lambda: action(self._made()))

    async def _tick(self, broker: Broker) -> None:
        """Give back what no worker takes, and end leases that are not renewed."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            now, before = time.monotonic(), last
            last = now
            try:
                if (
                    now - before < GRACE
                ):  # otherwise the process was suspended, and workers may renew first
                    await broker.tend(now)
            except (ChannelClosed, ConnectionLost, DriverError) as error:
                logger.debug("The upkeep of %s failed: %s", self.place, error)
            except Exception:
                logger.exception("The upkeep of %s failed", self.place, extra={"store": self.place})

    async def stop(self) -> None:
        """Close the connections, and end the thread."""
        with contextlib.suppress(Exception):
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._close(), self.loop))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    async def _close(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        if self.broker is not None:
            await self.broker.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Hubs:
    """The hubs of this process, by settings."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget all hubs: a forked child has none of their threads."""
        self._lock = threading.Lock()
        self._hubs: dict[str, Hub] = {}

    def enter(self, key: str, settings: RabbitMQSettings, place: str) -> Hub:
        """Return the hub for settings, and count its users."""
        with self._lock:
            hub = self._hubs.get(key)
            if hub is None:
                hub = self._hubs[key] = Hub(settings, place)
            hub.users += 1
            return hub

    async def leave(self, key: str, hub: Hub) -> None:
        """Stop a hub with its last user."""
        with self._lock:
            hub.users -= 1
            is_last = not hub.users
            if is_last and self._hubs.get(key) is hub:
                del self._hubs[key]
        if is_last:
            await hub.stop()


def _is_cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


HUBS = Hubs()
os.register_at_fork(after_in_child=HUBS.forget)
