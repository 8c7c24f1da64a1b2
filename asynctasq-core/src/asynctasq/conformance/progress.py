"""PROGRESS: the latest report of a running task."""

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, Harness, expect_equal
from asynctasq.contracts.capabilities import Capability
from asynctasq.message import Lease, new_id
from asynctasq.settlement import Complete, Fail, Reason, Release, Retry

NEEDS = Capability.PROGRESS


@check("", 33, needs=NEEDS)
async def progress_is_the_last_word(harness: Harness) -> None:
    await harness.enqueue_count(2)
    first, second = await harness.reserve()
    ids = [second.message.id, new_id(), first.message.id]
    expect_equal(await harness.progress.progress(ids), [None] * 3, "progress before any word")
    await harness.progress.set_progress([(first.lease, b"1"), (second.lease, b"\x00\xff")])
    await harness.progress.set_progress([(first.lease, b"2")])
    expect_equal(await harness.progress.progress(ids), [b"\x00\xff", None, b"2"], "progress")


@check("", 33, needs=NEEDS)
async def progress_is_kept_through_retry_and_release(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.progress.set_progress([(delivery.lease, b"half")])
    await harness.settle(Release(delivery.lease))
    expect_equal(
        await harness.progress.progress([delivery.message.id]), [b"half"], "after a release"
    )
    delivery = await harness.lease()
    await harness.settle(Retry(delivery.lease, 100.0, ERROR))
    expect_equal(await harness.progress.progress([delivery.message.id]), [b"half"], "after a retry")


@check("", 33, needs=NEEDS)
async def progress_goes_when_the_message_ends(harness: Harness) -> None:
    await harness.enqueue_count(2)
    first, second = await harness.reserve()
    await harness.progress.set_progress([(first.lease, b"a"), (second.lease, b"b")])
    await harness.settle(Complete(first.lease), Fail(second.lease, Reason.FAILED, ERROR))
    ids = [first.message.id, second.message.id]
    expect_equal(await harness.progress.progress(ids), [None, None], "progress of what has ended")


@check("c", 9, 33, needs=NEEDS | Capability.FENCED)
async def progress_of_a_stale_lease_is_ignored(harness: Harness) -> None:
    stale = await harness.enqueue_and_lease()
    await harness.end_leases()
    current = await harness.lease()
    updates = [(stale.lease, b"stale"), (Lease(new_id(), stale.lease.token), b"unknown")]
    await harness.progress.set_progress(updates)
    expect_equal(await harness.progress.progress([current.message.id]), [None], "stale progress")
    await harness.progress.set_progress([(current.lease, b"current")])
    await harness.progress.set_progress([(stale.lease, b"stale")])
    expect_equal(await harness.progress.progress([current.message.id]), [b"current"], "progress")
    await harness.settle(Release(current.lease))
    await harness.progress.set_progress([(current.lease, b"too late")])
    expect_equal(await harness.progress.progress([current.message.id]), [b"current"], "progress")
