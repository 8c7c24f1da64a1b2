"""Upkeep: due messages, ended leases, expired messages, and records whose time is over."""

import math
from collections.abc import Sequence

from asynctasq.contracts.capabilities import NEWS_KEPT, News
from asynctasq.driverkit.outages import UpkeepMark, next_mark, set_back_by
from asynctasq.driverkit.packing import salvage
from asynctasq.driverkit.sql import STATES
from asynctasq.driverkit.times import micros
from asynctasq.drivers.sqlite.codec import UNREACHABLE
from asynctasq.drivers.sqlite.damage import reject_without_queue, reject_without_state
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_bytes, as_count, as_id
from asynctasq.drivers.sqlite.session import Row, Session
from asynctasq.message import State
from asynctasq.settlement import Reason

RESERVED_STATES = frozenset({1, *range(9, 16)})
"""States that a later release may store in the file while this one still runs; see `schema_2.sql`."""
BOUND = 5_000
"""Messages that one reserve moves at most for each kind of upkeep, so that no call takes long."""

SECOND = 1e6
"""In the unit of stored times."""

REPAIRED_AT_ONCE = 100
"""Messages without a queue or a state of which one call makes dead letters."""

_SQL = queries("upkeep")
_LEASE = queries("lease")
_BROKERED = queries("brokered")


def dead_since(session: Session) -> int:
    """Return the time up to which dead letters have been kept long enough."""
    return session.now - micros(session.settings.dead_letter_ttl)


def must_count_dead(session: Session) -> bool:
    """Return whether enough messages died to make counting them worth its cost; at most 1 % are kept too long."""
    return session.dead_since_prune > session.settings.dead_letter_limit // 100


def note_call(session: Session, lease: int, *, leases_ended: bool = False) -> bool:
    """Record that a worker called; return whether ended leases must be left alone.

    Args:
        lease: microseconds.
        leases_ended: whether the answer matters. Otherwise a mark that this session has seen a moment
            ago saves reading it again.
    """
    seen = session.mark
    if (
        not leases_ended
        and seen is not None
        and next_mark(seen, now=session.now, lease=lease, second=SECOND) is seen
    ):
        return seen.is_paused(session.now)
    mark = _read_mark(session)
    any_leases = mark is None and bool(session.rows(_LEASE["any_leases"], {})[0][0])
    back = set_back_by(mark, session.now)
    if back:
        for name in ("move_deadlines", "move_workers"):
            session.run(_SQL[name], {"back": int(back), "never": UNREACHABLE})
    new = next_mark(
        mark,
        now=session.now,
        lease=lease,
        any_leases=any_leases,
        deadlines=lambda: [end for (end,) in session.rows(_SQL["deadlines"], {})],
        second=SECOND,
    )
    if new is not mark:
        session.run(_LEASE["set_mark"], {"at": new.at, "paused_until": math.ceil(new.paused_until)})
        _repair(session)
        session.may_shrink = True
    session.mark = new
    return new.is_paused(session.now)


def _read_mark(session: Session) -> UpkeepMark | None:
    row = session.row(_LEASE["mark"], {})
    if row is None or type(row[0]) is not int or type(row[1]) is not int:
        return None
    return UpkeepMark(*row)


def _repair(session: Session) -> None:
    """Find messages that damage would strand: leases that never end, and messages that are never due.

    This runs each time the mark is written: a few times in the length of a lease.
    """
    bound = {"bound": BOUND, "never": UNREACHABLE}
    session.run(_SQL["end_damaged_owners"], bound)
    _take_back(session, session.rows(_SQL["strays"], bound)[0][0])
    session.run(_SQL["due_never"], bound)
    session.run(_SQL["keep_unended"], bound)
    reject_without_queue(session, REPAIRED_AT_ONCE)
    _look_at_states(session)


def _look_at_states(session: Session) -> None:
    """Make dead letters of messages in no state. Each call looks at some rows, one piece after the other."""
    rows = session.rows(_SQL["states"], {"from": session.looked_at, "bound": REPAIRED_AT_ONCE})
    session.looked_at = rows[-1][0] if len(rows) == REPAIRED_AT_ONCE else 0
    lost = [
        n
        for n, state, namespace in rows
        if type(namespace) is not int
        or (namespace == session.namespace and state not in STATES and state not in RESERVED_STATES)
    ]
    reject_without_state(session, lost)


def upkeep(session: Session, *, reclaims: bool) -> None:
    """Do a bounded piece of all upkeep that is due; reclaim ended leases only if `reclaims` is set."""
    bound = {"bound": BOUND}
    session.run(_SQL["promote"], bound)
    if reclaims:
        _reclaim(session)
    expired = session.rows(_SQL["expire"], bound)
    session.dead_since_prune += len(expired)
    _report(session, expired, Reason.EXPIRED)
    session.run(_SQL["forget_outcomes"], bound)
    session.run(_SQL["forget_keys"], {})
    session.run(_SQL["forget_workers"], {})
    session.run(_BROKERED["forget_facts"], {"never": UNREACHABLE, **bound})
    session.run(_SQL["forget_old_dead"], {"dead_since": dead_since(session), **bound})
    if must_count_dead(session):
        kept = session.settings.dead_letter_limit
        if session.run(_SQL["forget_surplus_dead"], {"kept": kept, **bound}) < BOUND:
            session.dead_since_prune = 0


def _reclaim(session: Session) -> None:
    """Reclaim messages of owners whose leases have ended."""
    _take_back(session, session.rows(_SQL["ended_leases"], {"bound": BOUND})[0][0])
    session.run(_SQL["forget_owners"], {})


def end_leases(session: Session, owner: str) -> bool:
    """End a bounded number of an owner's leases; return whether there are no more."""
    row = session.row(_LEASE["owner"], {"owner": owner})
    if row is None:
        return True
    parameters = {"owner": row[0], "bound": BOUND}
    if _take_back(session, session.rows(_LEASE["leases_of_owner"], parameters)[0][0]) == BOUND:
        return False
    session.run(_LEASE["delete_owner"], parameters)
    return True


def _take_back(session: Session, leased: str) -> int:
    """Count the leases of some rows as lost; return how many rows there are."""
    if leased == "[]":
        return 0
    lost = session.rows(_LEASE["give_back"], {"taken": leased, "counted": True})
    session.dead_since_prune += len(lost)
    _report(session, lost, Reason.LOST)
    return len(lost)


def _report(session: Session, rows: Sequence[Row], reason: Reason) -> None:
    """Report messages that upkeep moved; `reason` is that of those which are dead now."""
    for message_id, queue, profile, stored, attempt, lost, owner in rows[:NEWS_KEPT]:
        state = STATES.get(stored, State.DEAD)
        session.report(
            News(
                as_id(message_id),
                session.queue_name(queue),
                salvage(b"", "", as_bytes(profile), b"").task,
                state,
                reason if state is State.DEAD else None,
                as_count(attempt),
                as_count(lost),
                owner,
            )
        )
