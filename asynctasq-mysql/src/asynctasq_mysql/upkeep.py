"""Upkeep: due messages, ended leases, expired messages, and records whose time is over."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from asynctasq.contracts.capabilities import News
from asynctasq.driverkit.times import micros
from asynctasq.message import State
from asynctasq.records import record
from asynctasq.settlement import Reason
from asynctasq_mysql.clients import Row, Wire
from asynctasq_mysql.keys import LEAST
from asynctasq_mysql.rows import task_of
from asynctasq_mysql.statements import json_of, json_rows
from asynctasq_mysql.store import Store, name_bytes, name_text

BOUND = 5_000
"""Messages that one reserve moves at most for each kind of upkeep, so that no call takes long."""
FORGET_INTERVAL = 250_000
"""Microseconds between two looks of a driver for records whose time is over. No call shows them until then."""


@record
class Due:
    """The kinds of upkeep that are due."""

    messages: bool
    """Scheduled messages are due, or waiting ones have expired."""
    leases: bool
    """Leases of other owners have ended."""
    forget: bool
    """Records are past their time."""
    repair: bool
    """The mark of the last call is old: look for damage, too."""


class Move(NamedTuple):
    """A message that upkeep moved, for the news of it."""

    row: Row
    """A row that begins with the ID, the queue, the profile, the attempts and the lost leases."""
    state: State
    reason: Reason | None
    owner: str | None


class Moved:
    """The messages that a piece of upkeep moves, by what becomes of them."""

    def __init__(self) -> None:
        self.ready: list[bytes] = []
        self.lost: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.news: list[Move] = []

    def take_back(
        self,
        rows: Sequence[Row],
        *,
        counted: bool,
        owner: str | None = None,
        owners: Mapping[bytes, str] = MappingProxyType({}),
    ) -> None:
        """Decide about leases that have ended: of one owner, or of those named by message."""
        for row in rows:
            message_id, _, _, _, lost, max_lost, cancelling = row
            owner = owners.get(bytes(message_id), owner)
            if cancelling:
                self.cancelled.append(bytes(message_id))
                self.news.append(Move(row, State.CANCELLED, None, owner))
            elif counted and lost >= max_lost:
                self.lost.append(bytes(message_id))
                self.news.append(Move(row, State.DEAD, Reason.LOST, owner))
            else:
                self.ready.append(bytes(message_id))
                self.news.append(Move(row, State.READY, None, owner))

    def texts(self, store: Store, now: int, *, counted: bool) -> list[str]:
        """Return the statements that move them."""
        sql, namespace = store.sql.upkeep, store.namespace
        texts = []
        if self.ready:
            ids = json_of(sorted(self.ready))
            texts.append(sql["give_back"](ids=ids, namespace=namespace, counted=counted))
        if self.lost:
            texts.append(kill(store, self.lost, Reason.LOST, now, counted=True))
        if self.cancelled:
            ids = json_of(sorted(self.cancelled))
            texts.append(sql["cancel_leased"](ids=ids, namespace=namespace, now=now, least=LEAST))
        return texts


def kill(store: Store, ids: Sequence[bytes], reason: Reason, now: int, *, counted: bool) -> str:
    """Return the statement that makes dead letters of messages."""
    return store.sql.upkeep["kill"](
        ids=json_of(sorted(ids)),
        namespace=store.namespace,
        reason=reason.value.encode(),
        now=now,
        counted=counted,
    )


async def report(store: Store, moved: Sequence[Move], *, counted: bool) -> None:
    """Keep the news of messages that were moved, once their transaction is committed."""
    if not moved:
        return
    names = await store.names(row[1] for row, *_ in moved)
    for row, state, reason, owner in moved:
        lost = row[4] + (
            1 if counted and state is not State.CANCELLED and reason is not Reason.EXPIRED else 0
        )
        store.news.append(
            News(
                bytes(row[0]),
                names.get(row[1], ""),
                task_of(row[2]),
                state,
                reason,
                row[3],
                lost,
                owner,
            )
        )
        store.dead_since_prune += state is State.DEAD


async def begin_moves(
    wire: Wire, store: Store, owner: str, *, reclaims: bool
) -> tuple[list[Move], list[str]] | None:
    """Begin a transaction that moves a bounded number of messages for which time has come.

    Args:
        wire: the connection.
        store: the store.
        owner: who calls; its own leases are left alone.
        reclaims: False to leave the leases of all others alone, too.

    Returns:
        The moves, and the statements that make them. None, and no transaction, if another worker is at it.
    """
    sql, namespace, offset = store.sql.upkeep, store.namespace, store.offset
    name, begin = name_bytes(owner), store.hints.since
    reclaiming = [
        sql[each](offset, namespace=namespace, owner=name, since=begin, bound=BOUND)
        for each in (("ended_owners", "ended_leases") if reclaims else ())
    ]
    _, lock, due, expired, *ended = await wire.run(
        "START TRANSACTION",
        sql["try_lock"](offset, namespace=namespace),
        sql["due"](offset, namespace=namespace, since=begin, bound=BOUND),
        sql["expired"](offset, namespace=namespace, since=begin, bound=BOUND),
        *reclaiming,
    )
    if not lock.rows:
        await wire.run("ROLLBACK")
        return None
    now: int = lock.rows[0][0]
    due_rows, late = await _locked(wire, store, now, {2: due.rows, 3: expired.rows})
    late += [
        row for row in due_rows if row[6] is not None and not row[7] and row[5] + row[6] <= now
    ]
    promoted = {bytes(row[0]) for row in due_rows} - {bytes(row[0]) for row in late}
    texts = []
    if promoted:
        texts.append(sql["promote"](ids=json_of(sorted(promoted)), namespace=namespace))
    if late:
        gone = [bytes(row[0]) for row in late]
        texts.append(kill(store, gone, Reason.EXPIRED, now, counted=False))
    news = [Move(row, State.DEAD, Reason.EXPIRED, None) for row in late]
    if ended and lock.rows[0][1] <= now:  # another worker may have begun a pause meanwhile
        owners, leases = ended
        moved = await _reclaim(wire, store, now, owners.rows, leases.rows)
        texts += moved.texts(store, now, counted=True)
        if owners.rows:
            texts.append(sql["forget_owners"](owners=json_rows(row[:1] for row in owners.rows)))
        news += moved.news
    return news, texts


async def _locked(
    wire: Wire, store: Store, until: int, found: Mapping[int, Sequence[Row]]
) -> list[list[Row]]:
    """Lock messages by the alarm for which they were found; return those that still have it, and are free."""
    in_order = [sorted(rows, key=lambda row: bytes(row[0])) for rows in found.values()]
    texts = [
        store.sql.upkeep["lock"](
            ids=json_of(bytes(row[0]) for row in rows),
            namespace=store.namespace,
            alarm=alarm,
            until=until,
        )
        for alarm, rows in zip(found, in_order, strict=True)
        if rows
    ]
    answers = iter(await wire.run(*texts) if texts else ())
    return [[rows[row[0] - 1] for row in next(answers).rows] if rows else [] for rows in in_order]


async def _reclaim(
    wire: Wire, store: Store, now: int, owners: Sequence[Row], leases: Sequence[Row]
) -> Moved:
    """Lock owners whose leases have ended, then those leases, and decide about them."""
    moved = Moved()
    if not owners:
        return moved
    named = json_rows(sorted((bytes(row[0]), row[1]) for row in leases))
    free, locked = await wire.run(
        store.sql.upkeep["lock_owners"](owners=json_rows(row[:1] for row in owners), now=now),
        store.sql.lease["lock_leases"](leases=named, namespace=store.namespace),
    )
    ended = {row[0] for row in free.rows}
    names = {bytes(row[0]): name_text(bytes(row[3])) for row in leases if row[2] in ended}
    rows = [row for row in locked.rows if bytes(row[0]) in names]
    moved.take_back(rows, counted=True, owners=names)
    return moved


async def forget(wire: Wire, store: Store) -> None:
    """Delete records whose time is over: first their keys, then the messages."""
    sql, namespace, offset = store.sql.upkeep, store.namespace, store.offset
    limit = store.settings.dead_letter_limit
    ttl, begin = micros(store.settings.dead_letter_ttl), store.hints.since
    counts = store.dead_since_prune > limit // 100
    surplus = [sql["surplus_dead"](namespace=namespace, bound=BOUND, kept=limit)] if counts else []
    _, lock, outcomes, old, keys, workers, *more = await wire.run(
        "START TRANSACTION",
        sql["try_lock"](offset, namespace=namespace),
        sql["outcomes"](offset, namespace=namespace, since=begin, bound=BOUND),
        sql["old_dead"](offset, namespace=namespace, since=begin, bound=BOUND, dead_letter_ttl=ttl),
        sql["ended_keys"](offset, namespace=namespace, since=begin, bound=BOUND),
        sql["ended_workers"](offset, namespace=namespace, since=begin, bound=100),
        *surplus,
    )
    if not lock.rows:
        await wire.run("ROLLBACK")
        return
    now: int = lock.rows[0][0]
    dead = {bytes(row[0]): row for row in (*old.rows, *(more[0].rows if more else ()))}
    locked = await _locked(wire, store, now, {7: outcomes.rows, 6: list(dead.values())})
    gone = {bytes(row[0]): row[1] for rows in locked for row in rows}
    texts = []
    held = [(bytes(key), message_id) for message_id, key in gone.items() if key is not None]
    if held:
        texts.append(sql["forget_keys_of"](rows=json_rows(sorted(held)), namespace=namespace))
    if gone:
        texts.append(sql["forget"](ids=json_of(sorted(gone)), namespace=namespace))
    if keys.rows:
        hashes = json_of(sorted(bytes(row[0]) for row in keys.rows))
        texts.append(sql["forget_keys"](hashes=hashes, namespace=namespace, now=now))
    texts += [
        sql["forget_worker"](namespace=namespace, id=bytes(row[0]), now=now) for row in workers.rows
    ]
    await wire.run(*texts, "COMMIT")
    if counts and len(more[0].rows) < BOUND:
        store.dead_since_prune = 0
