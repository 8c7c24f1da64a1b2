"""Reads of the memory driver: counts, snapshots, dead letters, outcomes, workers."""

from collections.abc import Iterator, Sequence

from asynctasq.contracts.capabilities import (
    DeadLetter,
    Outcome,
    Page,
    QueueInfo,
    Snapshot,
    WorkerInfo,
)
from asynctasq.contracts.driver import QueueCounts
from asynctasq.driverkit.id_parts import check_id_part
from asynctasq.driverkit.numbers import bounded
from asynctasq.driverkit.selection import matches_error, matches_task
from asynctasq.drivers.memory.brokered import StateStore
from asynctasq.drivers.memory.entry import DEAD, LEASED, READY, SCHEDULED, Entry, Owner
from asynctasq.drivers.memory.listing import (
    Position,
    collect,
    cursor_of,
    groups_from,
    not_a_cursor,
    position_of,
)
from asynctasq.drivers.memory.order import Group
from asynctasq.drivers.memory.store import Store
from asynctasq.message import State
from asynctasq.settlement import Reason

_NEWEST: Position = (0, 1 << 62)
_STATES = (SCHEDULED, READY, LEASED, DEAD)
_NUMBERS = frozenset(map(str, range(len(_STATES))))


def count(store: Store, name: str, *, bound: int | None) -> QueueCounts:
    """Return how many messages of a queue are in each state."""
    store.promote(store.now())
    queue = store.queues.get(name)
    if queue is None:
        return QueueCounts()
    return QueueCounts(
        bounded(queue.ready, bound),
        bounded(queue.scheduled, bound),
        0,
        bounded(queue.leased, bound),
        bounded(queue.dead, bound),
    )


def queues(store: Store, *, bound: int | None) -> list[QueueInfo]:
    """Return every queue that holds a message or is paused."""
    store.promote(store.now())
    infos = []
    for name in sorted(store.queues.keys() | store.paused.keys()):
        queue = store.queue(name)
        paused_at = store.paused.get(name)
        if paused_at is not None or queue.ready or queue.scheduled or queue.leased or queue.dead:
            infos.append(
                QueueInfo(
                    name=name,
                    ready=bounded(queue.ready, bound),
                    scheduled=bounded(queue.scheduled, bound),
                    blocked=0,
                    leased=bounded(queue.leased, bound),
                    dead=bounded(queue.dead, bound),
                    paused=paused_at is not None,
                    oldest_ready_at=queue.oldest_ready_at(),
                    paused_at=paused_at,
                )
            )
    return infos


def find(store: Store, ids: Sequence[bytes]) -> list[Snapshot | None]:
    """Return messages that wait, run or are dead."""
    store.promote(store.now())
    entries = (store.entries.get(message_id) for message_id in ids)
    return [None if entry is None else _snapshot(entry) for entry in entries]


def known(store: Store, ids: Sequence[bytes]) -> list[bool]:
    """Return whether messages wait, run or are dead."""
    return [message_id in store.entries for message_id in ids]


def browse(
    store: Store,
    state: State,
    *,
    queue: str | None,
    task: str | None,
    owner: str | None,
    since: float | None,
    until: float | None,
    limit: int,
    cursor: str | None,
) -> Page[Snapshot]:
    """Return a page of messages in one state.

    Waiting messages are grouped by queue and task, running ones by owner. Within a group they are in the order
    in which they came to the state.
    """
    store.promote(store.now())

    def wanted(entry: Entry) -> bool:
        return (
            (queue is None or entry.queue.name == queue)
            and (task is None or matches_task(entry.message.task, task))
            and (owner is None or (entry.owner is not None and entry.owner.name == owner))
            and (since is None or entry.enqueued_at >= since)
            and (until is None or entry.enqueued_at < until)
        )

    listings = _listings(store, state, position_of(cursor), queue=queue, task=task, owner=owner)
    found, position = collect(listings, wanted, limit=limit)
    return Page([_snapshot(entry) for entry in found], cursor_of(position))


def match_ids(store: Store, part: str, *, limit: int, cursor: str | None) -> Page[bytes]:
    """Return a page of the ids that begin or end with a part."""
    check_id_part(part)
    store.promote(store.now())
    number, _, rest = ("0", "", "") if cursor is None else cursor.partition(".")
    if number not in _NUMBERS:
        raise not_a_cursor(number)
    index = int(number)
    listings = _listings(
        store, _STATES[index], position_of(rest or None), queue=None, task=None, owner=None
    )
    found, position = collect(
        listings, lambda entry: store.has_part(entry.message.id, part), limit=limit
    )
    ids = [entry.message.id for entry in found]
    if position is not None:
        return Page(ids, f"{index}.{cursor_of(position)}")
    return Page(ids, f"{index + 1}" if index + 1 < len(_STATES) else None)


def _listings(
    store: Store,
    state: State,
    after: Position,
    *,
    queue: str | None,
    task: str | None,
    owner: str | None,
) -> Iterator[tuple[int, Iterator[tuple[int, Entry]]]]:
    """Iterate over the listings of a state that may contain wanted messages, by number."""
    start, place = after
    if state is DEAD and owner is None:
        yield 0, store.dead.after(place)
    elif state is LEASED:
        one = None if owner is None else store.owners.get(owner)
        owners = list(store.owners.values()) if owner is None else [] if one is None else [one]
        for each in owners:
            if each.number >= start:
                yield each.number, _leases(each, place if each.number == start else 0)
    elif state in (READY, SCHEDULED) and owner is None:
        for group in groups_from(_groups(store, queue, task), start):
            if task is None or matches_task(group.task, task):
                listing = group.ready if state is READY else group.scheduled
                yield group.number, listing.after(place if group.number == start else 0)


def _leases(owner: Owner, after: int) -> Iterator[tuple[int, Entry]]:
    """Iterate over the leases of an owner after a place."""
    for entry in owner.leases.values():
        if entry.place > after:
            yield entry.place, entry


def _groups(store: Store, queue: str | None, task: str | None) -> Sequence[Group]:
    """Return groups by number: all of a queue, all of a task, or all."""
    if queue is not None:
        return list(store.queues[queue].groups.values()) if queue in store.queues else []
    if task is not None and not task.endswith("*"):
        return store.groups_of_task.get(task, [])
    return store.groups


def dead_letters(
    store: Store,
    *,
    queue: str | None,
    task: str | None,
    reason: Reason | None,
    error: str | None,
    limit: int,
    cursor: str | None,
) -> Page[DeadLetter]:
    """Return a page of dead letters, newest first."""

    def wanted(entry: Entry) -> bool:
        return (
            (queue is None or entry.queue.name == queue)
            and (task is None or matches_task(entry.message.task, task))
            and (reason is None or entry.reason is reason)
            and (error is None or matches_error(entry.error, error))
        )

    _, before = _NEWEST if cursor is None else position_of(cursor)
    found, position = collect([(0, store.dead.before(before))], wanted, limit=limit)
    return Page([_dead_letter(entry) for entry in found], cursor_of(position))


def results(store: Store, ids: Sequence[bytes]) -> list[Outcome | None]:
    """Return the outcomes of messages; None for a message that has not ended or is unknown."""
    now = store.now()
    return [_result(store, message_id, now) for message_id in ids]


def progress(store: StateStore, ids: Sequence[bytes]) -> list[bytes | None]:
    """Return the latest report of each message."""
    entries = (store.entries.get(message_id) for message_id in ids)
    return [
        store.noted_progress(message_id) if entry is None else entry.progress
        for message_id, entry in zip(ids, entries, strict=True)
    ]


def workers(store: Store) -> list[WorkerInfo]:
    """Return the workers whose heartbeat has not expired, by ID."""
    now = store.now()
    store.workers = {name: kept for name, kept in store.workers.items() if kept[1] > now}
    return [store.workers[name][0] for name in sorted(store.workers)]


def _result(store: Store, message_id: bytes, now: float) -> Outcome | None:
    entry = store.entries.get(message_id)
    if entry is None:
        return store.outcomes.find(message_id, now)
    if entry.state is not State.DEAD:
        return None
    return Outcome(
        message_id, State.DEAD, entry.died_at, None, entry.reason, entry.error, entry.about
    )


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
        leased_at=entry.leased_at if entry.state is LEASED else None,
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
