"""One file, rewritten as a whole by each call: for learning, and for a few hundred messages."""

import asyncio
import fcntl
import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import BYTES_AT_ONCE, DRIVER_API_VERSION, Enqueued, QueueCounts
from asynctasq.contracts.numbers import can_settle, check_lease, check_numbers
from asynctasq.contracts.outages import UpkeepMark, next_mark
from asynctasq.contracts.packing import pack_message, unpack_message
from asynctasq.errors import BodyCorrupt, DriverUnavailable
from asynctasq.message import Delivery, Lease, Message
from asynctasq.settlement import Fail, LeaseState, Release, Retry, Settled, Settlement

MONTH = 30 * 24 * 3600.0
COUNTED = ("ready", "waiting", "blocked", "leased", "dead")  # in the order of QueueCounts


@dataclass
class Row:
    """A message, and where it stands."""

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

    def lease(self) -> Lease:
        return Lease(self.message.id, self.token)

    def state_at(self, now: float) -> str:
        return "ready" if self.state == "waiting" and self.due_at <= now else self.state

    def deliver(self, now: float) -> Delivery:
        ago = now - self.mismatched_at if self.mismatched_at else 0.0
        return Delivery(self.message, self.lease(), self.attempt, self.lost, self.enqueued_at, ago)


@dataclass
class Content:
    """What the file holds of one namespace, and the time of the call."""

    rows: dict[bytes, Row]
    mark: UpkeepMark | None  # when a worker last called
    now: float

    def called(self, owner: str, lease: float) -> list[Row]:
        """Note a call of a worker; return what is leased to it."""
        leased = [row for row in self.rows.values() if row.state == "leased"]
        self.mark = next_mark(self.mark, now=self.now, lease=lease, any_leases=bool(leased))
        return [row for row in leased if row.owner == owner]


def _written(message: Message) -> list[str]:
    """Return a message as it stands in the file."""
    return [message.id.hex(), message.queue, pack_message(message).hex()]


def _read(message_id: str, queue: str, packed: str) -> Message:
    """Read a message; a damaged one keeps its bytes, and has a task without a name."""
    try:
        return unpack_message(bytes.fromhex(packed))
    except (BodyCorrupt, ValueError):
        return Message(bytes.fromhex(message_id), queue, "", packed.encode())


class FileQueueDriver:
    """A driver whose store is the file at `path`; each namespace in it is a world of its own."""

    api_version = DRIVER_API_VERSION
    capabilities = Capability.FENCED | Capability.ATOMIC | Capability.COUNTED | Capability.FIFO
    capabilities |= Capability.IDEMPOTENT | Capability.PRIORITY | Capability.EXACT_COUNT

    def __init__(self, path: str | Path, namespace: str = "asynctasq") -> None:
        self.path, self.namespace = Path(path).absolute(), namespace
        self.description, self.clock_offset = f"{self.path} ({namespace})", 0.0

    def clone(self) -> "FileQueueDriver":
        return FileQueueDriver(self.path, self.namespace)

    async def open(self) -> None:
        await self.count("")  # fails here, rather than later, if the file cannot be used

    async def close(self) -> None:
        """Nothing to let go of: each call opens the file and closes it again."""

    @contextmanager
    def _file(self) -> Generator[Content, None, None]:
        """Read our part of the file and write it back, for one caller at a time among all processes."""
        try:
            with self.path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                before = self.path.read_text() if self.path.exists() else "{}"
                stored = json.loads(before)
                listed, mark = stored.get(self.namespace, ([], None))
                rows = [Row(_read(*message), *rest) for message, *rest in listed]
                own = Content(
                    {row.message.id: row for row in rows},
                    UpkeepMark(*mark) if mark else None,
                    time.time() + self.clock_offset,
                )
                yield own
                listed = [[*vars(row).values()] for row in own.rows.values()]
                mark = own.mark and (own.mark.at, own.mark.paused_until)
                stored[self.namespace] = (listed, mark)
                after = json.dumps(stored, default=_written)
                if after != before:
                    new = self.path.with_suffix(".new")
                    new.write_text(after)
                    new.replace(self.path)  # a process killed here leaves the one or the other
        except OSError as error:
            raise DriverUnavailable(f"Cannot use {self.path}: {error}") from error

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        with self._file() as own:
            answers, now = [], own.now
            for message in messages:
                check_numbers(message)
                answers.append(Enqueued(message.id, created=message.id not in own.rows))
                due_at = now + message.delay if message.eta is None else max(message.eta, now)
                own.rows.setdefault(message.id, Row(message, now, due_at))
            return answers

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        check_lease(lease)
        with self._file() as own:
            now = own.now
            for row in own.called(owner, lease):
                row.until = max(row.until, now + lease)
            _tidy_up(own)
            ready = [row for row in own.rows.values() if row.state_at(now) == "ready"]
            ready.sort(key=lambda row: (-row.message.priority, row.due_at, row.message.id))
            taken: list[Row] = []
            for queue, most in queues.items():
                room = min(most, limit - len(taken))
                taken += [row for row in ready if row.message.queue == queue][:room]
            sizes = accumulate(len(row.message.body) for row in taken)
            fits = [size <= BYTES_AT_ONCE for size in sizes]
            taken = [row for row, fit in zip(taken, fits, strict=True) if fit] or taken[:1]
            for row in taken:
                row.state, row.owner, row.leased_at, row.until = "leased", owner, now, now + lease
                row.token += 1
            return [row.deliver(now) for row in taken]

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        with self._file() as own:
            return [_settle(own.rows.get(each.lease.id), each, own.now) for each in settlements]

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        check_lease(lease)
        with self._file() as own:
            owned, now = own.called(owner, lease), own.now
            for row in owned:
                row.until = now + lease
                if row.leased_at <= now - lease and row.lease() not in leases:
                    row.state = "waiting"  # the answer of its reserve never arrived
            held = {row.lease() for row in owned}
            return [LeaseState.HELD if each in held else LeaseState.LOST for each in leases]

    async def count(self, queue: str) -> QueueCounts:
        with self._file() as own:
            states = [r.state_at(own.now) for r in own.rows.values() if r.message.queue == queue]
            return QueueCounts(*map(states.count, COUNTED))

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        await asyncio.sleep(min(timeout, 0.1))  # a hint may come early, so to poll is enough


def _tidy_up(own: Content) -> None:
    """Reclaim ended leases, move expired and damaged messages to the dead, forget what has ended."""
    now, paused = own.now, own.mark is not None and own.mark.is_paused(own.now)
    for row in list(own.rows.values()):
        in_time = row.message.expires is None or now < row.due_at + row.message.expires
        if row.state == "leased" and row.until <= now and not paused:
            row.lost, row.until = row.lost + 1, now + MONTH
            row.state = "dead" if row.lost > row.message.max_lost else "waiting"
        elif row.state_at(now) == "ready" and row.token == 0 and not in_time:
            row.state, row.until = "dead", now + MONTH
        elif row.state_at(now) == "ready" and not row.message.task:
            row.state, row.until = "dead", now + MONTH  # it was damaged
        elif row.state in {"dead", "finished"} and row.until <= now:
            del own.rows[row.message.id]


def _settle(row: Row | None, settlement: Settlement, now: float) -> Settled:
    if row is None or row.state != "leased" or row.lease() != settlement.lease:
        return Settled.LOST
    if not can_settle(settlement):
        return Settled.REFUSED
    if isinstance(settlement, Retry):
        row.state, row.due_at, row.mismatched_at = "waiting", now + settlement.delay, None
        row.attempt += 1
    elif isinstance(settlement, Release):
        row.state = "waiting"
        row.due_at = now + settlement.delay if settlement.delay else row.due_at
        row.mismatched_at = row.mismatched_at or (now if settlement.mismatched else None)
    elif isinstance(settlement, Fail):
        row.state, row.until, row.attempt = "dead", now + MONTH, row.attempt + settlement.attempted
    else:
        row.state, row.until = "finished", now + max(settlement.result_ttl, 60.0)
    return Settled.DONE
