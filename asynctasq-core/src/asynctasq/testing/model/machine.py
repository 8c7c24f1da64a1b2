"""The state machine: two drivers that live through the same operations."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Protocol, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asynctasq.contracts.capabilities import (
    Capability,
    DeadLetter,
    Snapshot,
    SupportsCancel,
    SupportsDeadLetters,
    SupportsInspect,
    SupportsPause,
    SupportsProgress,
    SupportsPurge,
    SupportsResults,
    SupportsWorkers,
    WorkerInfo,
)
from asynctasq.contracts.driver import Driver, QueueCounts
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import ConfigurationError
from asynctasq.message import Lease, State
from asynctasq.records import record
from asynctasq.testing.model.agreement import agree, all_pages, by_id
from asynctasq.testing.model.plays import (
    A_MONTH,
    IDS,
    OWNERS,
    QUEUES,
    RECENT_LEASES,
    UNIT,
    Ending,
    Plan,
    endings,
    few_ids,
    numbers,
    owners,
    plans,
    positions,
    queues,
    seconds,
)

T = TypeVar("T")

PROMPT = 10.0
"""Seconds within which `wait` must return when there is work."""

NEEDED = Capability.FENCED | Capability.COUNTED | Capability.FIFO | Capability.EXACT_COUNT


class FullDriver(
    Driver,
    SupportsResults,
    SupportsProgress,
    SupportsCancel,
    SupportsPause,
    SupportsDeadLetters,
    SupportsInspect,
    SupportsPurge,
    SupportsWorkers,
    Protocol,
):
    """A driver whose methods are called only where its flags say that it has them."""


@record
class Leased:
    """A lease that both drivers gave for the same message."""

    expected: Lease
    """The memory driver's."""
    actual: Lease
    """That of the driver under test."""
    owner: str


class DriverModel(RuleBasedStateMachine):
    """One example: a memory driver and a driver under test that live through the same.

    Subclass with a `make_driver`, or use `model_test_case`.
    """

    capabilities: Capability
    """What is played; all that the driver has unless a subclass says otherwise."""

    def make_driver(self) -> Driver:
        """An unopened driver over an empty store."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._oracle = MemoryDriver()
        subject = cast("FullDriver", self.make_driver())
        self._twins = [subject, subject.clone()]
        if not hasattr(self, "capabilities"):
            self.capabilities = subject.capabilities
        if NEEDED not in self.capabilities:
            raise ConfigurationError(
                f"The model test compares exactly, and so needs {NEEDED}; "
                f"{type(subject).__qualname__} lacks {NEEDED & ~self.capabilities}."
            )
        for driver in (self._oracle, *self._twins):
            self._run(driver.open())
        self._began_at = self._oracle._store.now()
        self._leases: list[Leased] = []
        """The newest first."""

    def teardown(self) -> None:
        """Close both drivers; the driver under test must leave no task behind."""
        for driver in (self._oracle, *self._twins):
            self._run(driver.close())
        left = asyncio.all_tasks(self._loop)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
        assert not left, f"tasks left behind: {left}"

    def _has(self, capability: Capability) -> bool:
        return capability in self.capabilities

    def _run(self, call: Awaitable[T]) -> T:
        async def wait() -> T:
            return await call

        return self._loop.run_until_complete(wait())

    def _both(self, call: Callable[[FullDriver], Awaitable[T]], twin: int = 0) -> tuple[T, T]:
        return self._run(call(self._oracle)), self._run(call(self._twins[twin]))

    def _compare(
        self, what: str, call: Callable[[FullDriver], Awaitable[object]], twin: int = 0
    ) -> None:
        agree(what, *self._both(call, twin))

    def _lease(self, position: int) -> Leased | None:
        return self._leases[position] if position < len(self._leases) else None

    # Operations. Each is played by one of two instances of the driver under test.

    @rule(plans=st.lists(plans, min_size=1, max_size=3), twin=st.integers(0, 1))
    def enqueue(self, plans: list[Plan], twin: int) -> None:
        if not self._has(Capability.IDEMPOTENT):
            known = self._run(self._oracle.find([plan.id for plan in plans]))
            plans = [plan for plan, snapshot in zip(plans, known, strict=True) if not snapshot]
        messages = [plan.message(self._began_at, self.capabilities) for plan in plans]
        self._compare("enqueue", lambda driver: driver.enqueue(messages), twin)

    @rule(
        caps=st.dictionaries(queues, numbers, min_size=1, max_size=3),
        limit=st.integers(0, 5),
        owner=owners,
        lease=seconds,
        twin=st.integers(0, 1),
    )
    def reserve(
        self, caps: dict[str, int], limit: int, owner: str, lease: float, twin: int
    ) -> None:
        self._reserve(caps, limit, owner, lease, twin)

    @rule(owner=owners, lease=seconds, twin=st.integers(0, 1))
    def reserve_all(self, owner: str, lease: float, twin: int) -> None:
        self._reserve(dict.fromkeys(QUEUES, 100), 100, owner, lease, twin)

    def _reserve(
        self, caps: Mapping[str, int], limit: int, owner: str, lease: float, twin: int
    ) -> None:
        expected, actual = self._both(
            lambda driver: driver.reserve(caps, limit=limit, owner=owner, lease=lease), twin
        )
        agree(
            "reserve",
            [(d.message, d.attempt, d.lost, d.enqueued_at, d.mismatched_for) for d in expected],
            [(d.message, d.attempt, d.lost, d.enqueued_at, d.mismatched_for) for d in actual],
        )
        for left, right in zip(expected, actual, strict=True):
            self._leases.insert(0, Leased(left.lease, right.lease, owner))
        del self._leases[RECENT_LEASES:]

    @precondition(lambda self: self._leases)
    @rule(
        picks=st.lists(st.tuples(positions, endings), min_size=1, max_size=4),
        twin=st.integers(0, 1),
    )
    def settle(self, picks: list[tuple[int, Ending]], twin: int) -> None:
        """Current leases, stale ones, and the same one twice."""
        picked = [(self._leases[p % len(self._leases)], ending) for p, ending in picks]
        expected = [ending(lease.expected) for lease, ending in picked]
        actual = [ending(lease.actual) for lease, ending in picked]
        agree(
            "settle",
            self._run(self._oracle.settle(expected)),
            self._run(self._twins[twin].settle(actual)),
        )

    @rule(
        owner=owners,
        lease=seconds,
        omitted=st.frozensets(positions, max_size=3),
        foreign=st.lists(positions, max_size=2),
        twin=st.integers(0, 1),
    )
    def extend(
        self, owner: str, lease: float, omitted: frozenset[int], foreign: list[int], twin: int
    ) -> None:
        """Mostly what the owner holds; some omitted, some stale or another owner's."""
        named = [
            leased
            for position, leased in enumerate(self._leases)
            if leased.owner == owner and position not in omitted
        ]
        named += [leased for p in foreign if (leased := self._lease(p)) and leased not in named]
        agree(
            "extend",
            self._run(self._oracle.extend(owner, [n.expected for n in named], lease=lease)),
            self._run(self._twins[twin].extend(owner, [n.actual for n in named], lease=lease)),
        )

    @rule(elapsed=st.one_of(seconds, seconds, seconds, st.just(A_MONTH)))
    def time_passes(self, elapsed: float) -> None:
        self._oracle.clock_offset += elapsed
        for twin in self._twins:
            twin.clock_offset = self._oracle.clock_offset

    @rule(twin=st.integers(0, 1))
    def an_instance_is_replaced(self, twin: int) -> None:
        """As by a process that ends: what it leased stays leased until its time is over."""
        self._run(self._twins[twin].close())
        self._twins[twin] = self._twins[1 - twin].clone()
        self._run(self._twins[twin].open())
        self._twins[twin].clock_offset = self._oracle.clock_offset

    @rule(names=st.lists(queues, min_size=1, max_size=3, unique=True), twin=st.integers(0, 1))
    def wait_where_there_is_work(self, names: list[str], twin: int) -> None:
        paused = self._run(self._oracle.paused())
        ready = [self._run(self._oracle.count(name)).ready for name in names if name not in paused]
        if any(ready):
            waiting = self._twins[twin].wait(names, timeout=PROMPT * 3)
            self._run(asyncio.wait_for(waiting, PROMPT))

    @precondition(lambda self: self._has(Capability.CANCEL))
    @rule(ids=few_ids, twin=st.integers(0, 1))
    def cancel(self, ids: list[bytes], twin: int) -> None:
        self._compare("cancel", lambda driver: driver.cancel(ids), twin)

    @precondition(lambda self: self._has(Capability.PAUSE))
    @rule(queue=queues, twin=st.integers(0, 1))
    def pause_or_resume(self, queue: str, twin: int) -> None:
        paused = queue in self._run(self._oracle.paused())
        self._both(lambda driver: (driver.resume if paused else driver.pause)(queue), twin)

    @precondition(lambda self: self._has(Capability.PROGRESS) and self._leases)
    @rule(position=positions, word=st.sampled_from((b"", b"half")), twin=st.integers(0, 1))
    def set_progress(self, position: int, word: bytes, twin: int) -> None:
        leased = self._leases[position % len(self._leases)]
        self._run(self._oracle.set_progress([(leased.expected, word)]))
        self._run(self._twins[twin].set_progress([(leased.actual, word)]))

    @precondition(lambda self: self._has(Capability.DEAD_LETTERS))
    @rule(ids=few_ids, twin=st.integers(0, 1))
    def requeue(self, ids: list[bytes], twin: int) -> None:
        self._compare("requeue", lambda driver: driver.requeue(ids), twin)

    @precondition(lambda self: self._has(Capability.DEAD_LETTERS))
    @rule(position=numbers, plan=plans, twin=st.integers(0, 1))
    def requeue_edited(self, position: int, plan: Plan, twin: int) -> None:
        message = plan.message(self._began_at, self.capabilities)
        dead = self._run(self._oracle.dead_letters()).items
        if position < len(dead):
            message.id = dead[position].message.id  # type: ignore[misc]  # a record just made here
        self._compare("requeue_edited", lambda driver: driver.requeue_edited(message), twin)

    @precondition(lambda self: self._has(Capability.DEAD_LETTERS))
    @rule(ids=few_ids, twin=st.integers(0, 1))
    def delete_dead(self, ids: list[bytes], twin: int) -> None:
        self._compare("delete_dead", lambda driver: driver.delete_dead(ids), twin)

    @precondition(lambda self: self._has(Capability.PURGE))
    @rule(queue=queues, states=st.frozensets(st.sampled_from(State)), twin=st.integers(0, 1))
    def purge(self, queue: str, states: Collection[State], twin: int) -> None:
        self._compare("purge", lambda driver: driver.purge(queue, states=states), twin)

    @precondition(lambda self: self._has(Capability.WORKERS))
    @rule(owner=owners, ttl=seconds, running=numbers, forget=st.booleans())
    def worker(self, owner: str, ttl: float, running: int, forget: bool) -> None:
        if forget:
            self._both(lambda driver: driver.forget_worker(owner))
        else:
            info = WorkerInfo(owner, "host", 1, 1_700_000_000.0, QUEUES, 9, running, "1")
            self._both(lambda driver: driver.record_worker(info, ttl=ttl))

    @precondition(lambda self: self._has(Capability.INSPECT))
    @rule(
        state=st.sampled_from((State.READY, State.SCHEDULED, State.LEASED, State.DEAD)),
        queue=st.one_of(st.none(), queues),
        since=st.one_of(st.none(), st.integers(0, 9)),
        until=st.one_of(st.none(), st.integers(0, 9)),
        limit=st.integers(1, 4),
    )
    def browse(
        self, state: State, queue: str | None, since: int | None, until: int | None, limit: int
    ) -> None:
        bounds = [None if n is None else self._began_at + (n - 0.5) * UNIT for n in (since, until)]

        async def listing(driver: FullDriver) -> dict[bytes, Snapshot]:
            found = await all_pages(
                lambda cursor: driver.browse(
                    state,
                    queue=queue,
                    since=bounds[0],
                    until=bounds[1],
                    limit=limit,
                    cursor=cursor,
                )
            )
            times = [snapshot.enqueued_at for snapshot in found]
            assert times == sorted(times), "browse is not in order of enqueue"
            return by_id(found)

        self._compare("browse", listing)

    # Everything that can be seen.

    @invariant()
    def counts_agree(self) -> None:
        async def count(driver: FullDriver, queue: str) -> QueueCounts:
            return await driver.count(queue)

        for queue in QUEUES:
            self._compare(f"count of {queue}", partial(count, queue=queue))

    @invariant()
    def messages_agree(self) -> None:
        if self._has(Capability.INSPECT):
            self._compare("find", lambda driver: driver.find(IDS))
            self._compare("queues", lambda driver: driver.queues())
        if self._has(Capability.PROGRESS):
            self._compare("progress", lambda driver: driver.progress(IDS))
        if self._has(Capability.RESULTS):
            self._compare("results", lambda driver: driver.results(IDS))

    @invariant()
    def dead_letters_agree(self) -> None:
        async def letters(driver: FullDriver) -> dict[bytes, DeadLetter]:
            found = await all_pages(lambda cursor: driver.dead_letters(limit=5, cursor=cursor))
            times = [letter.died_at for letter in found]
            assert times == sorted(times, reverse=True), "dead letters are not newest first"
            return by_id(found)

        if self._has(Capability.DEAD_LETTERS):
            self._compare("dead letters", letters)

    @invariant()
    def requests_agree(self) -> None:
        async def requests(driver: FullDriver, owner: str) -> set[bytes]:
            return {lease.id for lease in await driver.cancel_requests(owner)}

        if self._has(Capability.CANCEL):
            for owner in OWNERS:
                self._compare("cancel requests", partial(requests, owner=owner))
        if self._has(Capability.PAUSE):
            self._compare("paused", lambda driver: driver.paused())
        if self._has(Capability.WORKERS):
            self._compare("workers", lambda driver: driver.workers())
