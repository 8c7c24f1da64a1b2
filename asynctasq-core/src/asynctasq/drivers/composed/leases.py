"""Leases of the queue that this process holds, and the tokens by which the two stores are told apart."""

import threading
from collections.abc import Iterable

from asynctasq.message import Delivery, Lease

_QUEUE, _STATE = "q:", "s:"
_NUMBER, _TEXT = "#", "="


def lease_of_queue(lease: Lease) -> Lease:
    """Return a lease of the queue, as core sees it."""
    return _marked(_QUEUE, lease)


def lease_of_state(lease: Lease) -> Lease:
    """Return a lease of the state store, as core sees it."""
    return _marked(_STATE, lease)


def is_of_queue(lease: Lease) -> bool:
    """Return whether the queue has given a lease."""
    return str(lease.token).startswith(_QUEUE)


def original(lease: Lease) -> Lease:
    """Return a lease as its store has given it. A token that is not of this driver stays as it is."""
    text = str(lease.token)
    kind, value = text[len(_QUEUE) : len(_QUEUE) + 1], text[len(_QUEUE) + 1 :]
    if not text.startswith((_QUEUE, _STATE)):
        return lease
    return Lease(lease.id, int(value) if kind == _NUMBER else value)


def _marked(store: str, lease: Lease) -> Lease:
    kind = _NUMBER if isinstance(lease.token, int) else _TEXT
    return Lease(lease.id, f"{store}{kind}{lease.token}")


class Held:
    """A message that the queue has leased to this process."""

    __slots__ = ("delivery", "is_unsure", "owner")

    def __init__(self, delivery: Delivery, owner: str) -> None:
        self.delivery = delivery
        """As the queue has delivered it."""
        self.owner = owner
        self.is_unsure = False
        """True if the state store gave no answer to a call that may have recorded the end."""


class HeldLeases:
    """All leases of the queue that this process holds. A driver and its clones share them, on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Lease, Held] = {}

    def add(self, deliveries: Iterable[Delivery], owner: str) -> None:
        with self._lock:
            for delivery in deliveries:
                self._held[delivery.lease] = Held(delivery, owner)

    def get(self, lease: Lease) -> Held | None:
        """Return what is known about a lease of the queue."""
        return self._held.get(lease)

    def drop(self, leases: Iterable[Lease]) -> None:
        with self._lock:
            for lease in leases:
                self._held.pop(lease, None)

    def of_owner(self, owner: str) -> list[Lease]:
        """Return the leases of a worker."""
        with self._lock:
            return [lease for lease, held in self._held.items() if held.owner == owner]
