"""The contract between core and a store. `docs/writing-a-driver.md` explains it with an example.

The rules that hold for every method:

- It works on a batch, in a constant number of round trips; one where the store can.
- Bodies, results and progress are opaque bytes.
- Durations are seconds as float. Time is the store's clock plus the driver's `clock_offset`
  (seconds; 0.0 in production), so that leases and delays are tested without waiting.
- The client's exceptions become `DriverUnavailable` (core repeats the call) or `DriverError`.
- Calls may run concurrently on one opened driver. Only `wait` and `wait_results` may be cancelled
  in flight; core lets every other call run to its end.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from asynctasq.contracts.capabilities import Capability
from asynctasq.message import Delivery, Lease, Message
from asynctasq.records import record
from asynctasq.settlement import LeaseState, Settled, Settlement

__all__ = ["BYTES_AT_ONCE", "DRIVER_API_VERSION", "Driver", "Enqueued", "QueueCounts"]

BYTES_AT_ONCE = 8 << 20
"""Bytes of messages or results that a driver reads from its store in one step, or a single larger one."""

DRIVER_API_VERSION = 1
"""Drivers state the version they were written for as `api_version`; see `Driver.api_version`."""


@record
class Enqueued:
    """What became of one message of an enqueue."""

    id: bytes
    """The message that stands: the one given, or the holder of its unique key."""
    created: bool
    """False if nothing was added: the id was known already, or the unique key is held."""


@record
class QueueCounts:
    """How many messages of a queue are in each state; estimates without `EXACT_COUNT`."""

    ready: int = 0
    scheduled: int = 0
    blocked: int = 0
    leased: int = 0
    dead: int = 0

    @property
    def running(self) -> int:
        """The number of leased messages, by the name that users know."""
        return self.leased


class Driver(Protocol):
    """A store. An instance is unopened configuration until `open`; making it does no I/O.

    Guarantees that every driver keeps (`asynctasq.testing` proves them):

    - a. From the moment `enqueue` returns, a message is in exactly one state until it is settled for
       good, whichever process is killed when.
    - b. A lease that its owner stops extending ends within a second after `lease` seconds, when any
       worker reserves from any queue; the message is ready again (keeping its place in the order)
       and its lost count is one higher, or it is dead with reason `lost` if that exceeds
       `max_lost`. Until some worker's reserve has reclaimed it, its owner may still settle or
       extend it. A scheduled message is ready within a second of its time and never early.
    """

    api_version: int
    """`DRIVER_API_VERSION` of the release that the driver was written for."""
    capabilities: Capability
    description: str
    """Where the store is, for logs: an absolute path, or a URL whose password is masked."""

    @property
    def clock_offset(self) -> float:
        """Seconds added to the store's clock; set by tests only, on opened drivers too.

        A plain attribute will do; it is written as a property so that a property may be one too.
        """
        ...

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None: ...

    def clone(self) -> Self:
        """An unopened clone: the same store and settings, nothing shared that belongs to a loop."""
        ...

    async def open(self) -> None:
        """Connect, and create what is missing. The running loop is this instance's loop from now on."""
        ...

    async def close(self) -> None:
        """Let go of everything. Idempotent; never raises; works on a loop other than that of `open`
        when that one is closed."""
        ...

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        """Store one chunk, all or nothing (with `ATOMIC`), answering in order.

        With `IDEMPOTENT`, an id that is known (waiting, leased, dead, or finished and not yet
        forgotten: at least 60 s) is answered with `created=False` and changes nothing.

        Raises:
            DriverError: a message cannot be stored; one of its numbers is not finite, for example.
        """
        ...

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        """Lease up to `limit` ready messages to `owner` for `lease` seconds. Never blocks.

        `queues` maps names to the most that may be taken of each, in strict order: what is ready in
        the first is taken first. Within a queue the order is priority (with `PRIORITY`), then the
        time at which it became ready, then id. Also does the store's upkeep, a bounded piece at a
        time: makes due messages ready, renews the leases of `owner`, reclaims ended leases of every
        other owner and queue, moves expired messages and damaged records to the dead, forgets outcomes
        that are past their time.

        Returns fewer messages than there are if they have more than `BYTES_AT_ONCE` bytes.

        Raises:
            DriverError: `lease` is not a finite number.
        """
        ...

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        """Return when there may be something to reserve, or after `timeout` seconds.

        A hint: it may return early for no reason, and a store that cannot push may poll. It also
        returns when a scheduled message falls due or a lease may have ended, at most a second late.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """End leases, each in one atomic step with everything that follows from it, answering in order.

        `LOST` if the lease is not current (with `FENCED`). A flagged message (see `SupportsCancel`)
        becomes cancelled where it would have been retried or released. The items are independent
        of one another, and a call may be repeated after `DriverUnavailable`. `REFUSED` if an item
        cannot be applied: its result is too large, or a number of it is not finite.
        """
        ...

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        """Renew all of `owner`'s leases to `lease` seconds from now, answering in order.

        `leases` names every lease that the owner knows of. A message that the store has leased to
        `owner` for longer than `lease` seconds and that is not named was lost on the way (the
        answer of its reserve never arrived): it is given back, uncounted.
        """
        ...

    async def count(self, queue: str) -> QueueCounts:
        """Count the messages of a queue by state; zeros for a queue that was never used."""
        ...
