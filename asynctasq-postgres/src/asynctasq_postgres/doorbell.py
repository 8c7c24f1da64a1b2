"""Notifications for processes that sleep. They are sent after the commit, and only if a process sleeps.

PostgreSQL commits transactions that notify one after the other, so that a notification must not be part of a
transaction that writes.
"""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Iterable
from time import monotonic

from asynctasq.driverkit.batching import batches
from asynctasq.errors import DriverError
from asynctasq_postgres.connections import CLOSE_SECONDS
from asynctasq_postgres.server import Server

SHORTEST_INTERVAL = 0.005
"""Seconds between two notifications of a process."""
IDS_AT_ONCE = 340
"""IDs that fit into a notification, which ends at 8,000 bytes."""
NAMES_AT_ONCE = 500

log = logging.getLogger("asynctasq.postgres")


def channel_of(server: Server) -> str:
    """Return the name of the channel; that of another schema is another one."""
    return f"{server.names.schema}.{server.names.prefix}"


def event_topic(namespace: int) -> str:
    """Return the notification about events of a namespace, given its number."""
    return f"e{namespace}"


class Doorbell:
    """Sends the notifications of one opened driver, from a task that ends when there is nothing to send."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.channel = channel_of(server)
        self._queues: dict[str, None] = {}
        self._numbers: dict[int, None] = {}
        self._ended: dict[bytes, None] = {}
        self._published: int | None = None
        """The namespace in which events were published."""
        self._task: asyncio.Task[None] | None = None
        self._has_sleepers = True
        """True if the last call that added a message found a process that sleeps; at first, one is expected."""
        self._rung_at = -SHORTEST_INTERVAL
        """When such a call last notified processes itself."""

    @property
    def may_ring_now(self) -> bool:
        """True if the call that adds a message should notify processes itself: one is likely to sleep."""
        return (
            self._has_sleepers
            and self._task is None
            and monotonic() - self._rung_at >= SHORTEST_INTERVAL
        )

    def note_sleepers(self, found: bool, *, rung: bool) -> None:
        """Record whether a call that added a message found a process that sleeps, and notified it."""
        self._has_sleepers = found
        if found and rung:
            self._rung_at = monotonic()

    def ring(self, queues: Iterable[str]) -> None:
        """Wake processes that sleep until a message comes to one of these queues."""
        self._queues.update(dict.fromkeys(queues))
        self._begin()

    def ring_numbers(self, queues: Iterable[int]) -> None:
        """Wake processes, given the numbers of queues for each of which one is known to sleep."""
        self._numbers.update(dict.fromkeys(queues))
        self._begin()

    def tell(self, ended: Iterable[bytes]) -> None:
        """Wake processes that wait for the results of these messages."""
        self._ended.update(dict.fromkeys(ended))
        self._begin()

    def tell_listeners(self, namespace: int) -> None:
        """Wake processes that wait for events of a namespace, given its number."""
        self._published = namespace
        self._begin()

    @property
    def _is_asked(self) -> bool:
        return bool(self._numbers or self._queues or self._ended or self._published is not None)

    def _begin(self) -> None:
        if self._task is None and self._is_asked:
            self._task = asyncio.create_task(self._send(), name="asynctasq-postgres-doorbell")

    async def _send(self) -> None:
        try:
            while self._is_asked:
                queues, self._queues = list(self._queues), {}
                numbers, self._numbers = list(self._numbers), {}
                ended, self._ended = list(self._ended), {}
                published, self._published = self._published, None
                try:
                    await self._notify(queues, numbers, ended)
                    if published is not None:
                        await self._server.rows("notify", self.channel, event_topic(published))
                except DriverError as error:
                    # Sleepers look once a second.
                    log.debug("A notification was not sent: %s", error)
                await asyncio.sleep(SHORTEST_INTERVAL)
        finally:
            self._task = None

    async def _notify(self, queues: list[str], numbers: list[int], ended: list[bytes]) -> None:
        server = self._server
        for some in batches(numbers, NAMES_AT_ONCE):
            await server.rows("notify", self.channel, "q" + ",".join(map(str, some)))
        for names in batches(queues, NAMES_AT_ONCE):
            await server.rows(
                "ring", server.settings.namespace, list(names), self.channel, server.shift
            )
        for ids in batches(ended, IDS_AT_ONCE):
            await server.rows(
                "notify", self.channel, "r" + b64encode(b"".join(ids)).decode("ascii")
            )

    async def stop(self) -> None:
        """Send nothing more."""
        self._queues, self._numbers, self._ended = {}, {}, {}
        self._published = None
        task, self._task = self._task, None
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            return
        done, _ = await asyncio.wait([task], timeout=CLOSE_SECONDS)
        if not done:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
