"""Promises that only several processes can break: one store, many processes, SIGKILL at any moment.

Each function makes its own queue with a random name, works for a few seconds, and raises
`AssertionError` where a driver breaks a promise. `make_driver` is called in the parent and in every
child, so it must be picklable (a class, a module's function, or a `functools.partial` of one).
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from asynctasq.conformance.child import LEASE, Children, Event, Role, Work
from asynctasq.conformance.harness import expect, expect_equal, let_tidy, random_name
from asynctasq.contracts.capabilities import Capability, SupportsResults
from asynctasq.contracts.driver import Driver
from asynctasq.message import Lease, State, new_id
from asynctasq.records import record
from asynctasq.settlement import Complete, LeaseState, Release, Settled

SPARE = 2
"""Number of additional processes, so that some work while others start."""

_ROUNDS_TO_DRAIN = 1000


@record
class KillReport:
    """The events of a run of kills, all proved consistent."""

    messages: int
    kills: int
    deliveries: int
    completed_by_children: int
    completed_by_parent: int
    unheard: int
    """Completed by a child that was killed before it could note the answer."""


def check_each_message_once(
    make_driver: Callable[[], Driver],
    folder: Path,
    *,
    messages: int = 400,
    consumers: int = 3,
) -> None:
    """Enqueue in one process and reserve in several: each message goes to exactly one."""
    queue = random_name("once")
    ids = [new_id() for _ in range(messages)]
    with Children(make_driver, folder) as children:
        for _ in range(consumers):
            children.start(Work(Role.COMPLETE, queue))
        children.start(Work(Role.PRODUCE, queue, ids=tuple(ids)))
        children.wait_until(
            lambda: sum(event.name == "done" for event in children.events()) >= messages
        )
        children.kill_all()
        events = children.events()
    started = Counter(event.id for event in events if event.name == "start")
    expect_equal(len(started), messages, "number of messages that were delivered")
    expect_equal(set(started), set(ids), "messages that were delivered")
    expect_equal(max(started.values()), 1, "times that a message was delivered")


def check_kills(
    make_driver: Callable[[], Driver],
    folder: Path,
    *,
    messages: int = 600,
    consumers: int = 3,
    kills: int = 12,
    seed: int = 0,
) -> KillReport:
    """Kill processes that enqueue, reserve and settle at random moments, and start new ones.

    In the end every message has ended exactly once, none is lost and none is stuck. Half of them are
    left to the parent to complete, so that every kill finds work going on. Producers are killed too
    where a repeated enqueue is harmless (`IDEMPOTENT`).
    """
    chance = random.Random(seed)
    queue = random_name("killed")
    ids = [new_id() for _ in range(messages)]
    idempotent = Capability.IDEMPOTENT in make_driver().capabilities
    with Children(make_driver, folder) as children:
        producer = children.start(Work(Role.PRODUCE, queue, ids=tuple(ids), chunk=5))
        for number in range(consumers + SPARE):
            children.start(Work(Role.CONSUME, queue, seed=seed * 1000 + number))
        for number in range(kills):
            children.wait_until(lambda: len(children.ready()) > consumers)
            time.sleep(chance.uniform(0.0, 0.12))
            victims = [child for child in children.ready() if idempotent or child is not producer]
            victim = chance.choice(victims)
            children.kill(victim)
            if victim is producer:
                producer = children.start(victim.work)
            else:
                children.start(Work(Role.CONSUME, queue, seed=seed * 1000 + 100 + number))
        children.wait_until(lambda: producer.has("end"))
        children.wait_until(lambda: any(event.name == "done" for event in children.events()))
        children.kill_all()
        events = children.events()
    return asyncio.run(_account(make_driver, queue, ids, events, kills))


async def _account(
    make_driver: Callable[[], Driver],
    queue: str,
    ids: Sequence[bytes],
    events: Sequence[Event],
    kills: int,
) -> KillReport:
    """Complete the remaining messages, then compare the logs of the processes with the store."""
    driver = make_driver()
    await driver.open()
    try:
        driver.clock_offset = LEASE * 2
        await let_tidy(driver)
        drained = await _drain(driver, queue)
        fenced = Capability.FENCED in driver.capabilities
        done = Counter(event.id for event in events if event.name == "done")
        done.update(drained)
        meant = {event.id for event in events if event.name == "meant"}
        unknown = set(done) - set(ids)
        expect(not unknown, f"{len(unknown)} messages were completed that were never enqueued")
        if fenced:
            twice = [message_id for message_id, times in done.items() if times > 1]
            expect(not twice, f"{len(twice)} messages were completed twice")
            leases = Counter((e.id, e.token) for e in events if e.name == "start")
            doubled = [lease for lease, times in leases.items() if times > 1]
            expect(not doubled, f"{len(doubled)} leases were given to two processes")
        lost = [one for one in ids if one not in done and one not in meant]
        expect(not lost, f"{len(lost)} of {len(ids)} messages are lost")
        await _expect_outcomes(driver, ids, events)
        if Capability.EXACT_COUNT in driver.capabilities:
            counts = await driver.count(queue)
            expect_equal(counts, type(counts)(), "counts of the queue in the end")
        unheard = len(set(ids) - set(done))
        return KillReport(
            messages=len(ids),
            kills=kills,
            deliveries=sum(event.name == "start" for event in events) + len(drained),
            completed_by_children=sum(event.name == "done" for event in events),
            completed_by_parent=len(drained),
            unheard=unheard,
        )
    finally:
        driver.clock_offset = 0.0
        await driver.close()


async def _drain(driver: Driver, queue: str) -> list[bytes]:
    """Complete all remaining messages, now that every lease has ended and every delay is over.

    Without `FENCED`, a process that was killed during a retry or a release may have left two copies of a message.
    Of these, one end is enough: a store that keeps outcomes answers LOST to the other.
    """
    fenced = Capability.FENCED in driver.capabilities
    drained: list[bytes] = []
    empty = 0
    for _ in range(_ROUNDS_TO_DRAIN):
        deliveries = await driver.reserve({queue: 100}, limit=100, owner="drain", lease=LEASE)
        empty = 0 if deliveries else empty + 1
        if empty == 3:
            return drained
        answers = await driver.settle(
            [Complete(d.lease, f"drain:{d.lease.token}".encode()) for d in deliveries]
        )
        ids = [delivery.message.id for delivery in deliveries]
        drained += [one for one, answer in zip(ids, answers, strict=True) if answer is Settled.DONE]
        ended = set() if fenced else set(drained)
        expect_equal(
            [
                answer
                for one, answer in zip(ids, answers, strict=True)
                if answer is not Settled.DONE and not (answer is Settled.LOST and one in ended)
            ],
            [],
            "answers of settle in the end, other than DONE",
        )
    raise AssertionError(f"the queue is not empty after {_ROUNDS_TO_DRAIN} reserves of 100")


async def _expect_outcomes(driver: Driver, ids: Sequence[bytes], events: Sequence[Event]) -> None:
    """Check that each message has one outcome, which is that of the process that logged its success."""
    if Capability.RESULTS not in driver.capabilities or not isinstance(driver, SupportsResults):
        return
    outcomes = await driver.results(ids)
    missing = sum(o is None or o.state is not State.COMPLETED for o in outcomes)
    expect(not missing, f"{missing} of {len(ids)} messages vanished without an outcome")
    noted = {e.id: f"{e.owner}:{e.token}".encode() for e in events if e.name == "done"}
    overwritten = sum(o is not None and o.result != noted.get(o.id, o.result) for o in outcomes)
    expect(not overwritten, f"{overwritten} results are not of the process that was told DONE")


def check_stale_owner(make_driver: Callable[[], Driver], folder: Path) -> None:
    """Kill a process that holds a lease; its token must be worthless once the lease is reclaimed.

    Needs `FENCED`.
    """
    queue = random_name("stale")
    message_id = new_id()
    with Children(make_driver, folder) as children:
        children.start(Work(Role.PRODUCE, queue, ids=(message_id,)))
        holder = children.start(Work(Role.HOLD, queue))
        children.wait_until(lambda: holder.has("start"))
        stale = next(event for event in holder.events() if event.name == "start")
        children.kill(holder)
    asyncio.run(_expect_stale(make_driver, queue, Lease(message_id, stale.token), stale.owner))


async def _expect_stale(
    make_driver: Callable[[], Driver], queue: str, stale: Lease, stale_owner: str
) -> None:
    driver = make_driver()
    await driver.open()
    try:
        nothing = await driver.reserve({queue: 1}, limit=1, owner="next", lease=LEASE)
        expect_equal(nothing, [], "reserve while the killed process's lease runs")
        driver.clock_offset = LEASE * 2
        await let_tidy(driver)
        [current] = await driver.reserve({queue: 1}, limit=1, owner="next", lease=LEASE)
        expect_equal(current.message.id, stale.id, "the message that is delivered again")
        expect_equal((current.attempt, current.lost), (0, 1), "attempt and lost count")
        states = await driver.extend(stale_owner, [stale], lease=LEASE)
        expect_equal(states, [LeaseState.LOST], "answer of extend to the stale owner")
        for settlement in (Complete(stale, b"stale"), Release(stale)):
            answers = await driver.settle([settlement])
            expect_equal(answers, [Settled.LOST], "answer of settle to the stale owner")
        answers = await driver.settle([Complete(current.lease)])
        expect_equal(answers, [Settled.DONE], "answer of settle to the owner")
    finally:
        driver.clock_offset = 0.0
        await driver.close()
