"""The contract between core and a store. `docs/writing-a-driver.md` explains it with an example.

The rules that hold for every method:

- It works on a batch, in a constant number of round trips; in one where the store can.
- Bodies, results, progress and `about` are opaque bytes.
- Durations are seconds as float. Time is the store's clock plus the driver's `clock_offset`
  (seconds; 0.0 in production), so that leases and delays are tested without waiting.
- A call loads at most `BYTES_AT_ONCE` of messages or results at once. The answer is shorter then, and the
  rest follows with a cursor or in another step.
- The client's exceptions become `DriverUnavailable` (core repeats the call) or `DriverError`.
- A call that fails half-way loses nothing, and a damaged record costs only itself.
- Calls may run concurrently on one opened driver. Only `wait` and `wait_results` may be cancelled
  in flight; core lets every other call run to its end.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, Self

from asynctasq.contracts.capabilities.flags import Capability
from asynctasq.errors import DriverError
from asynctasq.message import Delivery, Lease, Message
from asynctasq.records import record
from asynctasq.settlement import LeaseState, Settled, Settlement

__all__ = [
    "BYTES_AT_ONCE",
    "DEFAULT_LEASE_SECONDS",
    "DRIVER_API_VERSION",
    "Driver",
    "DriverDefaults",
    "Enqueued",
    "EnqueuedPartly",
    "QueueCounts",
]

BYTES_AT_ONCE = 8 << 20
"""Bytes of messages or results that a driver reads from its store in one step, or a single larger one."""

DEFAULT_LEASE_SECONDS = 30.0
"""The default of `Driver.default_lease`."""

DRIVER_API_VERSION = 2
"""The version of this contract. A driver states the version that it was written for: `Driver.api_version`."""


@record
class Enqueued:
    """The answer to one message of an enqueue."""

    id: bytes
    """ID of the message in the store: the given one, or the holder of its unique key."""
    created: bool
    """False if nothing was added: the ID was already known, or another message holds the unique key."""


class EnqueuedPartly(DriverError):
    """The store accepted some messages of a chunk and refused others. Only drivers without `ATOMIC` raise it.

    `answers` has one entry for each message, in order: an `Enqueued` for a message that was accepted, or
    the error with which it was refused. A `DriverUnavailable` among them means that the store gave no
    answer for that message; core repeats those, and no others.
    """

    def __init__(self, message: str, *, answers: "Sequence[Enqueued | DriverError]") -> None:
        super().__init__(message)
        self.answers = tuple(answers)


@record
class QueueCounts:
    """Numbers of messages of a queue by state.

    Without `EXACT_COUNT` they are estimates, and None where the store cannot count a state.
    """

    ready: int | None = 0
    scheduled: int | None = 0
    blocked: int | None = 0
    leased: int | None = 0
    dead: int | None = 0

    @property
    def running(self) -> int | None:
        """The number of leased messages, by the name that users know."""
        return self.leased


class DriverDefaults:
    """Defaults of the attributes of `Driver` that most drivers leave as they are. Derive your driver from it."""

    max_message_bytes: int | None = None
    longest_delay: float | None = None
    default_lease: float = DEFAULT_LEASE_SECONDS
    clock_is_movable: bool = True
    may_deliver_twice: bool = False
    """True if the store itself may deliver a message twice. Tasks with `max_lost=0` are refused then."""
    remedies: Mapping[Capability, str] = MappingProxyType({})
    """Sentences that say how to get a capability that the driver lacks, for errors."""
    known_failures: Mapping[str, str] = MappingProxyType({})
    """Checks of `asynctasq.conformance` that the store cannot pass, with the reason of each. They must fail,
    and `asynctasq drivers check` shows them."""

    async def store_version(self) -> str:
        """Return the name and the version of the store, for `asynctasq doctor`; empty if it has none to report.

        Called on opened drivers.
        """
        return ""


class Driver(Protocol):
    """A store. An instance is unopened configuration until `open`; making it does no I/O.

    Guarantees that every driver keeps (`asynctasq.conformance` tests them):

    - a. From the moment `enqueue` returns, a message is in exactly one state until it is settled for
       good, whichever process is killed when.
    - b. A lease that its owner stops extending ends within a second after `lease` seconds, when any
       worker reserves from any queue; the message is ready again (keeping its place in the order)
       and its lost count is one higher, or it is dead with reason `lost` if that exceeds
       `max_lost`. Until some worker's reserve has reclaimed it, its owner may still settle or
       extend it. Without `DETACHED`, a lease may also end at once when the store sees that the worker's
       connection has closed. A scheduled message is ready within a second of its time and never early.
    """

    api_version: int
    """`DRIVER_API_VERSION` of the release that the driver was written for."""
    capabilities: Capability
    description: str
    """The place of the store, for logs: an absolute path, or a URL whose password is masked."""
    max_message_bytes: int | None
    """Largest message that the store accepts, in bytes: body, headers and additions of the driver; None for no
    limit. `enqueue` refuses a larger message with a `DriverError`, and does not store it."""
    longest_delay: float | None
    """Seconds for which the store can hold a message back; None for no limit."""
    default_lease: float
    """Seconds of a lease where no setting says otherwise. Longer where an extension is expensive."""
    clock_is_movable: bool
    """False if `clock_offset` does not move the store's clock. The suite then tests with real time."""

    @property
    def clock_offset(self) -> float:
        """Seconds added to the store's clock. Only tests set it, on opened drivers too.

        A plain attribute is enough. It is declared as a property so that it can be one.
        """
        ...

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None: ...

    def clone(self) -> Self:
        """Return an unopened clone: the same store and settings, sharing nothing that belongs to a loop."""
        ...

    async def open(self) -> None:
        """Connect, and create missing tables. The running loop is this instance's loop from now on."""
        ...

    async def close(self) -> None:
        """Release all resources.

        Idempotent; never raises; works on another loop than that of `open` when that loop is closed.
        """
        ...

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        """Store one chunk, all or nothing (with `ATOMIC`); answer in order.

        With `IDEMPOTENT`, an id that is known (waiting, leased, dead, or finished and not yet
        forgotten: at least 60 s) is answered with `created=False` and changes nothing.

        Raises:
            EnqueuedPartly: some messages are stored and others are not (without `ATOMIC` only).
            DriverUnavailable: the store gave no answer: it may have stored the chunk.
            DriverError: no message of the chunk is stored, because one of them is invalid. For example, one of its
                numbers is not finite.
        """
        ...

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        """Lease up to `limit` ready messages to `owner` for `lease` seconds. Never blocks.

        `queues` maps names to the number that may be taken of each, in strict order: the ready messages of
        the first queue are taken first. Within a queue the order is priority (with `PRIORITY`), then the
        time at which a message became ready, then id. The token of each lease is greater than that of any
        lease of the message before, even if the store has lost its last writes in between:
        `max(token + 1, store's clock in microseconds)`.

        Also does the store's upkeep, a bounded piece at a time: renews the leases of `owner` first, makes
        due messages ready, reclaims ended leases of every other owner and queue, moves expired messages
        and damaged records to the dead, forgets outcomes that are past their time.

        Returns fewer messages than there are if they have more than `BYTES_AT_ONCE` bytes.

        Raises:
            DriverError: `lease` is not a finite number.
        """
        ...

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        """Return when there may be something to reserve, or after `timeout` seconds.

        A hint: it may return early for no reason, and a store that cannot push may poll. It also
        returns when a scheduled message falls due or a lease may have ended, at most a second late.
        It may need a second connection.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """End leases, each in one atomic step with everything that follows from it; answer in order.

        `LOST` if the lease is not current (with `FENCED`). Without `FENCED`, core calls it only in the process
        that reserved, on any clone. A flagged message (see `SupportsCancel`)
        becomes cancelled where it would have been retried or released. The items are independent
        of one another, and a call may be repeated after `DriverUnavailable`. `REFUSED` if an item
        cannot be applied: its result is too large, or a number of it is not finite.
        """
        ...

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        """Renew all of `owner`'s leases to `lease` seconds from now; answer in order.

        `leases` names every lease that the owner knows of. A message that the store has leased to
        `owner` for longer than `lease` seconds and that is not named was lost on the way (the
        answer of its reserve never arrived): it is released, uncounted. In the pause after an outage
        or a jump of the clock, nothing is released.
        """
        ...

    async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
        """Count the messages of a queue by state; zeros for a queue that was never used.

        Args:
            queue: its name.
            bound: count no state further than this. The number `bound` means "that or more".
        """
        ...
