"""A queue without outcomes, as brokers are: for tests of the composed driver."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.deaths import Death
from asynctasq.contracts.driver import Driver, Enqueued
from asynctasq.driverkit import pack_message
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.memory.brokered import StateStore
from asynctasq.drivers.memory.entry import Entry
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.errors import DriverError
from asynctasq.message import Delivery, Lease, Message
from asynctasq.settlement import Reason


class QueueStore(StateStore):
    """A store that delivers the messages which it must not run, until they are settled."""

    def deaths(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Death]:
        now = self.now()
        found: list[Death] = []
        for entry in list(self.entries.values()):
            if len(found) < limit and self._is_told(entry, queues):
                holder = self.owners.get(owner) or self._new_owner(owner, now + lease)
                reason = entry.reason
                self._leave_dead(entry)
                self._make_leased(entry, holder, now)
                if reason is Reason.EXPIRED:
                    entry.expires_at = now
                found.append(Death(self._delivery(entry, now, resumed=True), reason))
        return found

    def _is_told(self, entry: Entry, queues: Mapping[str, int]) -> bool:
        return (
            entry.state.value == "dead"
            and entry.reason in {Reason.LOST, Reason.EXPIRED}
            and entry.queue.name in queues
        )


class QueueDriver(MemoryDriver):
    """A queue in memory that promises nothing beyond the required rules."""

    capabilities = Capability.NONE
    longest_delay: float | None = 900.0
    max_message_bytes: int | None = 256 << 10
    store_class = QueueStore
    _store: QueueStore
    delivers_twice = False
    """Each message is delivered in two copies, as after a dispatch that was repeated."""

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        for message in messages:
            if self.max_message_bytes and len(pack_message(message)) > self.max_message_bytes:
                raise DriverError("A message must have fewer bytes.")
            if self.longest_delay is not None and message.delay > self.longest_delay:
                raise DriverError("A delay must be shorter.")
        return await super().enqueue(messages)

    async def reserve_and_deaths(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> tuple[list[Delivery], list[Death]]:
        deliveries = await self.reserve(queues, limit=limit, owner=owner, lease=lease)
        if self.delivers_twice:
            deliveries += [
                replace(each, lease=Lease(each.lease.id, f"copy {each.lease.token}"))
                for each in deliveries
            ]
        store = self._store
        with store.lock:
            deaths = store.deaths(queues, limit=100, owner=owner, lease=lease)
        return deliveries, deaths


class DurableQueue(SqliteDriver):
    """A queue in a file that several processes share. None of its messages expires or is lost for good."""

    capabilities = Capability.NONE
    longest_delay: float | None = 900.0

    async def reserve_and_deaths(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> tuple[list[Delivery], list[Death]]:
        return await self.reserve(queues, limit=limit, owner=owner, lease=lease), []


def composed_in(folder: Path) -> Driver:
    """Return an unopened driver whose two files are in a folder."""
    from asynctasq.drivers.composed import compose

    queue = DurableQueue(folder / "queue.db", synchronous="normal")
    return compose(queue, SqliteDriver(folder / "state.db", synchronous="normal"))
