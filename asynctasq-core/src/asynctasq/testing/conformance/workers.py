"""WORKERS: a registry with heartbeats."""

from asynctasq.contracts.capabilities import Capability, WorkerInfo
from asynctasq.message import State
from asynctasq.settlement import Complete, LeaseState, Reason, Settled
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import LEASE, Kit, expect_equal, random_name

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
    )


async def _listed(kit: Kit, *ids: str) -> list[WorkerInfo]:
    """Those of `ids` that are listed, in the order of the listing."""
    return [worker for worker in await kit.workers.workers() if worker.id in ids]


@check("", 37, needs=NEEDS)
async def workers_are_listed_by_id(kit: Kit) -> None:
    first, second = sorted(random_name("worker") for _ in range(2))
    await kit.workers.record_worker(_worker(second), ttl=1000.0)
    await kit.workers.record_worker(_worker(first), ttl=1000.0)
    [kit.twin] = await kit.open_twins(1)
    expected = [_worker(first), _worker(second)]
    expect_equal(await _listed(kit, first, second), expected, "workers, seen by another instance")


@check("", 37, needs=NEEDS)
async def heartbeat_updates_and_keeps_alive(kit: Kit) -> None:
    name = random_name("worker")
    await kit.workers.record_worker(_worker(name), ttl=1000.0)
    await kit.advance(800)
    await kit.workers.record_worker(_worker(name, running=7), ttl=1000.0)
    await kit.advance(800)
    await kit.upkeep()
    expect_equal(await _listed(kit, name), [_worker(name, running=7)], "worker that lives")


@check("k", 37, needs=NEEDS)
async def silent_worker_is_forgotten(kit: Kit) -> None:
    silent, alive = random_name("silent"), random_name("alive")
    await kit.workers.record_worker(_worker(silent), ttl=1000.0)
    await kit.workers.record_worker(_worker(alive), ttl=5000.0)
    kit.jump(1100)
    expect_equal(await _listed(kit, silent, alive), [_worker(alive)], "workers that live")


@check("", 37, needs=NEEDS)
async def worker_that_says_good_bye_is_forgotten(kit: Kit) -> None:
    gone, alive = random_name("gone"), random_name("alive")
    for name in (gone, alive):
        await kit.workers.record_worker(_worker(name), ttl=1000.0)
    for _ in range(2):
        await kit.workers.forget_worker(gone)
    expect_equal(await _listed(kit, gone, alive), [_worker(alive)], "workers that live")


# The process of an owner has died.


@check("b", 7, 53, needs=NEEDS)
async def ended_owner_loses_its_leases_at_once(kit: Kit) -> None:
    """They count as lost, and the messages keep their places. Another owner keeps its leases."""
    await kit.enqueue_count(3)
    other = random_name("other")
    [kept] = await kit.reserve(1, owner=other)
    lost = await kit.reserve()
    await kit.workers.end_owner(kit.owner)
    await kit.expect_counts(ready=2, leased=1)
    again = await kit.reserve()
    expect_equal(
        sorted(delivery.message.id for delivery in again),
        sorted(delivery.message.id for delivery in lost),
        "messages delivered again",
    )
    for delivery in again:
        kit.expect_tries(delivery, attempt=0, lost=1)
    states = await kit.driver.extend(other, [kept.lease], lease=LEASE)
    expect_equal(states, [LeaseState.HELD], "answer of extend to another owner")


@check("bc", 9, 53, needs=NEEDS | Capability.FENCED)
async def ended_owner_can_do_nothing_more(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.workers.end_owner(kit.owner)
    states = await kit.driver.extend(kit.owner, [delivery.lease], lease=LEASE)
    expect_equal(states, [LeaseState.LOST], "answer of extend to an ended owner")
    answers = await kit.driver.settle([Complete(delivery.lease)])
    expect_equal(answers, [Settled.LOST], "answer of settle to an ended owner")
    await kit.expect_counts(ready=1)


@check("b", 7, 53, needs=NEEDS | Capability.COUNTED)
async def ended_owner_loses_for_good_what_must_not_run_twice(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease(max_lost=0)
    await kit.workers.end_owner(kit.owner)
    await kit.expect_dead(delivery.message.id, Reason.LOST)


@check("h", 28, 53, needs=NEEDS | Capability.CANCEL)
async def ended_owner_leaves_flagged_messages_cancelled(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.canceller.cancel([delivery.message.id])
    await kit.workers.end_owner(kit.owner)
    if kit.has(Capability.RESULTS):
        [outcome] = await kit.results.results([delivery.message.id])
        state = outcome and outcome.state
        expect_equal(state, State.CANCELLED, "state in the outcome of a flagged message")
    await kit.expect_gone(delivery.message.id)


@check("b", 53, needs=NEEDS)
async def unknown_owner_can_be_ended_and_a_known_one_twice(kit: Kit) -> None:
    await kit.workers.end_owner(random_name("unknown"))
    await kit.enqueue_and_lease()
    for _ in range(2):
        await kit.workers.end_owner(kit.owner)
    kit.expect_tries(await kit.lease(), attempt=0, lost=1)


@check("b", 53, needs=NEEDS)
async def owner_with_many_leases_is_ended_completely(kit: Kit) -> None:
    for _ in range(3):
        await kit.enqueue_count(1000)
    for _ in range(30):
        if not await kit.reserve(500):
            break
    await kit.workers.end_owner(kit.owner)
    await kit.expect_counts(ready=3000)
