"""Leasing messages and keeping leases."""

from collections.abc import Mapping, Sequence

import orjson

from asynctasq.contracts.packing import ID_BYTES
from asynctasq.drivers.sqlite.codec import (
    json_list,
    micros,
    unpack_row,
)
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.session import Careful, Session
from asynctasq.drivers.sqlite.upkeep import (
    dead_since,
    end_leases,
    must_count_dead,
    note_call,
    upkeep,
)
from asynctasq.message import Delivery, Lease
from asynctasq.records import record
from asynctasq.settlement import LeaseState

LARGE = 128 << 10
"""Bytes; larger payloads are read one by one."""
MOST_AT_ONCE = 1_000
"""Messages that one statement takes, so that its row stays well below SQLite's limit."""
NEVER = 1 << 62

_SQL = queries("lease")


@record
class Reserve:
    """The operation behind `Driver.reserve`."""

    queues: Mapping[str, int]
    limit: int
    owner: str
    lease: float

    def __call__(self, session: Session) -> list[Delivery]:
        keys = session.queue_keys(self.queues)
        lease = micros(self.lease)
        renewal = {"owner": self.owner, "deadline": session.now + lease}
        # First of all: its own leases are not taken from it.
        known = session.row(_SQL["renew_if_known"], renewal)
        owner: int | None = None if known is None else known[0]
        ready = self._look(session, keys, lease)
        deliveries: list[Delivery] = []
        for key in ready:
            name = keys[key]
            end = len(deliveries) + min(self.queues[name], self.limit - len(deliveries))
            while len(deliveries) < end:
                wanted = min(end - len(deliveries), MOST_AT_ONCE)
                numbers, taken = _take(session, key, name, wanted)
                if not taken:
                    break
                if owner is None:
                    owner = session.rows(_SQL["renew_by_reserve"], renewal)[0][0]
                session.run(_SQL["lease"], {"owner": owner, "taken": str(numbers)})
                deliveries += taken
                if len(taken) < wanted:
                    break
        if not session.must_not_run_twice and any(
            delivery.message.max_lost == 0 for delivery in deliveries
        ):
            session.must_not_run_twice = True
            raise Careful  # once more, synced: not even a power failure may undo these leases
        return deliveries

    def _look(self, session: Session, keys: Mapping[int, str], lease: int) -> list[int]:
        """The queues that have ready messages, after all upkeep that is due."""
        parameters = {"queues": json_list(keys), "dead_since": dead_since(session)}
        due, ended, ready = session.rows(_SQL["look"], parameters)[0]
        reclaims = not note_call(session, lease, leases_ended=bool(ended))
        if due or (ended and reclaims) or must_count_dead(session):
            upkeep(session, reclaims=reclaims)
            _, _, ready = session.rows(_SQL["look"], parameters)[0]
        found: list[int] = orjson.loads(ready)
        return found


def _take(session: Session, key: int, name: str, limit: int) -> tuple[list[int], list[Delivery]]:
    """The next messages of one queue, about to be leased, and the numbers of their rows."""
    facts, blob = session.rows(_SQL["take"], {"queue": key, "limit": limit, "large": LARGE})[0]
    now = session.now
    deliveries: list[Delivery] = []
    taken: list[int] = []
    place = 0
    for n, token, attempt, lost, enqueued_at, mismatched_at, profile_size, size in orjson.loads(
        facts
    ):
        taken.append(n)
        message_id = blob[place : place + ID_BYTES]
        place += ID_BYTES
        profile = blob[place : place + profile_size]
        place += profile_size
        if size <= LARGE:
            payload = blob[place : place + size]
            place += size
        else:
            payload = session.rows(_SQL["payload"], {"n": n})[0][0]
        deliveries.append(
            Delivery(
                unpack_row(message_id, name, profile, payload),
                Lease(message_id, token + 1),
                attempt,
                lost,
                enqueued_at / 1e6,
                0.0 if mismatched_at is None else max(now - mismatched_at, 0) / 1e6,
            )
        )
    return taken, deliveries


@record
class Extend:
    """The operation behind `Driver.extend`."""

    owner: str
    leases: Sequence[Lease]
    lease: float

    def __call__(self, session: Session) -> list[LeaseState]:
        span = micros(self.lease)
        note_call(session, span)
        row = session.row(
            _SQL["renew_by_extend"], {"owner": self.owner, "deadline": session.now + span}
        )
        if row is None:
            return [LeaseState.LOST] * len(self.leases)
        facts, blob = session.rows(_SQL["held"], {"owner": row[0]})[0]
        held: dict[tuple[bytes, int | str], int] = {}
        unnamed: list[int] = []
        named = {(lease.id, lease.token) for lease in self.leases}
        for place, (n, token, leased_at) in enumerate(orjson.loads(facts)):
            lease = (blob[place * ID_BYTES : (place + 1) * ID_BYTES], token)
            held[lease] = n
            if leased_at <= session.now - span and lease not in named:
                unnamed.append(n)
        if unnamed:
            session.run(_SQL["give_back"], {"taken": json_list(unnamed), "counted": False})
        return [
            LeaseState.HELD if (lease.id, lease.token) in held else LeaseState.LOST
            for lease in self.leases
        ]


@record
class EndOwner:
    """A bounded piece of `SupportsWorkers.end_owner`; returns whether it was the last."""

    owner: str

    def __call__(self, session: Session) -> bool:
        return end_leases(session, self.owner)


@record
class CancelRequests:
    """The operation behind `Driver.cancel_requests`."""

    owner: str

    def __call__(self, session: Session) -> list[Lease]:
        rows = session.rows(_SQL["flagged"], {"owner": self.owner})
        return [Lease(message_id, token) for message_id, token in rows]


@record
class WorkAhead:
    """What a waiting worker needs to know."""

    ready: bool
    next_event: int
    """When time next brings something about, in microseconds since the Unix epoch."""


def look_for_work(session: Session, queues: Sequence[str]) -> WorkAhead:
    """Whether a reserve from `queues` would find something, and when it will next."""
    row = session.rows(_SQL["watch_work"], {"queues": session.queue_list(queues), "never": NEVER})[
        0
    ]
    return WorkAhead(bool(row[0]), row[1])
