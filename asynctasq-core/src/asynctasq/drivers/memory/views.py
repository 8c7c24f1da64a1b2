"""What the memory driver shows of its store: counts, snapshots, dead letters, outcomes, workers."""

from collections.abc import Sequence
from heapq import nsmallest
from itertools import islice

from asynctasq.contracts.capabilities import (
    DeadLetter,
    Outcome,
    Page,
    QueueInfo,
    Snapshot,
    WorkerInfo,
)
from asynctasq.contracts.driver import BYTES_AT_ONCE, QueueCounts
from asynctasq.drivers.memory.entry import Entry
from asynctasq.drivers.memory.store import Store
from asynctasq.errors import DriverError
from asynctasq.message import State


def count(store: Store, name: str) -> QueueCounts:
    """How many messages of a queue are in each state."""
    store.promote(store.now())
    queue = store.queues.get(name)
    if queue is None:
        return QueueCounts()
    return QueueCounts(queue.ready, queue.scheduled, 0, queue.leased, queue.dead)


def queues(store: Store) -> list[QueueInfo]:
    """Every queue that holds something or is paused."""
    store.promote(store.now())
    infos = []
    for name in sorted(store.queues.keys() | store.paused):
        queue = store.queue(name)
        paused = name in store.paused
        if paused or queue.ready or queue.scheduled or queue.leased or queue.dead:
            infos.append(
                QueueInfo(
                    name=name,
                    ready=queue.ready,
                    scheduled=queue.scheduled,
                    blocked=0,
                    leased=queue.leased,
                    dead=queue.dead,
                    paused=paused,
                    oldest_ready_at=queue.oldest_ready_at(),
                )
            )
    return infos


def find(store: Store, ids: Sequence[bytes]) -> list[Snapshot | None]:
    """Messages that live or are dead."""
    store.promote(store.now())
    entries = (store.entries.get(message_id) for message_id in ids)
    return [None if entry is None else _snapshot(entry) for entry in entries]


def browse(
    store: Store,
    state: State,
    *,
    queue: str | None,
    since: float | None,
    until: float | None,
    limit: int,
    cursor: str | None,
) -> Page[Snapshot]:
    """A page of messages in one state by time of enqueue, then id."""
    store.promote(store.now())
    after = None if cursor is None else _browse_position(cursor)

    def wanted(entry: Entry) -> bool:
        return (
            entry.state is state
            and (queue is None or entry.queue.name == queue)
            and (since is None or entry.enqueued_at >= since)
            and (until is None or entry.enqueued_at < until)
            and (after is None or _enqueue_order(entry) > after)
        )

    found = nsmallest(limit + 1, filter(wanted, store.entries.values()), key=_enqueue_order)
    page = found[: min(limit, _bounded(found))]
    more = len(found) > len(page) > 0
    return Page(
        [_snapshot(entry) for entry in page],
        f"{page[-1].enqueued_at!r},{page[-1].message.id.hex()}" if more else None,
    )


def dead_letters(
    store: Store, *, queue: str | None, limit: int, cursor: str | None
) -> Page[DeadLetter]:
    """A page of dead letters, newest first."""
    before = None if cursor is None else _death_position(cursor)
    wanted = (
        entry
        for entry in reversed(store.dead.values())
        if (before is None or entry.death < before) and (queue is None or entry.queue.name == queue)
    )
    found = list(islice(wanted, limit + 1))
    page = found[: min(limit, _bounded(found))]
    more = len(found) > len(page) > 0
    return Page([_dead_letter(entry) for entry in page], str(page[-1].death) if more else None)


def results(store: Store, ids: Sequence[bytes]) -> list[Outcome | None]:
    """How messages ended; None for those that have not, or are not known."""
    now = store.now()
    return [_result(store, message_id, now) for message_id in ids]


def progress(store: Store, ids: Sequence[bytes]) -> list[bytes | None]:
    """The last word of each."""
    entries = (store.entries.get(message_id) for message_id in ids)
    return [None if entry is None else entry.progress for entry in entries]


def workers(store: Store) -> list[WorkerInfo]:
    """Those that live, by id."""
    now = store.now()
    store.workers = {name: kept for name, kept in store.workers.items() if kept[1] > now}
    return [store.workers[name][0] for name in sorted(store.workers)]


def _result(store: Store, message_id: bytes, now: float) -> Outcome | None:
    entry = store.entries.get(message_id)
    if entry is None:
        return store.outcomes.find(message_id, now)
    if entry.state is not State.DEAD:
        return None
    return Outcome(message_id, State.DEAD, entry.died_at, None, entry.reason, entry.error)


def _bounded(entries: Sequence[Entry]) -> int:
    """Return how many of them have no more than `BYTES_AT_ONCE` bytes together; at least one."""
    size = 0
    for count, entry in enumerate(entries):
        size += len(entry.message.body)
        if size > BYTES_AT_ONCE and count:
            return count
    return len(entries)


def _snapshot(entry: Entry) -> Snapshot:
    return Snapshot(
        message=entry.message,
        state=entry.state,
        attempt=entry.attempt,
        lost=entry.lost,
        enqueued_at=entry.enqueued_at,
        due_at=entry.due_at,
        owner=None if entry.owner is None else entry.owner.name,
        cancelling=entry.cancelling,
        error=entry.error,
    )


def _dead_letter(entry: Entry) -> DeadLetter:
    return DeadLetter(
        message=entry.message,
        reason=entry.reason,
        error=entry.error,
        attempts=entry.attempt,
        lost=entry.lost,
        enqueued_at=entry.enqueued_at,
        died_at=entry.died_at,
    )


def _enqueue_order(entry: Entry) -> tuple[float, bytes]:
    return (entry.enqueued_at, entry.message.id)


def _browse_position(cursor: str) -> tuple[float, bytes]:
    enqueued_at, _, message_id = cursor.partition(",")
    try:
        return (float(enqueued_at), bytes.fromhex(message_id))
    except ValueError as error:
        raise _bad_cursor(cursor) from error


def _death_position(cursor: str) -> int:
    try:
        return int(cursor)
    except ValueError as error:
        raise _bad_cursor(cursor) from error


def _bad_cursor(cursor: str) -> DriverError:
    return DriverError(f"{cursor!r} is no cursor of this listing. Pass on the one of a `Page`.")
