"""WORKERS: a registry with heartbeats."""

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import LEASE, Harness, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability, WorkerInfo
from asynctasq.message import State
from asynctasq.settlement import Complete, LeaseState, Reason, Settled

NEEDS = Capability.WORKERS


def _worker(worker_id: str, *, running: int = 0) -> WorkerInfo:
    return WorkerInfo(
        id=worker_id,
        host="höst.example",
        pid=4711,
        started_at=1_700_000_000.5,
        queues=("default", "mail.high"),
        concurrency=100,
        running=running,
        version="0.1.0",
        seen_at=1_700_000_100.25,
        phase="running",
        loop_lag=0.25,
        resident_bytes=1 << 33,
        tasks=("shop.ship", "größe"),
        longest_run=12.5,
    )


async def _listed(harness: Harness, *ids: str) -> list[WorkerInfo]:
    """Return the listed workers whose ID is in `ids`, in the order of the listing."""
    return [worker for worker in await harness.workers.workers() if worker.id in ids]


@check("", 37, needs=NEEDS)
async def workers_are_listed_by_id(harness: Harness) -> None:
    first, second = sorted(random_name("worker") for _ in range(2))
    await harness.workers.record_worker(_worker(second), ttl=1000.0)
    await harness.workers.record_worker(_worker(first), ttl=1000.0)
    [harness.clone] = await harness.open_clones(1)
    expected = [_worker(first), _worker(second)]
    expect_equal(
        await _listed(harness, first, second), expected, "workers, seen by another instance"
    )


@check("", 37, needs=NEEDS)
async def heartbeat_updates_and_keeps_alive(harness: Harness) -> None:
    name = random_name("worker")
    await harness.workers.record_worker(_worker(name), ttl=1000.0)
    await harness.advance(800)
    await harness.workers.record_worker(_worker(name, running=7), ttl=1000.0)
    await harness.advance(800)
    await harness.upkeep()
    expect_equal(await _listed(harness, name), [_worker(name, running=7)], "worker that lives")


@check("k", 37, needs=NEEDS)
async def silent_worker_is_forgotten(harness: Harness) -> None:
    silent, alive = random_name("silent"), random_name("alive")
    await harness.workers.record_worker(_worker(silent), ttl=1000.0)
    await harness.workers.record_worker(_worker(alive), ttl=5000.0)
    harness.jump(1100)
    expect_equal(await _listed(harness, silent, alive), [_worker(alive)], "workers that live")


@check("", 37, needs=NEEDS)
async def worker_that_says_good_bye_is_forgotten(harness: Harness) -> None:
    gone, alive = random_name("gone"), random_name("alive")
    for name in (gone, alive):
        await harness.workers.record_worker(_worker(name), ttl=1000.0)
    for _ in range(2):
        await harness.workers.forget_worker(gone)
    expect_equal(await _listed(harness, gone, alive), [_worker(alive)], "workers that live")


# The process of an owner has died.


@check("b", 7, 53, needs=NEEDS)
async def ended_owner_loses_its_leases_at_once(harness: Harness) -> None:
    """They count as lost, and the messages keep their places. Another owner keeps its leases."""
    await harness.enqueue_count(3)
    other = random_name("other")
    [kept] = await harness.reserve(1, owner=other)
    lost = await harness.reserve()
    await harness.workers.end_owner(harness.owner)
    await harness.expect_counts(ready=2, leased=1)
    again = await harness.reserve()
    expect_equal(
        sorted(delivery.message.id for delivery in again),
        sorted(delivery.message.id for delivery in lost),
        "messages delivered again",
    )
    for delivery in again:
        harness.expect_tries(delivery, attempt=0, lost=1)
    states = await harness.driver.extend(other, [kept.lease], lease=LEASE)
    expect_equal(states, [LeaseState.HELD], "answer of extend to another owner")


@check("bc", 9, 53, needs=NEEDS | Capability.FENCED)
async def ended_owner_can_do_nothing_more(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.workers.end_owner(harness.owner)
    states = await harness.driver.extend(harness.owner, [delivery.lease], lease=LEASE)
    expect_equal(states, [LeaseState.LOST], "answer of extend to an ended owner")
    answers = await harness.driver.settle([Complete(delivery.lease)])
    expect_equal(answers, [Settled.LOST], "answer of settle to an ended owner")
    await harness.expect_counts(ready=1)


@check("b", 7, 53, needs=NEEDS | Capability.COUNTED)
async def ended_owner_loses_for_good_what_must_not_run_twice(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease(max_lost=0)
    await harness.workers.end_owner(harness.owner)
    await harness.expect_dead(delivery.message.id, Reason.LOST)


@check("h", 28, 53, needs=NEEDS | Capability.CANCEL)
async def ended_owner_leaves_flagged_messages_cancelled(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.canceller.cancel([delivery.message.id])
    await harness.workers.end_owner(harness.owner)
    if harness.has(Capability.RESULTS):
        [outcome] = await harness.results.results([delivery.message.id])
        state = outcome and outcome.state
        expect_equal(state, State.CANCELLED, "state in the outcome of a flagged message")
    await harness.expect_gone(delivery.message.id)


@check("b", 53, needs=NEEDS)
async def unknown_owner_can_be_ended_and_a_known_one_twice(harness: Harness) -> None:
    await harness.workers.end_owner(random_name("unknown"))
    await harness.enqueue_and_lease()
    for _ in range(2):
        await harness.workers.end_owner(harness.owner)
    harness.expect_tries(await harness.lease(), attempt=0, lost=1)


@check("b", 53, needs=NEEDS)
async def owner_with_many_leases_is_ended_completely(harness: Harness) -> None:
    for _ in range(3):
        await harness.enqueue_count(1000)
    for _ in range(30):
        if not await harness.reserve(500):
            break
    await harness.workers.end_owner(harness.owner)
    await harness.expect_counts(ready=3000)
