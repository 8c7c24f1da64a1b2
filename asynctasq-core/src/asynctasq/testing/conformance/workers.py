"""WORKERS: a registry with heartbeats."""

from asynctasq.contracts.capabilities import Capability, WorkerInfo
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import Kit, expect_equal, random_name

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
    kit.advance(800)
    await kit.workers.record_worker(_worker(name, running=7), ttl=1000.0)
    kit.advance(800)
    await kit.upkeep()
    expect_equal(await _listed(kit, name), [_worker(name, running=7)], "worker that lives")


@check("k", 37, needs=NEEDS)
async def silent_worker_is_forgotten(kit: Kit) -> None:
    silent, alive = random_name("silent"), random_name("alive")
    await kit.workers.record_worker(_worker(silent), ttl=1000.0)
    await kit.workers.record_worker(_worker(alive), ttl=5000.0)
    kit.advance(1100)
    expect_equal(await _listed(kit, silent, alive), [_worker(alive)], "workers that live")


@check("", 37, needs=NEEDS)
async def worker_that_says_good_bye_is_forgotten(kit: Kit) -> None:
    gone, alive = random_name("gone"), random_name("alive")
    for name in (gone, alive):
        await kit.workers.record_worker(_worker(name), ttl=1000.0)
    for _ in range(2):
        await kit.workers.forget_worker(gone)
    expect_equal(await _listed(kit, gone, alive), [_worker(alive)], "workers that live")
