"""Leases of the queue that this process holds, and the tokens by which the two stores are told apart."""

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from asynctasq.contracts.capabilities import NEWS_KEPT, News
from asynctasq.message import Delivery, Lease
from asynctasq.settlement import Settled, Settlement

_QUEUE, _STATE = "q:", "s:"
_NUMBER, _TEXT = "#", "="

ANSWERS_KEPT = 10_000
"""Answers that are kept for calls that are never repeated, because their worker has given up."""


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

    __slots__ = (
        "delivery",
        "is_noted",
        "is_settling",
        "is_unsure",
        "may_have_copy",
        "owner",
        "since",
    )

    def __init__(self, delivery: Delivery, owner: str, since: float) -> None:
        self.delivery = delivery
        """As the queue has delivered it."""
        self.owner = owner
        self.since = since
        """When the queue delivered it, in seconds of a steady clock."""
        self.may_have_copy = False
        """True if the queue may have got a copy because it cannot keep this lease much longer."""
        self.is_noted = False
        """True once a note in the state store stands for the lease, which the queue has ended."""
        self.is_settling = False
        self.is_unsure = False
        """True if a call that may have recorded the end raised an error."""


class HeldLeases:
    """All leases of the queue that this process holds. A driver and its clones share them, on any thread."""

    def __init__(self) -> None:
        self.news: deque[News] = deque(maxlen=NEWS_KEPT)
        """Messages of the queue that died, since the last call of `news`."""
        self._lock = threading.Lock()
        self._answers: dict[Settlement, Settled] = {}
        """Answers of the state store to calls that failed afterwards, kept until the calls are repeated."""
        self._held: dict[Lease, Held] = {}

    def add(self, deliveries: Iterable[Delivery], owner: str, since: float) -> None:
        with self._lock:
            for delivery in deliveries:
                self._held[delivery.lease] = Held(delivery, owner, since)

    def get(self, lease: Lease) -> Held | None:
        """Return what is known about a lease of the queue."""
        return self._held.get(lease)

    def split(self, leases: Iterable[Lease]) -> tuple[list[Held], list[Lease]]:
        """Return the leases for which a note stands, and those that the queue keeps."""
        noted: list[Held] = []
        of_queue: list[Lease] = []
        for lease in leases:
            held = self._held.get(lease)
            if held is not None and held.is_noted:
                noted.append(held)
            else:
                of_queue.append(lease)
        return noted, of_queue

    def begin_settling(self, lease: Lease) -> Held | None:
        """Return what is known about a lease that is being settled. From now on, no copy is sent for it."""
        with self._lock:
            held = self._held.get(lease)
            if held is not None:
                held.is_settling = True
            return held

    def begin_copying(self, leases: Iterable[Lease], *, older_than: float) -> list[Held]:
        """Return the leases whose messages need a copy in the queue, and mark them.

        Args:
            leases: of the queue.
            older_than: a time of the steady clock.
        """
        found: list[Held] = []
        with self._lock:
            for lease in leases:
                held = self._held.get(lease)
                if held is None or held.is_noted or held.is_settling or held.since > older_than:
                    continue
                held.may_have_copy = True
                found.append(held)
        return found

    def keep_answers(
        self, settlements: Sequence[Settlement], answers: Mapping[int, Settled]
    ) -> None:
        """Keep the answers of the state store to a call that the queue did not answer.

        Args:
            settlements: of the call.
            answers: by place in it.
        """
        with self._lock:
            self._answers.update((settlements[place], answer) for place, answer in answers.items())
            while len(self._answers) > ANSWERS_KEPT:
                del self._answers[next(iter(self._answers))]

    def take_answers(
        self, settlements: Sequence[Settlement], places: Iterable[int]
    ) -> dict[int, Settled]:
        """Return answers that were kept, by place in the call, and forget them."""
        if not self._answers:
            return {}
        with self._lock:
            found = {place: self._answers.pop(settlements[place], None) for place in places}
        return {place: answer for place, answer in found.items() if answer is not None}

    def drop(self, leases: Iterable[Lease]) -> None:
        with self._lock:
            for lease in leases:
                self._held.pop(lease, None)

    def of_owner(self, owner: str) -> list[Lease]:
        """Return the leases of a worker."""
        with self._lock:
            return [lease for lease, held in self._held.items() if held.owner == owner]
