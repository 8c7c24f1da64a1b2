"""PROGRESS: the last word of a run that goes on."""

from asynctasq.contracts.capabilities import Capability
from asynctasq.message import Lease, new_id
from asynctasq.settlement import Complete, Fail, Reason, Release, Retry
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import ERROR, Kit, expect_equal

NEEDS = Capability.PROGRESS


@check("", 33, needs=NEEDS)
async def progress_is_the_last_word(kit: Kit) -> None:
    await kit.enqueue_count(2)
    first, second = await kit.reserve()
    ids = [second.message.id, new_id(), first.message.id]
    expect_equal(await kit.progress.progress(ids), [None] * 3, "progress before any word")
    await kit.progress.set_progress([(first.lease, b"1"), (second.lease, b"\x00\xff")])
    await kit.progress.set_progress([(first.lease, b"2")])
    expect_equal(await kit.progress.progress(ids), [b"\x00\xff", None, b"2"], "progress")


@check("", 33, needs=NEEDS)
async def progress_is_kept_through_retry_and_release(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.progress.set_progress([(delivery.lease, b"half")])
    await kit.settle(Release(delivery.lease))
    expect_equal(await kit.progress.progress([delivery.message.id]), [b"half"], "after a release")
    delivery = await kit.lease()
    await kit.settle(Retry(delivery.lease, 100.0, ERROR))
    expect_equal(await kit.progress.progress([delivery.message.id]), [b"half"], "after a retry")


@check("", 33, needs=NEEDS)
async def progress_goes_when_the_message_ends(kit: Kit) -> None:
    await kit.enqueue_count(2)
    first, second = await kit.reserve()
    await kit.progress.set_progress([(first.lease, b"a"), (second.lease, b"b")])
    await kit.settle(Complete(first.lease), Fail(second.lease, Reason.FAILED, ERROR))
    ids = [first.message.id, second.message.id]
    expect_equal(await kit.progress.progress(ids), [None, None], "progress of what has ended")


@check("c", 9, 33, needs=NEEDS | Capability.FENCED)
async def progress_of_a_stale_lease_is_ignored(kit: Kit) -> None:
    stale = await kit.enqueue_and_lease()
    await kit.end_leases()
    current = await kit.lease()
    updates = [(stale.lease, b"stale"), (Lease(new_id(), stale.lease.token), b"unknown")]
    await kit.progress.set_progress(updates)
    expect_equal(await kit.progress.progress([current.message.id]), [None], "stale progress")
    await kit.progress.set_progress([(current.lease, b"current")])
    await kit.progress.set_progress([(stale.lease, b"stale")])
    expect_equal(await kit.progress.progress([current.message.id]), [b"current"], "progress")
    await kit.settle(Release(current.lease))
    await kit.progress.set_progress([(current.lease, b"too late")])
    expect_equal(await kit.progress.progress([current.message.id]), [b"current"], "progress")
