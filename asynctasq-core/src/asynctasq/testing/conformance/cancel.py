"""CANCEL: what waits is finished, what runs is asked to stop."""

from asynctasq.contracts.capabilities import CancelOutcome, Capability
from asynctasq.message import State, new_id
from asynctasq.settlement import Cancelled, Complete, Fail, Reason, Release, Retry, Settlement
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.enqueue import ALMOST_THE_LEAST_TTL
from asynctasq.testing.conformance.kit import ERROR, LEASE, Kit, expect, expect_equal, random_name
from asynctasq.testing.conformance.showing import gave

NEEDS = Capability.CANCEL
CANCELLED, REQUESTED = CancelOutcome.CANCELLED, CancelOutcome.REQUESTED
TOO_LATE, UNKNOWN = CancelOutcome.TOO_LATE, CancelOutcome.UNKNOWN


async def _expect_cancelled(kit: Kit, message_id: bytes) -> None:
    if kit.has(Capability.RESULTS):
        [outcome] = await kit.results.results([message_id])
        expect(
            outcome is not None and outcome.state is State.CANCELLED,
            gave("an outcome CANCELLED", outcome),
        )
    await kit.expect_gone(message_id)


@check("h", 27, needs=NEEDS)
async def waiting_message_is_finished_as_cancelled(kit: Kit) -> None:
    message = await kit.enqueue()
    expect_equal(await kit.canceller.cancel([message.id]), [CANCELLED], "answer of cancel")
    await _expect_cancelled(kit, message.id)


@check("h", 27, needs=NEEDS)
async def scheduled_message_is_finished_as_cancelled(kit: Kit) -> None:
    message = await kit.enqueue(delay=1000.0)
    expect_equal(await kit.canceller.cancel([message.id]), [CANCELLED], "answer of cancel")
    await kit.expect_counts()
    await kit.advance(1001)
    await _expect_cancelled(kit, message.id)


@check("h", 21, 27, needs=NEEDS | Capability.RESULTS)
async def outcome_of_a_cancelled_message_is_kept_for_its_time(kit: Kit) -> None:
    message = await kit.enqueue(result_ttl=500.0)
    await kit.canceller.cancel([message.id])
    await kit.advance(400)
    [outcome] = await kit.results.results([message.id])
    expect(
        outcome is not None and outcome.state is State.CANCELLED,
        gave("an outcome CANCELLED for 500 s", outcome),
    )
    await kit.advance(200)
    await kit.upkeep()
    expect_equal(await kit.results.results([message.id]), [None], "outcome past its time")


@check("h", 29, needs=NEEDS)
async def running_message_is_flagged_for_its_owner(kit: Kit) -> None:
    await kit.enqueue_count(3)
    mine, other = await kit.reserve(2)
    owner = random_name("somebody")
    theirs = await kit.lease(owner=owner)
    expect_equal(await kit.canceller.cancel_requests(kit.owner), [], "requests before any")
    ids = [mine.message.id, theirs.message.id]
    for _ in range(2):
        expect_equal(await kit.canceller.cancel(ids), [REQUESTED] * 2, "answers of cancel")
    await kit.expect_counts(leased=3)
    expect_equal(await kit.canceller.cancel_requests(kit.owner), [mine.lease], "requests")
    expect_equal(await kit.canceller.cancel_requests(owner), [theirs.lease], "requests of another")
    await kit.settle(Cancelled(mine.lease), Complete(other.lease), Cancelled(theirs.lease))
    expect_equal(await kit.canceller.cancel_requests(kit.owner), [], "requests after the end")
    await _expect_cancelled(kit, mine.message.id)


async def _settle_flagged(kit: Kit, settlement: type[Settlement]) -> bytes:
    delivery = await kit.enqueue_and_lease()
    lease = delivery.lease
    expect_equal(await kit.canceller.cancel([lease.id]), [REQUESTED], "answer of cancel")
    if settlement is Retry:
        await kit.settle(Retry(lease, 0.0, ERROR))
    elif settlement is Release:
        await kit.settle(Release(lease))
    elif settlement is Complete:
        await kit.settle(Complete(lease, b"made it"))
    else:
        await kit.settle(Fail(lease, Reason.FAILED, ERROR))
    return lease.id


@check("h", 28, needs=NEEDS)
async def retry_of_a_flagged_message_becomes_cancelled(kit: Kit) -> None:
    await _expect_cancelled(kit, await _settle_flagged(kit, Retry))


@check("h", 28, needs=NEEDS)
async def release_of_a_flagged_message_becomes_cancelled(kit: Kit) -> None:
    await _expect_cancelled(kit, await _settle_flagged(kit, Release))


@check("h", 28, needs=NEEDS)
async def completion_wins_over_a_flag(kit: Kit) -> None:
    message_id = await _settle_flagged(kit, Complete)
    expect_equal(await kit.canceller.cancel([message_id]), [TOO_LATE], "answer of a late cancel")
    if kit.has(Capability.RESULTS):
        [outcome] = await kit.results.results([message_id])
        expect(
            outcome is not None and outcome.result == b"made it",
            gave("the outcome and result of the completion", outcome),
        )


@check("h", 28, needs=NEEDS)
async def failure_wins_over_a_flag(kit: Kit) -> None:
    message_id = await _settle_flagged(kit, Fail)
    expect_equal(await kit.canceller.cancel([message_id]), [TOO_LATE], "answer of a late cancel")
    await kit.expect_dead(message_id, Reason.FAILED, ERROR)


@check("h", 28, needs=NEEDS)
async def flagged_message_whose_lease_ends_is_cancelled(kit: Kit) -> None:
    """Even if nobody is left to interrupt, it is not run again, nor dead."""
    for max_lost in (3, 0):
        delivery = await kit.enqueue_and_lease(max_lost=max_lost, result_ttl=LEASE)
        await kit.canceller.cancel([delivery.message.id])
        await kit.advance(LEASE * 1.5)
        await kit.upkeep()
        await _expect_cancelled(kit, delivery.message.id)


@check("h", 28, needs=NEEDS)
async def flagged_message_that_is_given_back_is_cancelled(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.canceller.cancel([delivery.message.id])
    await kit.advance(LEASE * 1.2)
    await kit.driver.extend(kit.owner, [], lease=LEASE)
    await _expect_cancelled(kit, delivery.message.id)


@check("h", 29, needs=NEEDS)
async def flag_does_not_end_a_lease(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.canceller.cancel([delivery.message.id])
    await kit.advance(LEASE * 0.6)
    states = await kit.driver.extend(kit.owner, [delivery.lease], lease=LEASE)
    expect_equal([state.value for state in states], ["held"], "answer of extend")
    await kit.settle(Cancelled(delivery.lease))


@check("h", 27, needs=NEEDS)
async def answers_of_cancel_in_order(kit: Kit) -> None:
    leased = await kit.enqueue_and_lease()
    completed = await kit.enqueue_and_lease()
    dead = await kit.enqueue_and_lease()
    await kit.settle(Complete(completed.lease), Fail(dead.lease, Reason.FAILED, ERROR))
    waiting = await kit.enqueue()
    ids = [
        new_id(),
        completed.message.id,
        waiting.id,
        leased.message.id,
        dead.message.id,
        waiting.id,
    ]
    answers = await kit.canceller.cancel(ids)
    expected = [UNKNOWN, TOO_LATE, CANCELLED, REQUESTED, TOO_LATE, TOO_LATE]
    expect_equal(answers, expected, "answers of cancel")
    expect_equal(await kit.canceller.cancel([]), [], "cancel of nothing")
    await kit.expect_counts(leased=1, dead=1)


@check("gh", 19, 27, needs=NEEDS | Capability.IDEMPOTENT)
async def cancelled_id_stays_known(kit: Kit) -> None:
    """The repeated call of a producer does not bring back what was cancelled."""
    message = await kit.enqueue(result_ttl=0.0)
    await kit.canceller.cancel([message.id])
    await kit.advance(ALMOST_THE_LEAST_TTL)
    await kit.upkeep()
    answers = await kit.driver.enqueue([message])
    expect_equal([answer.created for answer in answers], [False], "created, for a cancelled id")
    await kit.expect_counts()


@check("h", 27, needs=NEEDS)
async def cancelled_among_others(kit: Kit) -> None:
    """The neighbours of a cancelled message stay what and where they are."""
    sent = await kit.enqueue_count(5)
    await kit.canceller.cancel([sent[0].id, sent[3].id])
    await kit.expect_counts(ready=3)
    await kit.expect_delivered([sent[1].id, sent[2].id, sent[4].id], "what was not cancelled")
