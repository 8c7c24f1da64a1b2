"""WORKER_REQUESTS: requests of operators about workers."""

from typing import TYPE_CHECKING

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import Harness, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability, WorkerInfo
from asynctasq.contracts.driver import Driver

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities.worker_requests import (
        SupportsWorkerRequests,
        WorkerRequest,
    )

NEEDS = Capability.WORKERS | Capability.WORKER_REQUESTS
TTL = 1000.0


def requesting(driver: Driver) -> "SupportsWorkerRequests":
    """Return the driver as one that takes requests about workers."""
    from asynctasq.contracts.capabilities.worker_requests import SupportsWorkerRequests

    assert isinstance(driver, SupportsWorkerRequests)
    return driver


async def _start(harness: Harness, worker_id: str = "", *, owner: str | None = None) -> WorkerInfo:
    """Record a worker with a new owner, as a worker does at its start."""
    name = worker_id or random_name("worker")
    worker = WorkerInfo(
        id=name,
        host="host",
        pid=1,
        started_at=1_700_000_000.5,
        queues=(harness.queue,),
        concurrency=1,
        running=0,
        version="0.1.0",
        owner=random_name(name) if owner is None else owner,
    )
    await harness.workers.record_worker(worker, ttl=TTL)
    return worker


async def _request(
    harness: Harness, request: str, *workers: WorkerInfo
) -> "list[WorkerRequest | None]":
    from asynctasq.contracts.capabilities.worker_requests import WorkerRequest

    driver = requesting(harness.clone)
    return await driver.request_workers([each.id for each in workers], WorkerRequest(request))


async def _expect(harness: Harness, worker: WorkerInfo, request: str) -> None:
    found = (await requesting(harness.driver).requests(worker.owner)).worker
    expect_equal(str(found), request, "request about a worker")


@check("", 93, needs=NEEDS)
async def requests_reach_their_workers(harness: Harness) -> None:
    one, two, other = [await _start(harness) for _ in range(3)]
    await _expect(harness, one, "run")
    for _ in range(2):  # a repeated request answers the same
        answers = await _request(harness, "quiet", one, two)
        expect_equal(answers, ["quiet", "quiet"], "answers to a request")
    expect_equal(await _request(harness, "stop", two), ["stop"], "answer to a request to stop")
    await _expect(harness, one, "quiet")
    await _expect(harness, two, "stop")
    await _expect(harness, other, "run")


@check("", 93, needs=NEEDS)
async def requests_about_workers_that_are_not_registered_are_refused(harness: Harness) -> None:
    gone, old, alive = await _start(harness), await _start(harness, owner=""), await _start(harness)
    await harness.workers.forget_worker(gone.id)
    silent = await _start(harness)
    harness.jump(TTL + 100.0)
    await harness.workers.record_worker(alive, ttl=TTL)
    await harness.workers.record_worker(old, ttl=TTL)
    answers = await _request(harness, "quiet", gone, alive, silent, old)
    expect_equal(answers, [None, "quiet", None, None], "answers about workers, some of them gone")
    await _expect(harness, alive, "quiet")
    expect_equal(await _request(harness, "quiet"), [], "answer to a request about nothing")


@check("", 94, needs=NEEDS)
async def quiet_workers_can_be_resumed_and_stopping_ones_cannot(harness: Harness) -> None:
    worker = await _start(harness)
    for request in ("quiet", "run", "quiet", "stop"):
        expect_equal(await _request(harness, request, worker), [request], "answer to a request")
        await _expect(harness, worker, request)
    for request in ("run", "quiet", "stop"):
        answers = await _request(harness, request, worker)
        expect_equal(answers, ["stop"], "answer to a request about a stopping worker")
        await _expect(harness, worker, "stop")


@check("", 95, needs=NEEDS)
async def requests_are_for_one_run_of_a_worker(harness: Harness) -> None:
    worker = await _start(harness)
    await _request(harness, "stop", worker)
    await harness.workers.record_worker(worker, ttl=TTL)
    await _expect(harness, worker, "stop")
    again = await _start(harness, worker.id)
    await _expect(harness, again, "run")
    expect_equal(await _request(harness, "quiet", again), ["quiet"], "answer about the next run")
    await _expect(harness, again, "quiet")
    await _expect(harness, worker, "stop")


@check("", 95, needs=NEEDS)
async def requests_outlast_silence_and_later_requests(harness: Harness) -> None:
    """Keep the request of a worker that was suspended."""
    worker, other = await _start(harness), await _start(harness)
    await _request(harness, "quiet", worker)
    for _ in range(3):
        await harness.advance(TTL - 100.0)
        await harness.workers.record_worker(other, ttl=TTL)
        await _request(harness, "quiet", other)
        await _expect(harness, worker, "quiet")


@check("", 95, needs=NEEDS)
async def requests_of_living_workers_are_kept(harness: Harness) -> None:
    worker, other = await _start(harness), await _start(harness)
    await _request(harness, "quiet", worker)
    harness.jump(30 * 86_400.0)
    for each in (worker, other):
        await harness.workers.record_worker(each, ttl=TTL)
    await _request(harness, "stop", other)
    await _expect(harness, worker, "quiet")


@check("h", 96, needs=NEEDS | Capability.CANCEL)
async def requests_contain_those_to_cancel(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    kept = await harness.enqueue_and_lease()
    await harness.canceller.cancel([delivery.message.id])
    found = await requesting(harness.driver).requests(harness.owner)
    expect_equal(list(found.cancels), [delivery.lease], "leases whose messages are flagged")
    expect_equal(str(found.worker), "run", "request about a worker that is not registered")
    await _start(harness, owner=harness.owner)
    found = await requesting(harness.driver).requests(random_name("unknown"))
    expect_equal(
        (list(found.cancels), str(found.worker)), ([], "run"), "requests of an unknown owner"
    )
    harness.expect_tries(kept, attempt=0, lost=0)
