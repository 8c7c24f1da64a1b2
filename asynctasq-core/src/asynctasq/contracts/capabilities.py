"""What a driver may offer beyond the required methods: a flag each, some with a small protocol.

`check_capabilities` makes sure that flags and methods agree.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import Flag, auto
from typing import Generic, Protocol, TypeVar, runtime_checkable

from asynctasq.errors import CapabilityMissing, PluginBroken
from asynctasq.message import CancelOutcome as CancelOutcome
from asynctasq.message import Lease, Message, State
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo, Reason

T = TypeVar("T")


class Capability(Flag):
    """Flags of `Driver.capabilities`."""

    NONE = 0
    PRIORITY = auto()
    """`Message.priority` orders a queue."""
    UNIQUE = auto()
    """Unique keys, with every `UniqueUntil` and `OnConflict`; scope: the namespace."""
    RESULTS = auto()
    """What tasks returned can be awaited, and how each ended."""
    PROGRESS = auto()
    """Running tasks can report how far they are."""
    CANCEL = auto()
    """Waiting messages can be taken back, running ones interrupted."""
    PAUSE = auto()
    """Queues can be paused and resumed."""
    DEAD_LETTERS = auto()
    """Dead letters can be listed, sent again, edited and deleted."""
    INSPECT = auto()
    """Queues and messages can be looked at: counts, one by its id, lists by state."""
    PURGE = auto()
    """Waiting messages of a queue can be deleted together."""
    WORKERS = auto()
    """Workers tell of themselves, and can be listed."""
    SCHEMA = auto()
    """It has tables, which `asynctasq migrate` brings up to date."""
    EVENTS = auto()
    """Reserved: what happens to messages, as a stream."""
    TRANSACTIONS = auto()
    """Reserved: an enqueue within a transaction of the application."""
    DEPENDENCIES = auto()
    """Reserved: messages that wait for others."""
    SCHEDULES = auto()
    """Reserved: rules that dispatch by the clock."""
    LIMITS = auto()
    """Reserved: limits across workers on what runs at once or per second."""
    FENCED = auto()
    """`settle` and `extend` act for the current token only."""
    ATOMIC = auto()
    """A chunk is enqueued whole or not at all."""
    COUNTED = auto()
    """`attempt` and `lost` are exact."""
    IDEMPOTENT = auto()
    """An enqueue of a known id changes nothing."""
    FIFO = auto()
    """The order of `reserve` is exact."""
    EXACT_COUNT = auto()
    """`count` is exact."""


FULL_STORE = (
    Capability.PRIORITY
    | Capability.UNIQUE
    | Capability.RESULTS
    | Capability.PROGRESS
    | Capability.CANCEL
    | Capability.PAUSE
    | Capability.DEAD_LETTERS
    | Capability.INSPECT
    | Capability.PURGE
    | Capability.WORKERS
    | Capability.FENCED
    | Capability.ATOMIC
    | Capability.COUNTED
    | Capability.IDEMPOTENT
    | Capability.FIFO
    | Capability.EXACT_COUNT
)
"""What a store has that can be asked for anything, as databases can and brokers cannot."""
DEAD_LETTER_TTL_SECONDS = 30 * 86_400.0
"""How long dead letters are kept, unless a setting says otherwise."""
DEAD_LETTER_LIMIT = 100_000
"""How many dead letters are kept, unless a setting says otherwise."""


@record
class Page(Generic[T]):
    """A part of a listing; pass `cursor` on to get the next, None at the end."""

    items: Sequence[T]
    cursor: str | None = None


@record
class Outcome:
    """How a message ended."""

    id: bytes
    state: State
    """COMPLETED, CANCELLED or DEAD."""
    finished_at: float
    result: bytes | None = None
    reason: Reason | None = None
    error: ErrorInfo | None = None


@record
class Snapshot:
    """One message at one moment."""

    message: Message
    state: State
    attempt: int
    lost: int
    enqueued_at: float
    due_at: float
    """When it became or becomes ready, in seconds since the Unix epoch."""
    owner: str | None = None
    """Who leases it."""
    cancelling: bool = False
    """Running, and flagged to be cancelled."""
    error: ErrorInfo | None = None
    """Of the last attempt that failed."""


@record
class DeadLetter:
    """A message that will not be tried again, kept whole."""

    message: Message
    reason: Reason
    error: ErrorInfo | None
    attempts: int
    """Runs that ended."""
    lost: int
    enqueued_at: float
    died_at: float


@record
class QueueInfo:
    """A queue at one moment."""

    name: str
    ready: int
    scheduled: int
    blocked: int
    leased: int
    dead: int
    paused: bool
    oldest_ready_at: float | None
    """When the message that has been ready for longest became so."""


@record
class WorkerInfo:
    """A worker as it describes itself."""

    id: str
    host: str
    pid: int
    started_at: float
    queues: tuple[str, ...]
    concurrency: int
    running: int
    version: str
    seen_at: float = 0.0
    """When it told so last, by its own clock; seconds since the epoch."""


@record
class SchemaState:
    """The version of the tables in the store, and the one that this release needs."""

    current: int
    needed: int


@runtime_checkable
class SupportsResults(Protocol):
    """RESULTS. Outcomes are kept for the `result_ttl` of their settlement, dead letters for longer."""

    async def results(self, ids: Sequence[bytes]) -> list[Outcome | None]:
        """The outcomes in order; None where the message has not ended or is not known."""
        ...

    async def wait_results(self, ids: Sequence[bytes], *, timeout: float) -> None:
        """Return when one of `ids` may have ended, or after `timeout` seconds. A hint; may be cancelled."""
        ...


@runtime_checkable
class SupportsProgress(Protocol):
    """PROGRESS. Kept with the message until it is settled for good; for current leases only."""

    async def set_progress(self, updates: Sequence[tuple[Lease, bytes]]) -> None:
        """Store the last word of each; ignored where the lease is not current."""
        ...

    async def progress(self, ids: Sequence[bytes]) -> list[bytes | None]: ...


@runtime_checkable
class SupportsCancel(Protocol):
    """CANCEL. Complete and fail win over a flag; retry, release and a lost lease do not."""

    async def cancel(self, ids: Sequence[bytes]) -> list[CancelOutcome]:
        """Finish what waits as cancelled, flag what runs. The outcome is kept for the message's
        `result_ttl`."""
        ...

    async def cancel_requests(self, owner: str) -> list[Lease]:
        """The leases of `owner` whose messages are flagged."""
        ...


@runtime_checkable
class SupportsPause(Protocol):
    """PAUSE. A paused queue is not reserved from; all else goes on."""

    async def pause(self, queue: str) -> None: ...

    async def resume(self, queue: str) -> None: ...

    async def paused(self) -> frozenset[str]: ...


@runtime_checkable
class SupportsDeadLetters(Protocol):
    """DEAD_LETTERS. Kept 30 days or 100,000, the newest, unless the driver is set otherwise."""

    async def dead_letters(
        self, *, queue: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[DeadLetter]:
        """Newest first."""
        ...

    async def requeue(self, ids: Sequence[bytes]) -> list[bool]:
        """Make them ready again, with no attempts, no lost leases and no expiry counted.

        False where it is not dead, or where its unique key is held by another message.
        """
        ...

    async def requeue_edited(self, message: Message) -> bool:
        """Like `requeue`, with every field but the id replaced by those of `message`."""
        ...

    async def delete_dead(self, ids: Sequence[bytes]) -> list[bool]: ...


@runtime_checkable
class SupportsInspect(Protocol):
    """INSPECT."""

    async def queues(self) -> list[QueueInfo]:
        """Every queue that holds a message, is paused, or has dead letters; by name."""
        ...

    async def find(self, ids: Sequence[bytes]) -> list[Snapshot | None]:
        """Messages that wait, run or are dead; None where finished or not known."""
        ...

    async def browse(
        self,
        state: State,
        *,
        queue: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Snapshot]:
        """Messages in one of the states before the end or dead, oldest enqueue first.

        `since` and `until` bound the time of enqueue: `since <= enqueued_at < until`.
        """
        ...


@runtime_checkable
class SupportsPurge(Protocol):
    """PURGE."""

    async def purge(self, queue: str, *, states: Collection[State]) -> int:
        """Delete the messages of a queue that are SCHEDULED, BLOCKED, READY or DEAD, as asked; how many.

        Unique keys that they held are free afterwards. Leased messages are never purged.
        """
        ...


@runtime_checkable
class SupportsWorkers(Protocol):
    """WORKERS: a registry with heartbeats."""

    async def record_worker(self, worker: WorkerInfo, *, ttl: float) -> None:
        """Tell that it lives; forgotten after `ttl` seconds without another call."""
        ...

    async def forget_worker(self, worker_id: str) -> None: ...

    async def end_owner(self, owner: str) -> None:
        """End all leases of `owner` now and count them as lost. For supervisors that saw the process die.

        The effect is that of leases that ended and were reclaimed: `lost` grows by one, a message is
        dead with reason `lost` if that exceeds `max_lost`, and a flagged message becomes cancelled.
        Nothing happens for an unknown owner. The work is done in bounded steps, all of it by the
        time of the answer, and also during a pause after an outage.
        """
        ...

    async def workers(self) -> list[WorkerInfo]:
        """Those that live, by id."""
        ...


@runtime_checkable
class SupportsSchema(Protocol):
    """SCHEMA: tables that a release may change. Never drops what holds messages."""

    async def schema(self) -> SchemaState: ...

    async def migrate(self) -> Sequence[str]:
        """Bring the tables to the needed version; the names of the steps taken, none if none were needed."""
        ...


PROTOCOLS: Mapping[Capability, type] = {
    Capability.RESULTS: SupportsResults,
    Capability.PROGRESS: SupportsProgress,
    Capability.CANCEL: SupportsCancel,
    Capability.PAUSE: SupportsPause,
    Capability.DEAD_LETTERS: SupportsDeadLetters,
    Capability.INSPECT: SupportsInspect,
    Capability.PURGE: SupportsPurge,
    Capability.WORKERS: SupportsWorkers,
    Capability.SCHEMA: SupportsSchema,
}


def check_capabilities(driver: object, capabilities: Capability) -> None:
    """Make sure that the flags of a driver and its methods agree.

    Raises:
        PluginBroken: a flag is set whose methods are missing.
    """
    for flag, protocol in PROTOCOLS.items():
        if flag in capabilities and not isinstance(driver, protocol):
            missing = sorted(
                name
                for name in vars(protocol)
                if not name.startswith("_") and not hasattr(driver, name)
            )
            raise PluginBroken(
                f"{type(driver).__qualname__} sets Capability.{flag.name} but has no method "
                f"{', '.join(missing)}. Write them, or remove the flag."
            )


def require(driver: object, capability: Capability, protocol: type[T], *, purpose: str) -> T:
    """The driver as `protocol`.

    Raises:
        CapabilityMissing: the driver does not have `capability`; the message names it, what it was
            needed for, and the remedy.
    """
    if capability in getattr(driver, "capabilities", Capability.NONE) and isinstance(
        driver, protocol
    ):
        return driver
    raise CapabilityMissing(
        f"{purpose} needs the capability {capability.name}, which {type(driver).__qualname__} does "
        f"not have. Use a driver that has it (`asynctasq plugins list --check` shows which)."
    )
