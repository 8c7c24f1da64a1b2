"""The operations of the model test, each played on both drivers."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from asynctasq.conformance.full_store import FullStore
from asynctasq.conformance.harness import MOMENT
from asynctasq.conformance.model.comparison import agree, all_pages, by_id
from asynctasq.conformance.model.differential import DriverPair, Leased
from asynctasq.conformance.model.strategies import (
    QUEUES,
    UNIT,
    Ending,
    Plan,
    choices,
    endings,
    error_types,
    numbers,
    owners,
    patterns,
    plans,
    positions,
    queues,
    reasons,
    seconds,
    some_states,
    steps_of_time,
)
from asynctasq.contracts.capabilities import Capability, DeadLetter, Snapshot, WorkerInfo
from asynctasq.contracts.capabilities.move import Changes, SupportsMove
from asynctasq.message import Delivery, State
from asynctasq.settlement import Reason

LEASES_REMEMBERED = 30
PROMPT = 10.0
"""Seconds within which `wait` must return when there is work."""


def _told(delivery: Delivery) -> tuple[object, ...]:
    return (
        delivery.message,
        delivery.attempt,
        delivery.lost,
        delivery.enqueued_at,
        delivery.mismatched_for,
    )


class DriverModel(DriverPair):
    """One example: a memory driver and a driver under test that live through the same.

    Subclass with a `make_driver`, or use `run_model`.
    """

    @initialize(plans=st.lists(plans, min_size=1, max_size=4))
    def begin(self, plans: list[Plan]) -> None:
        """With something to work on."""
        self._enqueue(plans, 0)

    # What dispatchers and workers do. Each operation is played by one of two instances of the driver
    # under test.

    @rule(plan=plans)
    def enqueue_one(self, plan: Plan) -> None:
        self._enqueue([plan], 1)

    @rule(plans=st.lists(plans, min_size=1, max_size=3), clone=st.integers(0, 1))
    def enqueue(self, plans: list[Plan], clone: int) -> None:
        self._enqueue(plans, clone)

    def _enqueue(self, plans: list[Plan], clone: int) -> None:
        if not self._has(Capability.IDEMPOTENT):
            known = self._run(self._oracle.find([plan.id for plan in plans]))
            plans = [plan for plan, snapshot in zip(plans, known, strict=True) if not snapshot]
        messages = [plan.message(self._began_at, self.capabilities) for plan in plans]
        self._compare("enqueue", lambda driver: driver.enqueue(messages), clone)

    @rule(
        caps=st.dictionaries(queues, numbers, min_size=1, max_size=3),
        limit=st.integers(0, 5),
        owner=owners,
        lease=seconds,
        clone=st.integers(0, 1),
    )
    def reserve(
        self, caps: dict[str, int], limit: int, owner: str, lease: float, clone: int
    ) -> None:
        self._reserve(caps, limit, owner, lease, clone)

    @rule(owner=owners, lease=seconds, clone=st.integers(0, 1))
    def reserve_all(self, owner: str, lease: float, clone: int) -> None:
        self._reserve(dict.fromkeys(QUEUES, 100), 100, owner, lease, clone)

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
        self, caps: Mapping[str, int], limit: int, owner: str, lease: float, clone: int
    ) -> None:
        expected, actual = self._both(
            lambda driver: driver.reserve(caps, limit=limit, owner=owner, lease=lease), clone
        )
        agree(
            "reserve",
            [(*_told(d), d.due_at, d.resumed) for d in expected],
            [(*_told(d), d.due_at, d.resumed) for d in actual],
        )
        pairs = zip(expected, actual, strict=True)
        given = [Leased(left.lease, right.lease, owner) for left, right in pairs]
        self._leases = [*given, *self._leases][:LEASES_REMEMBERED]

    @precondition(lambda self: self._pool())
    @rule(
        picks=st.lists(st.tuples(positions, endings), min_size=1, max_size=4),
        clone=st.integers(0, 1),
    )
    def settle(self, picks: list[tuple[int, Ending]], clone: int) -> None:
        """Settle current leases, stale ones, and the same one twice."""
        pool = self._pool()
        self._settle([(pool[p % len(pool)], ending) for p, ending in picks], clone)

    @precondition(lambda self: self._pool())
    @rule(ending=endings, clone=st.integers(0, 1))
    def settle_newest(self, ending: Ending, clone: int) -> None:
        self._settle([(self._pool()[0], ending)], clone)

    @precondition(lambda self: self._pool())
    @rule(ending=endings, clone=st.integers(0, 1))
    def settle_all(self, ending: Ending, clone: int) -> None:
        self._settle([(leased, ending) for leased in self._pool()], clone)

    def _settle(self, picked: list[tuple[Leased, Ending]], clone: int) -> None:
        expected = [ending(lease.expected) for lease, ending in picked]
        actual = [ending(lease.actual) for lease, ending in picked]
        agree(
            "settle",
            self._run(self._oracle.settle(expected)),
            self._run(self._clones[clone].settle(actual)),
        )

    @precondition(lambda self: self._pool())
    @rule(
        position=positions,
        lease=seconds,
        swapped=st.frozensets(positions, max_size=3),
        clone=st.integers(0, 1),
    )
    def extend(self, position: int, lease: float, swapped: frozenset[int], clone: int) -> None:
        """Extend the leases of an owner; omit some, and name some of other owners."""
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
            self._run(self._clones[clone].extend(owner, [n.actual for n in named], lease=lease)),
        )

    # Time passes, and instances come and go.

    @rule()
    def a_unit_of_time_passes(self) -> None:
        self._advance(UNIT)

    @rule(elapsed=steps_of_time)
    def time_passes(self, elapsed: float) -> None:
        self._advance(elapsed)

    def _advance(self, elapsed: float) -> None:
        """Move the clocks, as in a store that is in use: the pause that a jump causes is over at once."""
        self._jump(elapsed)
        self._both(
            lambda driver: driver.reserve({"empty": 1}, limit=1, owner="upkeep", lease=MOMENT)
        )

    @rule(elapsed=steps_of_time)
    def the_clock_jumps(self, elapsed: float) -> None:
        """Move the clock: the next call finds an outage and reclaims no lease for a while."""
        self._jump(elapsed)

    def _jump(self, elapsed: float) -> None:
        self._oracle.clock_offset += elapsed
        for clone in self._clones:
            clone.clock_offset = self._oracle.clock_offset

    @precondition(lambda self: self._has(Capability.WORKERS))
    @rule(owner=owners, clone=st.integers(0, 1))
    def end_owner(self, owner: str, clone: int) -> None:
        self._compare("end_owner", lambda driver: driver.end_owner(owner), clone)

    @rule(clone=st.integers(0, 1))
    def an_instance_is_replaced(self, clone: int) -> None:
        """As by a process that ends: what it leased stays leased until its time is over."""
        self._run(self._clones[clone].close())
        self._clones[clone] = self._clones[1 - clone].clone()
        self._run(self._clones[clone].open())
        self._clones[clone].clock_offset = self._oracle.clock_offset

    @rule(names=st.lists(queues, min_size=1, max_size=3, unique=True), clone=st.integers(0, 1))
    def wait_where_there_is_work(self, names: list[str], clone: int) -> None:
        paused = self._run(self._oracle.paused())
        ready = [self._run(self._oracle.count(name)).ready for name in names if name not in paused]
        if any(ready):
            waiting = self._clones[clone].wait(names, timeout=PROMPT * 3)
            self._run(asyncio.wait_for(waiting, PROMPT))

    # What operators do, and what workers tell them.

    @precondition(lambda self: self._has(Capability.CANCEL) and self._oracle._store.entries)
    @rule(choices=choices, clone=st.integers(0, 1))
    def cancel(self, choices: list[int], clone: int) -> None:
        ids = self._chosen(choices, State.LEASED, State.READY, State.SCHEDULED)
        self._compare("cancel", lambda driver: driver.cancel(ids), clone)

    @precondition(lambda self: self._has(Capability.MOVE) and self._oracle._store.entries)
    @rule(
        choices=choices,
        queue=st.one_of(st.none(), queues),
        priority=st.sampled_from((None, 0, 5, 9)),
        due_units=st.sampled_from((None, None, -1, 1, 3)),
        expires=st.sampled_from((None, None, UNIT, 3 * UNIT)),
        clone=st.integers(0, 1),
    )
    def edit(
        self,
        choices: list[int],
        queue: str | None,
        priority: int | None,
        due_units: int | None,
        expires: float | None,
        clone: int,
    ) -> None:
        ids = self._chosen(choices, State.LEASED, State.READY, State.SCHEDULED)
        due_at = None if due_units is None else self._began_at + (due_units - 0.5) * UNIT
        changes = Changes(queue, priority, due_at, expires)

        async def call(driver: object) -> list[bool]:
            assert isinstance(driver, SupportsMove)
            return await driver.edit(ids, changes)

        self._compare("edit", call, clone)

    @precondition(lambda self: self._has(Capability.PAUSE))
    @rule(queue=queues, clone=st.integers(0, 1))
    def pause_or_resume(self, queue: str, clone: int) -> None:
        """One queue at a time, so that the others go on."""
        paused = self._run(self._oracle.paused())
        if paused:
            self._both(lambda driver: driver.resume(*paused), clone)
        else:
            self._both(lambda driver: driver.pause(queue), clone)

    @precondition(lambda self: self._has(Capability.PROGRESS) and self._pool())
    @rule(position=positions, word=st.sampled_from((b"", b"half")), clone=st.integers(0, 1))
    def set_progress(self, position: int, word: bytes, clone: int) -> None:
        pool = self._pool()
        leased = pool[position % len(pool)]
        self._run(self._oracle.set_progress([(leased.expected, word)]))
        self._run(self._clones[clone].set_progress([(leased.actual, word)]))

    @precondition(lambda self: self._has(Capability.DEAD_LETTERS) and self._oracle._store.dead)
    @rule(choices=choices, clone=st.integers(0, 1))
    def requeue(self, choices: list[int], clone: int) -> None:
        ids = self._chosen(choices, State.DEAD)
        self._compare("requeue", lambda driver: driver.requeue(ids), clone)

    @precondition(lambda self: self._has(Capability.DEAD_LETTERS) and self._oracle._store.dead)
    @rule(position=numbers, plan=plans, clone=st.integers(0, 1))
    def requeue_edited(self, position: int, plan: Plan, clone: int) -> None:
        [message_id] = self._chosen([position], State.DEAD)
        message = replace(plan, id=message_id).message(self._began_at, self.capabilities)
        self._compare("requeue_edited", lambda driver: driver.requeue_edited(message), clone)

    @precondition(lambda self: self._has(Capability.DEAD_LETTERS) and self._oracle._store.dead)
    @rule(choices=choices, clone=st.integers(0, 1))
    def delete_dead(self, choices: list[int], clone: int) -> None:
        ids = self._chosen(choices, State.DEAD)
        self._compare("delete_dead", lambda driver: driver.delete_dead(ids), clone)

    @precondition(lambda self: self._has(Capability.PURGE) and len(self._oracle._store.entries) > 2)
    @rule(queue=queues, states=some_states, clone=st.integers(0, 1))
    def purge(self, queue: str, states: Collection[State], clone: int) -> None:
        self._compare("purge", lambda driver: driver.purge(queue, states=states), clone)

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
        task=patterns,
        owner=st.one_of(st.none(), st.none(), owners),
        since=st.one_of(st.none(), st.integers(0, 9)),
        until=st.one_of(st.none(), st.integers(0, 9)),
        limit=st.integers(1, 4),
    )
    def browse(
        self,
        state: State,
        queue: str | None,
        task: str | None,
        owner: str | None,
        since: int | None,
        until: int | None,
        limit: int,
    ) -> None:
        bounds = [None if n is None else self._began_at + (n - 0.5) * UNIT for n in (since, until)]

        async def listing(driver: FullStore) -> dict[bytes, Snapshot]:
            found = await all_pages(
                lambda cursor: driver.browse(
                    state,
                    queue=queue,
                    task=task,
                    owner=owner,
                    since=bounds[0],
                    until=bounds[1],
                    limit=limit,
                    cursor=cursor,
                )
            )
            return by_id(found)

        self._compare("browse", listing)

    @precondition(lambda self: self._has(Capability.DEAD_LETTERS) and self._oracle._store.dead)
    @rule(
        queue=st.one_of(st.none(), queues),
        task=patterns,
        reason=reasons,
        error=error_types,
        limit=st.integers(1, 3),
    )
    def dead_letters(
        self,
        queue: str | None,
        task: str | None,
        reason: Reason | None,
        error: str | None,
        limit: int,
    ) -> None:
        async def listing(driver: FullStore) -> dict[bytes, DeadLetter]:
            found = await all_pages(
                lambda cursor: driver.dead_letters(
                    queue=queue,
                    task=task,
                    reason=reason,
                    error=error,
                    limit=limit,
                    cursor=cursor,
                )
            )
            return by_id(found)

        self._compare("dead_letters", listing)

    @rule(queue=queues, bound=st.integers(1, 4))
    def count_to_a_bound(self, queue: str, bound: int) -> None:
        self._compare("count", lambda driver: driver.count(queue, bound=bound))

    @precondition(lambda self: self._has(Capability.INSPECT))
    @rule(bound=st.integers(1, 4))
    def queues_to_a_bound(self, bound: int) -> None:
        self._compare("queues", lambda driver: driver.queues(bound=bound))
