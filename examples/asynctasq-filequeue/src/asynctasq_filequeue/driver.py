"""One file, rewritten as a whole by each call: for learning, and for a few hundred messages."""

import asyncio
import fcntl
import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from asynctasq import driverkit as kit
from asynctasq.contracts.capabilities import EXACT_STORE, Capability
from asynctasq.contracts.driver import DriverDefaults, Enqueued, QueueCounts
from asynctasq.message import Delivery, Lease, Message
from asynctasq.settlement import Fail, LeaseState, Reason, Release, Retry, Settled, Settlement

MONTH = 30 * 24 * 3600.0
COUNTED = ("ready", "waiting", "blocked", "leased", "dead")  # in the order of QueueCounts


@dataclass
class Row:
    """A message, and what the store knows about it."""

    message: Message
    enqueued_at: float
    due_at: float
    state: str = "waiting"  # then leased, dead or finished
    owner: str = ""
    until: float = 0.0  # when the lease ends, or a message that is dead or finished is forgotten
    leased_at: float = 0.0
    token: int = 0  # of the latest lease; 0 if there was none
    attempt: int = 0
    lost: int = 0
    mismatched_at: float | None = None
    reason: str = ""  # why it is dead

    @property
    def is_new(self) -> bool:
        return self.token == 0

    def lease(self) -> Lease:
        return Lease(self.message.id, self.token)

    def state_at(self, now: float) -> str:
        return "ready" if self.state == "waiting" and self.due_at <= now else self.state

    def deliver(self, owner: str, now: float, lease: float) -> Delivery:
        resumed, self.token = self.token > 0, kit.next_token(self.token, now)
        self.state, self.owner, self.leased_at, self.until = "leased", owner, now, now + lease
        ago = now - self.mismatched_at if self.mismatched_at else 0.0
        counts = (self.attempt, self.lost, self.enqueued_at, ago)
        return Delivery(self.message, self.lease(), *counts, due_at=self.due_at, resumed=resumed)

    def settle(self, ending: Settlement, now: float) -> None:
        if isinstance(ending, Retry):
            self.state, self.due_at, self.mismatched_at = "waiting", now + ending.delay, None
            self.attempt += 1
        elif isinstance(ending, Release):
            self.state, self.due_at = "waiting", now + ending.delay if ending.delay else self.due_at
            self.mismatched_at = self.mismatched_at or (now if ending.mismatched else None)
        elif isinstance(ending, Fail):
            self.attempt += ending.attempted
            self.die(ending.reason, now)
        else:
            self.state, self.until = "finished", now + max(ending.result_ttl, 60.0)

    def die(self, reason: Reason, now: float) -> None:
        self.state, self.reason, self.until = "dead", reason.value, now + MONTH


class FileQueueDriver(DriverDefaults):
    """A driver whose store is the file at `path`. The namespaces in it see nothing of each other."""

    api_version = 2
    capabilities = EXACT_STORE | Capability.PRIORITY
    row_type: type[Row] = Row

    def __init__(self, path: str | Path, namespace: str = "asynctasq") -> None:
        self.path, self.namespace = Path(path).absolute(), namespace
        self.description, self.clock_offset = f"{self.path} ({namespace})", 0.0

    def clone(self) -> Self:
        return type(self)(self.path, self.namespace)

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
            read = [
                self.row_type(kit.unpack_message(bytes.fromhex(m)), *rest) for m, *rest in listed
            ]
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
                row = self.row_type(message, now, kit.due_time(message, now))
                rows.setdefault(message.id, row)
            return answers

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        with self._file() as (rows, outages, now):
            may_reclaim = outages.note_call(now=now, lease=lease, deadlines=lambda: _ends(rows))
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
            may_release = outages.note_call(now=now, lease=lease, deadlines=lambda: _ends(rows))
            owned = _leased_to(owner, rows)
            for row in owned:
                row.until, is_old = now + lease, row.leased_at <= now - lease
                if may_release and is_old and row.lease() not in leases:
                    row.state = "waiting"  # the answer of its reserve never arrived
            held = {row.lease() for row in owned}
            return [LeaseState.HELD if each in held else LeaseState.LOST for each in leases]

    async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
        with self._file() as (rows, _, now):
            states = [row.state_at(now) for row in rows.values() if row.message.queue == queue]
            return QueueCounts(*(kit.bounded(states.count(each), bound) for each in COUNTED))

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        await asyncio.sleep(min(timeout, 0.1))  # a hint may come early, so to poll is enough


def _leased_to(owner: str, rows: dict[bytes, Row]) -> list[Row]:
    return [row for row in rows.values() if row.state == "leased" and row.owner == owner]


def _ends(rows: dict[bytes, Row]) -> list[float]:
    return [row.until for row in rows.values() if row.state == "leased"]


def _tidy_up(rows: dict[bytes, Row], now: float, *, may_reclaim: bool) -> None:
    """Reclaim ended leases, move expired messages to the dead, forget what has ended."""
    for row in list(rows.values()):
        if row.state == "leased" and row.until <= now and may_reclaim:
            row.lost, row.state = row.lost + 1, "waiting"
            if row.lost > row.message.max_lost:
                row.die(Reason.LOST, now)
        elif row.state_at(now) == "ready" and row.is_new and kit.is_too_late(row, now):
            row.die(Reason.EXPIRED, now)
        elif row.state not in {"waiting", "leased"} and row.until <= now:
            del rows[row.message.id]


def _settle(row: Row | None, ending: Settlement, now: float) -> Settled:
    if row is None or row.state != "leased" or row.lease() != ending.lease:
        return Settled.LOST
    if not kit.can_settle(ending):
        return Settled.REFUSED
    row.settle(ending, now)
    return Settled.DONE
