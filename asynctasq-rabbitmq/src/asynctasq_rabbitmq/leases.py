"""The messages that the broker has delivered to this process, and the leases on them."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from asynctasq.driverkit.numbers import next_token
from asynctasq.message import Delivery, Lease
from asynctasq_rabbitmq.records import Record
from asynctasq_rabbitmq.wire.frames import Incoming

if TYPE_CHECKING:
    from asynctasq_rabbitmq.consuming import Consumer


class Held:
    """A message that the broker has delivered and that is not acknowledged."""

    __slots__ = (
        "consumer", "ends_at", "epoch", "has_expired", "incoming", "is_settling", "leased_at", "lost", "owner",
        "record", "since", "token", "until",
    )  # fmt: skip

    def __init__(self, consumer: "Consumer", epoch: int, incoming: Incoming, since: float) -> None:
        self.consumer = consumer
        self.epoch = epoch
        self.incoming = incoming
        self.since = since
        """When the broker delivered it, by the monotonic clock."""
        self.record: Record | None = None
        self.lost = 0
        self.token = 0
        """Token of its lease; 0 if it has none."""
        self.owner = ""
        self.until = 0.0
        """When its lease ends, by the clock of the store."""
        self.ends_at = 0.0
        """Same time by the monotonic clock."""
        self.leased_at = 0.0
        self.is_settling = False
        self.has_expired = False
        """True if the message must not begin, so that a lease of it does not count as a beginning."""

    @property
    def started(self) -> bool:
        """True if the message counts as begun once its lease ends."""
        return self.known.started or not self.has_expired

    @property
    def known(self) -> Record:
        """The record, which was read before."""
        assert self.record is not None
        return self.record

    def move(self, incoming: Incoming) -> None:
        """Let another message at the broker take the place of this one."""
        self.consumer.note_end(self)
        self.epoch = 0
        self.incoming = incoming
        self.since = time.monotonic()

    def delivery(self, now: float) -> Delivery:
        """Return the delivery of its lease."""
        known = self.known
        mismatched = known.mismatched_at
        return Delivery(
            known.message,
            Lease(known.message.id, self.token),
            known.attempt,
            self.lost,
            known.enqueued_at,
            0.0 if mismatched is None else now - mismatched,
            due_at=known.due_at,
            resumed=known.started or self.incoming.redelivered,
        )


class Leases:
    """The leases of all workers of this process."""

    def __init__(self) -> None:
        self._owners: dict[str, dict[int, Held]] = {}
        self._by_token: dict[int, Held] = {}
        self._token = 0

    def grant(self, held: Held, owner: str, now: float, lease: float) -> None:
        """Lease a message to an owner."""
        held.token = self._token = next_token(self._token, now)
        held.owner, held.leased_at = owner, now
        renew(held, now, lease)
        self._by_token[held.token] = held
        self._owners.setdefault(owner, {})[held.token] = held

    def find(self, lease: Lease) -> Held | None:
        """Return the message of a lease; None if the lease has ended."""
        held = self._by_token.get(lease.token) if isinstance(lease.token, int) else None
        return held if held is not None and held.known.message.id == lease.id else None

    def holds(self, held: Held) -> bool:
        """Return whether the lease of a message has not ended."""
        return self._by_token.get(held.token) is held

    def of(self, owner: str) -> Sequence[Held]:
        """Return the messages of an owner."""
        return list(self._owners.get(owner, {}).values())

    def end(self, held: Held) -> None:
        """End a lease."""
        if self._by_token.pop(held.token, None) is None:
            return
        owned = self._owners[held.owner]
        owned.pop(held.token, None)
        if not owned:
            del self._owners[held.owner]

    def ended(self, now: float, but: str) -> list[Held]:
        """Return the messages whose leases have ended, of all owners but one."""
        return [
            held
            for owner, owned in self._owners.items()
            if owner != but
            for held in owned.values()
            if held.until <= now and not held.is_settling
        ]

    def overdue(self, at: float) -> list[Held]:
        """Return the messages whose leases had ended at a time of the monotonic clock."""
        return [
            held for held in self._by_token.values() if held.ends_at <= at and not held.is_settling
        ]

    def drop(self, is_gone: Callable[[Held], bool]) -> None:
        """End leases on messages that the broker delivers again."""
        for held in [held for held in self._by_token.values() if is_gone(held)]:
            self.end(held)

    def deadlines(self) -> Iterable[float]:
        """Return when each lease ends."""
        return [held.until for held in self._by_token.values()]

    def next_end(self) -> float | None:
        """Return when the next lease ends; None if there is none."""
        return min(self.deadlines(), default=None)

    def __iter__(self) -> Iterator[Held]:
        """Iterate over all leased messages."""
        return iter(list(self._by_token.values()))

    def __len__(self) -> int:
        """Return the number of leases."""
        return len(self._by_token)

    def count(self, queue: str) -> int:
        """Return the number of leases on messages of a queue."""
        return sum(held.consumer.queue == queue for held in self._by_token.values())


def renew(held: Held, now: float, lease: float) -> None:
    """Let a lease end some seconds from now."""
    held.until = now + lease
    held.ends_at = time.monotonic() + lease


def acknowledge(messages: Collection[Held]) -> None:
    """Acknowledge messages, in one write for each channel."""
    channels: dict[int, list[Held]] = {}
    for held in messages:
        channels.setdefault(id(held.incoming.channel), []).append(held)
    for group in channels.values():
        channel = group[0].incoming.channel
        if channel.is_open:
            channel.ack([held.incoming.tag for held in group])
        for held in group:
            held.consumer.note_end(held)
