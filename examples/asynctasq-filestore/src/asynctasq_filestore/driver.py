"""The driver of part one, with results, dead letters and listings."""

import asyncio
import fcntl
import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from asynctasq import driverkit as kit
from asynctasq.contracts import (
    EXACT_STORE,
    Cancelled,
    Capability,
    Complete,
    DeadLetter,
    Delivery,
    DriverDefaults,
    Enqueued,
    ErrorInfo,
    Fail,
    Lease,
    LeaseState,
    Message,
    Outcome,
    Page,
    QueueCounts,
    QueueInfo,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
    Snapshot,
    State,
)
from asynctasq_filestore.rows import (
    ENDED,
    STATES,
    Row,
    counts_of,
    dead_letter_of,
    is_dead,
    is_kept,
    outcome_of,
    page_of,
    queue_info_of,
    select,
    snapshot_of,
)

MONTH = 30 * 24 * 3600.0


class FileStoreDriver(DriverDefaults):
    """A driver whose store is the file at `path`. The namespaces in it see nothing of each other."""

    api_version = 2
    capabilities = EXACT_STORE | Capability.PRIORITY
    capabilities |= Capability.RESULTS | Capability.DEAD_LETTERS | Capability.INSPECT

    def __init__(self, path: str | Path, namespace: str = "asynctasq") -> None:
        self.path, self.namespace = Path(path).absolute(), namespace
        self.description, self.clock_offset = f"{self.path} ({namespace})", 0.0

    def clone(self) -> "FileStoreDriver":
        return FileStoreDriver(self.path, self.namespace)

    async def open(self) -> None:
        await self.count("")  # fails here, rather than later, if the file cannot be used

    async def close(self) -> None:
        """Do nothing: each call opens the file and closes it again."""

    @contextmanager
    def _file(self) -> Generator[tuple[dict[bytes, Row], kit.Outages, float], None, None]:
        """Yield our part of the file, and the time, to one caller at a time among all processes."""
        lock_path, new_path = self.path.with_suffix(".lock"), self.path.with_suffix(".new")
        with kit.store_errors(self.description, OSError), lock_path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self.path.read_text() if self.path.exists() else "{}"
            stored = json.loads(before)
            listed, mark = stored.get(self.namespace, ([], []))
            read = [Row(kit.unpack_message(bytes.fromhex(m)), *rest) for m, *rest in listed]
            rows, outages = {row.message.id: row for row in read}, kit.Outages(*mark)
            yield rows, outages, time.time() + self.clock_offset
            listed = [[*vars(row).values()] for row in rows.values()]
            stored[self.namespace] = (listed, outages.numbers)
            after = json.dumps(stored, default=lambda message: kit.pack_message(message).hex())
            if after != before:
                new_path.write_text(after)
                new_path.replace(self.path)  # a process killed here leaves the one or the other

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        with self._file() as (rows, _, now):
            answers = []
            for message in messages:
                kit.check_numbers(message)
                answers.append(Enqueued(message.id, created=message.id not in rows))
                rows.setdefault(message.id, Row(message, now, kit.due_time(message, now)))
            return answers

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        with self._file() as (rows, outages, now):
            may_reclaim = outages.note_call(now=now, lease=lease)
            for row in _leased_to(owner, rows):
                row.until = max(row.until, now + lease)
            _tidy_up(rows, now, may_reclaim=may_reclaim)
            ready = [row for row in rows.values() if row.state_at(now) == "ready"]
            ready.sort(key=lambda row: (-row.message.priority, row.due_at, row.message.id))
            taken = kit.choose(ready, queues, limit=limit)
            return [row.deliver(owner, now, lease) for row in taken]

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        with self._file() as (rows, _, now):
            return [_settle(rows.get(each.lease.id), each, now) for each in settlements]

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        with self._file() as (rows, outages, now):
            outages.note_call(now=now, lease=lease)
            owned = _leased_to(owner, rows)
            for row in owned:
                row.until = now + lease
                if row.leased_at <= now - lease and row.lease() not in leases:
                    row.state = "waiting"  # the answer of its reserve never arrived
            held = {row.lease() for row in owned}
            return [LeaseState.HELD if each in held else LeaseState.LOST for each in leases]

    async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
        with self._file() as (rows, _, now):
            queued = (row for row in rows.values() if row.message.queue == queue)
            return QueueCounts(*counts_of(queued, now, bound))

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        await asyncio.sleep(min(timeout, 0.1))  # a hint may come early, so to poll is enough

    async def results(self, ids: Sequence[bytes]) -> list[Outcome | None]:
        with self._file() as (rows, _, now):
            return [outcome_of(rows.get(each), now) for each in ids]

    async def known(self, ids: Sequence[bytes]) -> list[bool]:
        with self._file() as (rows, _, now):
            return [is_kept(rows.get(each), now) for each in ids]

    async def wait_results(self, ids: Sequence[bytes], *, timeout: float) -> None:
        await asyncio.sleep(min(timeout, 0.1))

    async def dead_letters(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        reason: Reason | None = None,
        error: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[DeadLetter]:
        with self._file() as (rows, _, now):
            found = [
                row
                for row in select(rows, "dead", now, queue, task)
                if (reason is None or row.reason == reason)
                and (error is None or kit.matches_error(row.error_info, error))
            ]
            page, after = page_of(found, lambda row: -row.ended_at, limit, cursor)
            return Page([dead_letter_of(row) for row in page], after)

    async def requeue(self, ids: Sequence[bytes]) -> list[bool]:
        with self._file() as (rows, _, now):
            return [_requeue(rows, each, now) for each in ids]

    async def requeue_edited(self, message: Message) -> bool:
        kit.check_numbers(message)
        with self._file() as (rows, _, now):
            return _requeue(rows, message.id, now, message)

    async def delete_dead(self, ids: Sequence[bytes]) -> list[bool]:
        with self._file() as (rows, _, now):
            return [is_dead(rows.get(each), now) and bool(rows.pop(each)) for each in ids]

    async def queues(self, *, bound: int | None = None) -> list[QueueInfo]:
        with self._file() as (rows, _, now):
            by_name: dict[str, list[Row]] = {}
            for row in rows.values():
                if is_kept(row, now):
                    by_name.setdefault(row.message.queue, []).append(row)
            return [queue_info_of(name, by_name[name], now, bound) for name in sorted(by_name)]

    async def find(self, ids: Sequence[bytes]) -> list[Snapshot | None]:
        with self._file() as (rows, _, now):
            found = (rows.get(each) for each in ids)
            return [snapshot_of(row, now) if row and is_kept(row, now) else None for row in found]

    async def match_ids(
        self, part: str, *, limit: int = 10, cursor: str | None = None
    ) -> Page[bytes]:
        return await kit.match_by_browsing(self, part, limit=limit, cursor=cursor)

    async def browse(
        self,
        state: State,
        *,
        queue: str | None = None,
        task: str | None = None,
        owner: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Snapshot]:
        name = next((name for name, each in STATES.items() if each is state), "")
        with self._file() as (rows, _, now):
            found = [
                row
                for row in select(rows, name, now, queue, task)
                if (owner is None or (row.state, row.owner) == ("leased", owner))
                and (since is None or row.enqueued_at >= since)
                and (until is None or row.enqueued_at < until)
            ]
            page, after = page_of(found, lambda row: row.enqueued_at, limit, cursor)
            return Page([snapshot_of(row, now) for row in page], after)


def _leased_to(owner: str, rows: dict[bytes, Row]) -> list[Row]:
    return [row for row in rows.values() if row.state == "leased" and row.owner == owner]


def _tidy_up(rows: dict[bytes, Row], now: float, *, may_reclaim: bool) -> None:
    """Reclaim ended leases, move expired messages to the dead letters, delete old outcomes."""
    for row in list(rows.values()):
        if row.state == "leased" and row.until <= now and may_reclaim:
            row.lost, row.state = row.lost + 1, "waiting"
            if row.lost > row.message.max_lost:
                _die(row, Reason.LOST, now)
        elif row.state_at(now) == "ready" and row.is_new and kit.is_too_late(row, now):
            _die(row, Reason.EXPIRED, now)
        elif row.state in {"dead", *ENDED} and row.until <= now:
            del rows[row.message.id]


def _die(row: Row, reason: Reason, now: float) -> None:
    row.state, row.reason, row.ended_at, row.until = "dead", reason.value, now, now + MONTH


def _settle(row: Row | None, ending: Settlement, now: float) -> Settled:
    if row is None or row.state != "leased" or row.lease() != ending.lease:
        return Settled.LOST
    if not kit.can_settle(ending):
        return Settled.REFUSED
    if isinstance(ending, Retry):
        row.state, row.due_at, row.mismatched_at = "waiting", now + ending.delay, None
        row.attempt, row.error = row.attempt + 1, _error(ending.error)
    elif isinstance(ending, Release):
        row.state, row.due_at = "waiting", now + ending.delay if ending.delay else row.due_at
        row.mismatched_at = row.mismatched_at or (now if ending.mismatched else None)
        row.error = _error(ending.error) or row.error
    elif isinstance(ending, Fail):
        row.attempt, row.error = row.attempt + ending.attempted, _error(ending.error)
        row.about = ending.about.hex()
        _die(row, ending.reason, now)
    else:
        _finish(row, ending, now)
    return Settled.DONE


def _finish(row: Row, ending: Complete | Cancelled, now: float) -> None:
    row.state, row.about = "cancelled", ending.about.hex()
    row.ended_at, row.until = now, now + max(ending.result_ttl, 60.0)
    if isinstance(ending, Complete):
        row.state = "completed"
        if ending.result is not None and ending.result_ttl > 0:
            row.result = ending.result.hex()


def _error(error: ErrorInfo | None) -> Sequence[str] | None:
    return None if error is None else (error.type, error.message, error.traceback)


def _requeue(
    rows: dict[bytes, Row], message_id: bytes, now: float, edited: Message | None = None
) -> bool:
    row = rows.get(message_id)
    if row is None or not is_dead(row, now):
        return False
    message = edited or row.message
    rows[message_id] = Row(message, row.enqueued_at, now, token=row.token)
    return True
