"""The mark of the last call of a worker, by which an outage is noticed."""

import math

from asynctasq.driverkit.outages import LONGEST_GAP, UpkeepMark, next_mark, set_back_by
from asynctasq_mysql.clients import Wire
from asynctasq_mysql.store import Store

SECOND = 1e6
"""In the unit of stored times."""


def stored_mark(at: int | None, paused_until: int | None) -> UpkeepMark | None:
    """Return the mark as the store has it; None if it has none yet."""
    return None if not at else UpkeepMark(at, paused_until or 0)


def needs_mark(mark: UpkeepMark | None, *, now: int, lease: int) -> bool:
    """Return whether a call has to write the mark."""
    return mark is None or next_mark(mark, now=now, lease=lease, second=SECOND) is not mark


def is_refresh(mark: UpkeepMark | None, *, now: int, lease: int) -> bool:
    """Return whether a call would only write a later time: there is neither an outage nor a jump of the clock."""
    return mark is not None and 0 <= now - mark.at <= min(lease / 2, LONGEST_GAP * SECOND)


async def write_mark(wire: Wire, store: Store, lease: int) -> UpkeepMark:
    """Write the mark, in a transaction, unless another worker is at it; return it.

    A clock that was set back moves the ends of all leases.
    """
    sql, namespace = store.sql.lease, store.namespace
    look = sql["mark"](store.offset, namespace=namespace)
    [found] = await wire.run(look)
    if not found.rows:
        _, found = await wire.run(sql["add_mark"](namespace=namespace), look)
    _, lock, answer, deadlines, leases = await wire.run(
        "START TRANSACTION",
        sql["lock_mark"](namespace=namespace),
        look,
        sql["deadlines"](namespace=namespace),
        sql["any_leases"](namespace=namespace),
    )
    now, at, paused_until = answer.rows[0]
    mark = stored_mark(at, paused_until)
    back = int(set_back_by(mark, now))
    ends = [row[0] - back if row[0] > now else row[0] for row in deadlines.rows]
    new = next_mark(
        mark,
        now=now,
        lease=lease,
        any_leases=mark is None and leases.rows[0][0] is not None,
        deadlines=lambda: ends,
        second=SECOND,
    )
    if not lock.rows:  # another worker writes such a mark at this moment
        await wire.run("ROLLBACK")
        return new
    texts = []
    if back:
        texts += [
            sql[name](namespace=namespace, back=back, now=now)
            for name in ("move_deadlines", "move_workers")
        ]
    if new is not mark:
        at, until = round(new.at), math.ceil(new.paused_until)
        texts.append(sql["set_mark"](namespace=namespace, at=at, paused_until=until))
    await wire.run(*texts, "COMMIT")
    return new
