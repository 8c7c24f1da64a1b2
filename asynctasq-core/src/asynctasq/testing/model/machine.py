"""The state machine: two drivers that live through the same operations."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import ConfigurationError
from asynctasq.message import Lease, State
from asynctasq.records import record
from asynctasq.testing.model.agreement import agree, all_pages, by_id
from asynctasq.testing.model.plays import (
    IDS,
    OWNERS,
    QUEUES,
    UNIT,
    Ending,
    Plan,
    choices,
    endings,
    numbers,
    owners,
    plans,
    positions,
    queues,
    seconds,
    some_states,
    steps_of_time,
)

T = TypeVar("T")

LEASES_REMEMBERED = 30
STALE_LEASES = 3
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

    Subclass with a `make_driver`, or use `run_model`.
    """

    capabilities: Capability
    """What is played; all that the driver has unless a subclass says otherwise."""

    def make_driver(self) -> Driver:
        """An unopened driver over an empty store."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        subject = cast("FullDriver", self.make_driver())
        if not hasattr(self, "capabilities"):
            self.capabilities = subject.capabilities
        if NEEDED not in self.capabilities:
            raise ConfigurationError(
                f"The model test compares exactly, and so needs {NEEDED}; "
                f"{type(subject).__qualname__} lacks {NEEDED & ~self.capabilities}."
            )
        self._oracle = MemoryDriver()
        self._twins = [subject, subject.clone()]
        self._loop = asyncio.new_event_loop()
        try:
            for driver in (self._oracle, *self._twins):
                self._run(driver.open())
        except BaseException:  # hypothesis tears down only what was made
            self._loop.close()
            raise
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

    def _run(self, call: Coroutine[object, object, T]) -> T:
        return self._loop.run_until_complete(call)

    def _both(
        self, call: Callable[[FullDriver], Coroutine[object, object, T]], twin: int = 0
    ) -> tuple[T, T]:
        return self._run(call(self._oracle)), self._run(call(self._twins[twin]))

    def _compare(
        self,
        what: str,
        call: Callable[[FullDriver], Coroutine[object, object, object]],
        twin: int = 0,
    ) -> None:
        agree(what, *self._both(call, twin))

    @initialize(plans=st.lists(plans, min_size=1, max_size=4))
    def begin(self, plans: list[Plan]) -> None:
        """With something to work on."""
        self._enqueue(plans, 0)

    def _pool(self) -> list[Leased]:
        """The current leases, and the newest of those that are not."""
        current: list[Leased] = []
        stale: list[Leased] = []
        for leased in self._leases:
            entry = self._oracle._store.entries.get(leased.expected.id)
            holds = entry is not None and entry.state is State.LEASED
            known = holds and entry is not None and entry.token == leased.expected.token
            (current if known else stale).append(leased)
        return current + stale[:STALE_LEASES]

    def _chosen(self, choices: list[int], *states: State) -> list[bytes]:
        """Ids of messages that are in such states where there are any; otherwise any ids."""
        found = self._run(self._oracle.find(IDS))
        there = [s.message.id for state in states for s in found if s and s.state is state]
        return [there[n % len(there)] if there and n < 10 else IDS[n % len(IDS)] for n in choices]

    # Operations. Each is played by one of two instances of the driver under test.

    @rule(plan=plans)
    def enqueue_one(self, plan: Plan) -> None:
        self._enqueue([plan], 1)

    @rule(plans=st.lists(plans, min_size=1, max_size=3), twin=st.integers(0, 1))
    def enqueue(self, plans: list[Plan], twin: int) -> None:
        self._enqueue(plans, twin)

    def _enqueue(self, plans: list[Plan], twin: int) -> None:
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

    @rule(plan=plans, owner=owners, lease=seconds)
    def enqueue_and_reserve_one(self, plan: Plan, owner: str, lease: float) -> None:
        """Most of what is of interest happens to messages that were leased."""
        self._enqueue_and_reserve([plan], owner, lease)

    @rule(plans=st.lists(plans, min_size=2, max_size=4), owner=owners, lease=seconds)
    def enqueue_and_reserve_all(self, plans: list[Plan], owner: str, lease: float) -> None:
        self._enqueue_and_reserve(plans, owner, lease)

    def _enqueue_and_reserve(self, plans: list[Plan], owner: str, lease: float) -> None:
        ready = [replace(plan, delay=0.0, eta_units=None, expires=None) for plan in plans]
        self._enqueue(ready, 0)
        self._reserve(dict.fromkeys(QUEUES, 100), 100, owner, lease, 1)

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
        pairs = zip(expected, actual, strict=True)
        given = [Leased(left.lease, right.lease, owner) for left, right in pairs]
        self._leases = [*given, *self._leases][:LEASES_REMEMBERED]

    @precondition(lambda self: self._pool())
    @rule(
        picks=st.lists(st.tuples(positions, endings), min_size=1, max_size=4),
        twin=st.integers(0, 1),
    )
    def settle(self, picks: list[tuple[int, Ending]], twin: int) -> None:
        """Current leases, stale ones, and the same one twice."""
        pool = self._pool()
        self._settle([(pool[p % len(pool)], ending) for p, ending in picks], twin)

    @precondition(lambda self: self._pool())
    @rule(ending=endings, twin=st.integers(0, 1))
    def settle_newest(self, ending: Ending, twin: int) -> None:
        self._settle([(self._pool()[0], ending)], twin)

    @precondition(lambda self: self._pool())
    @rule(ending=endings, twin=st.integers(0, 1))
    def settle_all(self, ending: Ending, twin: int) -> None:
        self._settle([(leased, ending) for leased in self._pool()], twin)

    def _settle(self, picked: list[tuple[Leased, Ending]], twin: int) -> None:
        expected = [ending(lease.expected) for lease, ending in picked]
        actual = [ending(lease.actual) for lease, ending in picked]
        agree(
            "settle",
            self._run(self._oracle.settle(expected)),
            self._run(self._twins[twin].settle(actual)),
        )

    @precondition(lambda self: self._pool())
    @rule(
        position=positions,
        lease=seconds,
        swapped=st.frozensets(positions, max_size=3),
        twin=st.integers(0, 1),
    )
    def extend(self, position: int, lease: float, swapped: frozenset[int], twin: int) -> None:
        """What the owner was given, but for some that are omitted, and some of other owners."""
        pool = self._pool()
        owner = pool[position % len(pool)].owner
        named = [
            leased
            for place, leased in enumerate(pool)
            if (leased.owner == owner) is (place not in swapped)
        ]
        agree(
            "extend",
            self._run(self._oracle.extend(owner, [n.expected for n in named], lease=lease)),
            self._run(self._twins[twin].extend(owner, [n.actual for n in named], lease=lease)),
        )

    @rule()
    def a_unit_of_time_passes(self) -> None:
        self._advance(UNIT)

    @rule(elapsed=steps_of_time)
    def time_passes(self, elapsed: float) -> None:
        self._advance(elapsed)

    def _advance(self, elapsed: float) -> None:
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

    @precondition(lambda self: self._has(Capability.CANCEL) and self._oracle._store.entries)
    @rule(choices=choices, twin=st.integers(0, 1))
    def cancel(self, choices: list[int], twin: int) -> None:
        ids = self._chosen(choices, State.LEASED, State.READY, State.SCHEDULED)
        self._compare("cancel", lambda driver: driver.cancel(ids), twin)

    @precondition(lambda self: self._has(Capability.PAUSE))
    @rule(queue=queues, twin=st.integers(0, 1))
    def pause_or_resume(self, queue: str, twin: int) -> None:
        """One queue at a time, so that the others go on."""
        paused = self._run(self._oracle.paused())
        if paused:
            self._both(lambda driver: driver.resume(*paused), twin)
        else:
            self._both(lambda driver: driver.pause(queue), twin)

    @precondition(lambda self: self._has(Capability.PROGRESS) and self._pool())
    @rule(position=positions, word=st.sampled_from((b"", b"half")), twin=st.integers(0, 1))
    def set_progress(self, position: int, word: bytes, twin: int) -> None:
        pool = self._pool()
        leased = pool[position % len(pool)]
        self._run(self._oracle.set_progress([(leased.expected, word)]))
        self._run(self._twins[twin].set_progress([(leased.actual, word)]))

    @precondition(lambda self: self._has(Capability.DEAD_LETTERS) and self._oracle._store.dead)
    @rule(choices=choices, twin=st.integers(0, 1))
    def requeue(self, choices: list[int], twin: int) -> None:
        ids = self._chosen(choices, State.DEAD)
        self._compare("requeue", lambda driver: driver.requeue(ids), twin)

    @precondition(lambda self: self._has(Capability.DEAD_LETTERS) and self._oracle._store.dead)
    @rule(position=numbers, plan=plans, twin=st.integers(0, 1))
    def requeue_edited(self, position: int, plan: Plan, twin: int) -> None:
        [message_id] = self._chosen([position], State.DEAD)
        message = replace(plan, id=message_id).message(self._began_at, self.capabilities)
        self._compare("requeue_edited", lambda driver: driver.requeue_edited(message), twin)

    @precondition(lambda self: self._has(Capability.DEAD_LETTERS) and self._oracle._store.dead)
    @rule(choices=choices, twin=st.integers(0, 1))
    def delete_dead(self, choices: list[int], twin: int) -> None:
        ids = self._chosen(choices, State.DEAD)
        self._compare("delete_dead", lambda driver: driver.delete_dead(ids), twin)

    @precondition(lambda self: self._has(Capability.PURGE) and len(self._oracle._store.entries) > 2)
    @rule(queue=queues, states=some_states, twin=st.integers(0, 1))
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

    @invariant()
    def everything_that_can_be_seen_agrees(self) -> None:
        agree("state", *self._both(self._picture))

    async def _picture(self, driver: FullDriver) -> dict[str, object]:
        seen: dict[str, object] = {"count": [await driver.count(queue) for queue in QUEUES]}
        if self._has(Capability.INSPECT):
            seen["find"] = await driver.find(IDS)
            seen["queues"] = await driver.queues()
        if self._has(Capability.RESULTS):
            seen["results"] = await driver.results(IDS)
        if self._has(Capability.PROGRESS):
            seen["progress"] = await driver.progress(IDS)
        if self._has(Capability.DEAD_LETTERS):
            seen["dead_letters"] = await dead_letters(driver)
        if self._has(Capability.CANCEL):
            requests = [await driver.cancel_requests(owner) for owner in OWNERS]
            seen["cancel_requests"] = [sorted(lease.id for lease in found) for found in requests]
        if self._has(Capability.PAUSE):
            seen["paused"] = sorted(await driver.paused())
        if self._has(Capability.WORKERS):
            seen["workers"] = await driver.workers()
        return seen


async def dead_letters(driver: FullDriver) -> dict[bytes, DeadLetter]:
    """All of them, read in pages."""
    found = await all_pages(lambda cursor: driver.dead_letters(limit=5, cursor=cursor))
    times = [letter.died_at for letter in found]
    assert times == sorted(times, reverse=True), "dead letters are not newest first"
    return by_id(found)
