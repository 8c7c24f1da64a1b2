"""The harness of a check: two opened instances of the driver on one store, and a movable clock."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypedDict, TypeVar, Unpack
from uuid import uuid4

from asynctasq.conformance.clone_protocols import CloneProtocols
from asynctasq.conformance.formatting import gave, show
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver, QueueCounts
from asynctasq.message import Delivery, Message, Parent, ScheduledRun, Unique, new_id
from asynctasq.settlement import ErrorInfo, Reason, Settled, Settlement

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities.transactions import Plan

T = TypeVar("T")
Damage: TypeAlias = Callable[[Driver, bytes], Awaitable[None]]
"""Makes the stored record of a message unreadable: `DriverConformance.damage`."""
StopHard: TypeAlias = Callable[[Driver], Awaitable[None]]
"""Stops the store so that it may lose its last writes, and starts it again: `DriverConformance.stop_hard`."""

RunPlan: TypeAlias = "Callable[[Plan[Any]], Awaitable[Any]]"
"""Runs a plan in a transaction, and returns its answer."""
Begin: TypeAlias = Callable[[Driver], AbstractAsyncContextManager[RunPlan]]
"""Begins a transaction of an application: `DriverConformance.transaction`."""

LEASE = 1000.0
"""Seconds. Long, because the real clock runs on while a check moves its own in steps of hundreds."""

MOMENT = 2e-6
"""Seconds. The lease of a call that must not make the store pause for a noticeable time."""

ERROR = ErrorInfo("shop.OutOfStock", "no more blue ones", "Traceback (most recent call last): …")

MIB = 1 << 20
ENVELOPE = 4096
"""Bytes that a message of a check has beside its body, at most."""

UPKEEP_CALLS = 3
"""Number of reserves after which the few leftovers of a check must be gone."""


class Fields(TypedDict, total=False):
    """The fields of a message that a check may choose."""

    id: bytes
    queue: str
    task: str
    body: bytes
    priority: int
    delay: float
    eta: float | None
    expires: float | None
    max_attempts: int
    max_lost: int
    result_ttl: float
    unique: Unique | None
    parents: tuple[Parent, ...]
    workflow: bytes | None
    schedule: ScheduledRun | None
    limits: tuple[str, ...]
    group: str | None
    headers: Mapping[str, str]
    given_id: bool


def expect(condition: object, failure: str) -> None:
    """Fail the check unless `condition` holds (an `assert` that `python -O` leaves in)."""
    if not condition:
        raise AssertionError(failure)


def expect_equal(actual: object, expected: object, about: str) -> None:
    """Fail the check unless both are equal; `about` names the values."""
    if actual != expected:
        raise AssertionError(f"{about}: {gave(show(expected), actual)}")


def random_name(prefix: str) -> str:
    """Return a name that is unique in the store."""
    return f"{prefix}-{uuid4().hex[:12]}"


EMPTY = random_name("empty")
"""A queue without messages. Workers that only do the upkeep of a store ask for it."""


async def let_tidy(driver: Driver) -> None:
    """Reserve a few times, so that the driver does its upkeep.

    The first call ends a pause: see `Harness.advance`.
    """
    for lease in (MOMENT, *[LEASE] * UPKEEP_CALLS):
        await driver.reserve({EMPTY: 1}, limit=1, owner=random_name("upkeep"), lease=lease)


class Leftovers:
    """The state that checks leave in a namespace they share: its clock and its queues."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        """Seconds by which the clock has been moved. It must not run backwards."""
        self.queues: set[str] = set()
        """The queues that checks have enqueued to."""


class Harness(CloneProtocols):
    """The tools of one check. `driver` enqueues and `clone` reserves unless a check says otherwise.

    Every name is random, and nothing is assumed about what else the store holds. But the clock of
    the whole store appears to jump, so run the suite in a namespace or file of its own.
    """

    def __init__(
        self,
        make_driver: Callable[[], Driver],
        *,
        leftovers: Leftovers | None = None,
        damage: Damage | None = None,
        stop_hard: StopHard | None = None,
        transaction: Begin | None = None,
    ) -> None:
        """Make a harness of two unopened instances.

        Args:
            make_driver: gives an unopened driver.
            leftovers: of checks that were in the same namespace before; None if it is a fresh one.
            damage: makes the stored record of a message unreadable; None where no check needs it.
            stop_hard: stops the store hard and starts it again; None where no check needs it.
            transaction: begins a transaction of an application; None where no check needs it.
        """
        self._damage = damage
        self._stop_hard = stop_hard
        self._transaction = transaction
        self.leftovers: Leftovers = leftovers or Leftovers()
        """The leftovers of this check and of those before it."""
        self.driver = make_driver()
        self.clone = self.driver.clone()
        self.queue = random_name("conformance")
        self.owner = random_name("owner")
        self._opened: list[Driver] = []

    async def __aenter__(self) -> Self:
        try:
            await self.open(self.driver)
            await self.open(self.clone)
            if (
                self.leftovers.queues and self.driver.clock_is_movable
            ):  # what others left leased ends now, not in the midst of this one
                self.jump(10 * LEASE)
                await self.upkeep()
        except BaseException:
            await self._close_all()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close_all()

    async def open(self, driver: Driver) -> Driver:
        """Open one more instance; it lives in the same (moved) time and is closed at the end."""
        self._opened.append(driver)
        await driver.open()
        driver.clock_offset = self.elapsed
        return driver

    async def open_clones(self, count: int) -> list[Driver]:
        return [await self.open(self.driver.clone()) for _ in range(count)]

    async def _close_all(self) -> None:
        twice = [*self._opened, *self._opened]  # to close again must do nothing
        answers = await asyncio.gather(*(d.close() for d in twice), return_exceptions=True)
        for answer in answers:
            if answer is not None:
                raise AssertionError("close raised an error; it must not") from answer

    @property
    def elapsed(self) -> float:
        """Seconds by which the store's clock has been moved."""
        return self.leftovers.elapsed

    async def advance(self, seconds: float) -> None:
        """Let time pass in a store that is in use, for every instance.

        The clock is moved, and an owner without leases reserves once. To the store the move looks
        like an outage, after which it reclaims nothing for half of the caller's lease. That lease is
        so short here that the pause is over before the check goes on: the next reserve reclaims
        leases that have ended.
        """
        self.jump(seconds)
        await self.clone.reserve({EMPTY: 1}, limit=1, owner=random_name("upkeep"), lease=MOMENT)

    async def end_leases(self) -> None:
        """Let the leases of `LEASE` seconds end, and have them reclaimed."""
        await self.advance(LEASE * 1.5)
        await self.upkeep()

    def jump(self, seconds: float) -> None:
        """Move the clock ahead for every instance, or back, and call no method.

        The next reserve or extend takes this for an outage.
        """
        if not self.driver.clock_is_movable:
            raise AssertionError("a check moves a clock that is not movable")
        self.leftovers.elapsed += seconds
        for driver in self._opened:
            driver.clock_offset = self.elapsed

    @property
    def largest_body(self) -> int:
        """Bytes of a body that the driver accepts: 1 MiB, or what `max_message_bytes` leaves of it."""
        most = self.driver.max_message_bytes
        return MIB if most is None else min(MIB, most - ENVELOPE)

    def has(self, capability: Capability) -> bool:
        return capability in self.driver.capabilities

    async def damage(self, message_id: bytes) -> None:
        """Make the stored record of a message unreadable."""
        if self._damage is None:
            raise AssertionError("the suite does not say how a record is damaged")
        await self._damage(self.driver, message_id)

    async def stop_hard(self) -> None:
        """Stop the store hard, start it again, and open other instances in place of the two."""
        if self._stop_hard is None:
            raise AssertionError("the suite does not say how the store is stopped hard")
        await self._stop_hard(self.driver)
        await asyncio.gather(self.driver.close(), self.clone.close())
        self.driver, self.clone = await self.open_clones(2)

    def transaction(self) -> AbstractAsyncContextManager[RunPlan]:
        """Begin a transaction of an application: committed at the end of the block, or rolled back by an error."""
        if self._transaction is None:
            raise AssertionError("the suite does not say how a transaction begins")
        return self._transaction(self.driver)

    # Messages.

    def name_of_queue(self, prefix: str) -> str:
        """Return the name of a new queue, which is deleted after the check even if it gets no message."""
        name = random_name(prefix)
        self.leftovers.queues.add(name)
        return name

    def message(self, **fields: Unpack[Fields]) -> Message:
        given: Fields = {
            "id": new_id(),
            "queue": self.queue,
            "task": "shop.ship",
            "body": b"\x00body",
        }
        given.update(fields)
        message = Message(**given)
        self.leftovers.queues.add(message.queue)
        return message

    async def enqueue(self, **fields: Unpack[Fields]) -> Message:
        """Enqueue one message that must be new."""
        message = self.message(**fields)
        await self.enqueue_all([message])
        return message

    async def enqueue_all(self, messages: Sequence[Message]) -> None:
        """Enqueue one chunk, all of which must be new."""
        answers = await self.driver.enqueue(messages)
        expect_equal(
            [(answer.id, answer.created) for answer in answers],
            [(message.id, True) for message in messages],
            "answers of enqueue",
        )

    async def enqueue_count(self, count: int, **fields: Unpack[Fields]) -> list[Message]:
        messages = [self.message(**fields) for _ in range(count)]
        await self.enqueue_all(messages)
        return messages

    async def reserve(
        self,
        limit: int = 100,
        *,
        queue: str | None = None,
        owner: str | None = None,
        lease: float = LEASE,
    ) -> list[Delivery]:
        """Reserve from one queue, through the clone."""
        return await self.clone.reserve(
            {queue or self.queue: limit}, limit=limit, owner=owner or self.owner, lease=lease
        )

    async def lease(
        self, *, queue: str | None = None, owner: str | None = None, lease: float = LEASE
    ) -> Delivery:
        """Reserve one message; there must be one."""
        deliveries = await self.reserve(1, queue=queue, owner=owner, lease=lease)
        expect_equal(len(deliveries), 1, "number of messages that a reserve of one delivered")
        return deliveries[0]

    async def enqueue_and_lease(self, **fields: Unpack[Fields]) -> Delivery:
        message = await self.enqueue(**fields)
        delivery = await self.lease(queue=message.queue)
        expect_equal(delivery.message.id, message.id, "id of the delivery")
        return delivery

    async def settle(self, *settlements: Settlement) -> None:
        """Settle through the instance that reserved; every item must be done."""
        answers = await self.clone.settle(settlements)
        expect_equal(answers, [Settled.DONE] * len(settlements), "answers of settle")

    async def upkeep_by_others(self) -> None:
        """Let owners that have no leases reserve, without an end to a pause."""
        for _ in range(UPKEEP_CALLS):
            await self.clone.reserve({EMPTY: 1}, limit=1, owner=random_name("upkeep"), lease=LEASE)

    async def upkeep(self) -> None:
        """Make the calls during which the store does its upkeep."""
        await let_tidy(self.clone)

    # Expectations, as sharp as the capabilities allow.

    async def expect_counts(
        self,
        *,
        ready: int = 0,
        scheduled: int = 0,
        leased: int = 0,
        dead: int = 0,
        queue: str | None = None,
    ) -> None:
        if not self.has(Capability.EXACT_COUNT):
            return
        expected = QueueCounts(ready=ready, scheduled=scheduled, leased=leased, dead=dead)
        for driver in (self.driver, self.clone):
            expect_equal(await driver.count(queue or self.queue), expected, "counts of the queue")

    async def expect_nothing_ready(self, why: str) -> None:
        expect_equal(await self.reserve(owner=random_name("other")), [], why)

    async def expect_delivered(self, ids: Sequence[bytes], about: str) -> list[Delivery]:
        """Reserve all ready messages, and check that they are these, in this order with `FIFO`."""
        deliveries = await self.reserve(len(ids) + 10)
        got = [delivery.message.id for delivery in deliveries]
        if self.has(Capability.FIFO):
            expect_equal(got, list(ids), about)
        else:
            expect_equal(sorted(got), sorted(ids), about)
        return deliveries

    async def expect_gone(self, message_id: bytes) -> None:
        """Check that a message is in no state any more, and does not come back later."""
        await self.expect_counts()
        if self.has(Capability.INSPECT):
            expect_equal(await self.inspect.find([message_id]), [None], "what find gives")
        await self._let_much_time_pass()
        await self.expect_nothing_ready("a message that ended was delivered again")

    async def expect_dead(
        self, message_id: bytes, reason: Reason, error: ErrorInfo | None = None
    ) -> None:
        """Check that a message is the only dead letter of its queue, for this reason, and stays so."""
        await self.expect_counts(dead=1)
        if self.has(Capability.RESULTS):
            [outcome] = await self.results.results([message_id])
            expect(outcome is not None, "a dead message has no outcome")
            if outcome is not None:
                expect_equal(
                    (outcome.reason, outcome.error), (reason, error), "outcome of the dead"
                )
        if self.has(Capability.DEAD_LETTERS):
            page = await self.dead.dead_letters(queue=self.queue)
            expect_equal(
                [(dead.message.id, dead.reason, dead.error) for dead in page.items],
                [(message_id, reason, error)],
                "dead letters of the queue",
            )
        await self._let_much_time_pass()
        await self.expect_nothing_ready("a dead message was delivered")

    async def _let_much_time_pass(self) -> None:
        if self.driver.clock_is_movable:
            await self.advance(LEASE * 10)

    def expect_tries(self, delivery: Delivery, *, attempt: int, lost: int) -> None:
        if self.has(Capability.COUNTED):
            expect_equal(
                (delivery.attempt, delivery.lost), (attempt, lost), "attempt and lost count"
            )
