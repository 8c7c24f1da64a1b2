"""Leasing messages and keeping leases."""

from collections.abc import Mapping, Sequence

import orjson

from asynctasq.driverkit.sql import BatchMismatch
from asynctasq.driverkit.strays import StraySearch
from asynctasq.driverkit.times import micros
from asynctasq.drivers.sqlite.claiming import MOST_AT_ONCE, Room, claim
from asynctasq.drivers.sqlite.codec import json_list
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.session import Session
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
        note_call(session, lease)  # first, because its own leases may reveal an outage
        # Before the upkeep, so that its own leases are not reclaimed.
        known = session.row(_SQL["renew_if_known"], renewal)
        owner: int | None = None if known is None else known[0]
        ready = self._look(session, keys, lease)
        deliveries: list[Delivery] = []
        room = Room()
        damaged = 0
        for key in ready:
            name = keys[key]
            end = len(deliveries) + min(self.queues[name], self.limit - len(deliveries))
            while len(deliveries) < end and damaged < MOST_AT_ONCE:
                wanted = min(end - len(deliveries), MOST_AT_ONCE)
                taken = claim(session, key, name, wanted, room)
                damaged += taken.damaged
                if taken.deliveries:
                    if owner is None:
                        owner = session.rows(_SQL["renew_by_reserve"], renewal)[0][0]
                    session.run(_SQL["lease"], {"owner": owner, "taken": str(taken.numbers)})
                    deliveries += taken.deliveries
                    room.fill(taken.size)
                if taken.is_full:
                    return self._delivered(session, deliveries)
                if len(taken.deliveries) + taken.damaged < wanted:
                    break
        return self._delivered(session, deliveries)

    def _delivered(self, session: Session, deliveries: list[Delivery]) -> list[Delivery]:
        if not session.must_not_run_twice and any(
            delivery.message.max_lost == 0 for delivery in deliveries
        ):
            session.must_not_run_twice = True
            raise BatchMismatch  # once more, synced: not even a power failure may undo these leases
        return deliveries

    def _look(self, session: Session, keys: Mapping[int, str], lease: int) -> list[int]:
        """Return the queues that have ready messages, after all upkeep that is due."""
        parameters = {"queues": json_list(keys), "dead_since": dead_since(session)}
        due, ended, ready = session.rows(_SQL["look"], parameters)[0]
        reclaims = not note_call(session, lease, leases_ended=bool(ended))
        if due or (ended and reclaims) or must_count_dead(session):
            upkeep(session, reclaims=reclaims)
            _, _, ready = session.rows(_SQL["look"], parameters)[0]
        found: list[int] = orjson.loads(ready)
        return found


@record
class Extend:
    """The operation behind `Driver.extend`."""

    owner: str
    leases: Sequence[Lease]
    lease: float
    search: StraySearch

    def __call__(self, session: Session) -> list[LeaseState]:
        span = micros(self.lease)
        is_paused = note_call(session, span, leases_ended=True)
        row = session.row(
            _SQL["renew_by_extend"], {"owner": self.owner, "deadline": session.now + span}
        )
        if row is None:
            return [LeaseState.LOST] * len(self.leases)
        held: dict[tuple[bytes, int | str], int] = {}
        leased_at: dict[tuple[bytes, int | str], int] = {}
        found = session.rows(_SQL["held"], {"owner": row[0]})[0][0]
        for n, message_id, token, reserved_at in orjson.loads(found):
            lease = (bytes.fromhex(message_id), token)
            held[lease], leased_at[lease] = n, reserved_at
        named = {(lease.id, lease.token) for lease in self.leases}
        strays = [] if is_paused else self.search.strays(leased_at, session.now, named)
        if strays:
            unnamed = [held[lease] for lease in strays]
            session.rows(_SQL["give_back"], {"taken": json_list(unnamed), "counted": False})
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
    """The answer to a waiting worker: whether messages are ready, and when to look again."""

    ready: bool
    next_event: int
    """When a message falls due or a lease ends next, in microseconds since the Unix epoch."""


def look_for_work(session: Session, queues: Sequence[str]) -> WorkAhead:
    """Return whether a reserve from `queues` would find a message, and when it may next."""
    row = session.rows(_SQL["watch_work"], {"queues": session.queue_list(queues), "never": NEVER})[
        0
    ]
    return WorkAhead(bool(row[0]), row[1] if type(row[1]) is int else NEVER)  # if all are damaged
