"""CANCEL: waiting messages end at once, and running ones are interrupted."""

from collections.abc import Sequence

from asynctasq.conformance.check import check
from asynctasq.conformance.enqueue import ALMOST_THE_LEAST_TTL
from asynctasq.conformance.formatting import gave
from asynctasq.conformance.harness import ERROR, LEASE, Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import CancelOutcome, Capability
from asynctasq.message import State, new_id
from asynctasq.settlement import Cancelled, Complete, Fail, Reason, Release, Retry, Settlement

NEEDS = Capability.CANCEL
CANCELLED, REQUESTED = CancelOutcome.CANCELLED, CancelOutcome.REQUESTED
TOO_LATE, UNKNOWN = CancelOutcome.TOO_LATE, CancelOutcome.UNKNOWN


def _allowed(harness: Harness, *expected: CancelOutcome) -> list[set[CancelOutcome]]:
    """Return the answers that a driver may give: one that cannot look at messages may always say REQUESTED."""
    inexact = not harness.has(Capability.INSPECT)
    return [
        {each, REQUESTED} if inexact and each in {CANCELLED, UNKNOWN} else {each}
        for each in expected
    ]


async def _cancel(harness: Harness, ids: Sequence[bytes], *expected: CancelOutcome) -> None:
    answers = await harness.canceller.cancel(ids)
    allowed = _allowed(harness, *expected)
    expect(
        len(answers) == len(allowed)
        and all(answer in each for answer, each in zip(answers, allowed, strict=True)),
        f"answers of cancel: {gave(f'{expected}', answers)}",
    )


async def _expect_cancelled(harness: Harness, message_id: bytes) -> None:
    if not harness.has(Capability.INSPECT):  # a reserve finds the flag
        await harness.expect_nothing_ready("a cancelled message was delivered")
    if harness.has(Capability.RESULTS):
        [outcome] = await harness.results.results([message_id])
        expect(
            outcome is not None and outcome.state is State.CANCELLED,
            gave("an outcome CANCELLED", outcome),
        )
    await harness.expect_gone(message_id)


@check("h", 27, needs=NEEDS)
async def waiting_message_is_finished_as_cancelled(harness: Harness) -> None:
    message = await harness.enqueue()
    await _cancel(harness, [message.id], CANCELLED)
    await _expect_cancelled(harness, message.id)


@check("h", 27, needs=NEEDS)
async def scheduled_message_is_finished_as_cancelled(harness: Harness) -> None:
    message = await harness.enqueue(delay=1000.0)
    await _cancel(harness, [message.id], CANCELLED)
    await harness.advance(1001)
    await _expect_cancelled(harness, message.id)


@check("h", 21, 27, needs=NEEDS | Capability.RESULTS)
async def outcome_of_a_cancelled_message_is_kept_for_its_time(harness: Harness) -> None:
    message = await harness.enqueue(result_ttl=500.0)
    await harness.canceller.cancel([message.id])
    if not harness.has(Capability.INSPECT):  # a reserve finds the flag
        await harness.expect_nothing_ready("a cancelled message was delivered")
    await harness.advance(400)
    [outcome] = await harness.results.results([message.id])
    expect(
        outcome is not None and outcome.state is State.CANCELLED,
        gave("an outcome CANCELLED for 500 s", outcome),
    )
    await harness.advance(200)
    await harness.upkeep()
    expect_equal(await harness.results.results([message.id]), [None], "outcome past its time")


@check("h", 29, needs=NEEDS)
async def running_message_is_flagged_for_its_owner(harness: Harness) -> None:
    await harness.enqueue_count(3)
    mine, other = await harness.reserve(2)
    owner = random_name("other")
    theirs = await harness.lease(owner=owner)
    expect_equal(await harness.canceller.cancel_requests(harness.owner), [], "requests before any")
    ids = [mine.message.id, theirs.message.id]
    for _ in range(2):
        expect_equal(await harness.canceller.cancel(ids), [REQUESTED] * 2, "answers of cancel")
    await harness.expect_counts(leased=3)
    expect_equal(await harness.canceller.cancel_requests(harness.owner), [mine.lease], "requests")
    expect_equal(
        await harness.canceller.cancel_requests(owner), [theirs.lease], "requests of another"
    )
    await harness.settle(Cancelled(mine.lease), Complete(other.lease), Cancelled(theirs.lease))
    expect_equal(
        await harness.canceller.cancel_requests(harness.owner), [], "requests after the end"
    )
    await _expect_cancelled(harness, mine.message.id)


async def _settle_flagged(harness: Harness, settlement: type[Settlement]) -> bytes:
    delivery = await harness.enqueue_and_lease()
    lease = delivery.lease
    expect_equal(await harness.canceller.cancel([lease.id]), [REQUESTED], "answer of cancel")
    if settlement is Retry:
        await harness.settle(Retry(lease, 0.0, ERROR))
    elif settlement is Release:
        await harness.settle(Release(lease))
    elif settlement is Complete:
        await harness.settle(Complete(lease, b"made it"))
    else:
        await harness.settle(Fail(lease, Reason.FAILED, ERROR))
    return lease.id


@check("h", 28, needs=NEEDS)
async def retry_of_a_flagged_message_becomes_cancelled(harness: Harness) -> None:
    await _expect_cancelled(harness, await _settle_flagged(harness, Retry))


@check("h", 28, needs=NEEDS)
async def release_of_a_flagged_message_becomes_cancelled(harness: Harness) -> None:
    await _expect_cancelled(harness, await _settle_flagged(harness, Release))


@check("h", 28, needs=NEEDS)
async def completion_wins_over_a_flag(harness: Harness) -> None:
    message_id = await _settle_flagged(harness, Complete)
    expect_equal(
        await harness.canceller.cancel([message_id]), [TOO_LATE], "answer of a late cancel"
    )
    if harness.has(Capability.RESULTS):
        [outcome] = await harness.results.results([message_id])
        expect(
            outcome is not None and outcome.result == b"made it",
            gave("the outcome and result of the completion", outcome),
        )


@check("h", 28, needs=NEEDS)
async def failure_wins_over_a_flag(harness: Harness) -> None:
    message_id = await _settle_flagged(harness, Fail)
    expect_equal(
        await harness.canceller.cancel([message_id]), [TOO_LATE], "answer of a late cancel"
    )
    await harness.expect_dead(message_id, Reason.FAILED, ERROR)


@check("h", 28, needs=NEEDS)
async def flagged_message_whose_lease_ends_is_cancelled(harness: Harness) -> None:
    """Check that it neither runs again nor is dead, even if no worker is left to interrupt."""
    for max_lost in (3, 0):
        delivery = await harness.enqueue_and_lease(max_lost=max_lost, result_ttl=LEASE)
        await harness.canceller.cancel([delivery.message.id])
        await harness.advance(LEASE * 1.5)
        await harness.upkeep()
        await _expect_cancelled(harness, delivery.message.id)


@check("h", 28, needs=NEEDS)
async def flagged_message_that_is_given_back_is_cancelled(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.canceller.cancel([delivery.message.id])
    await harness.advance(LEASE * 1.2)
    await harness.driver.extend(harness.owner, [], lease=LEASE)
    await _expect_cancelled(harness, delivery.message.id)


@check("h", 29, needs=NEEDS)
async def flag_does_not_end_a_lease(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.canceller.cancel([delivery.message.id])
    await harness.advance(LEASE * 0.6)
    states = await harness.driver.extend(harness.owner, [delivery.lease], lease=LEASE)
    expect_equal([state.value for state in states], ["held"], "answer of extend")
    await harness.settle(Cancelled(delivery.lease))


@check("h", 27, needs=NEEDS)
async def answers_of_cancel_in_order(harness: Harness) -> None:
    leased = await harness.enqueue_and_lease()
    completed = await harness.enqueue_and_lease()
    dead = await harness.enqueue_and_lease()
    await harness.settle(Complete(completed.lease), Fail(dead.lease, Reason.FAILED, ERROR))
    waiting = await harness.enqueue()
    ids = [
        new_id(),
        completed.message.id,
        waiting.id,
        leased.message.id,
        dead.message.id,
        waiting.id,
    ]
    last = TOO_LATE if harness.has(Capability.INSPECT) else CANCELLED
    await _cancel(harness, ids, UNKNOWN, TOO_LATE, CANCELLED, REQUESTED, TOO_LATE, last)
    expect_equal(await harness.canceller.cancel([]), [], "cancel of nothing")
    await harness.expect_counts(leased=1, dead=1)


@check("gh", 19, 27, needs=NEEDS | Capability.IDEMPOTENT)
async def cancelled_id_stays_known(harness: Harness) -> None:
    """Check that the repeated call of a producer does not bring back a cancelled message."""
    message = await harness.enqueue(result_ttl=0.0)
    await harness.canceller.cancel([message.id])
    await harness.advance(ALMOST_THE_LEAST_TTL)
    await harness.upkeep()
    answers = await harness.driver.enqueue([message])
    expect_equal([answer.created for answer in answers], [False], "created, for a cancelled id")
    await harness.expect_counts()


@check("h", 27, needs=NEEDS)
async def cancelled_among_others(harness: Harness) -> None:
    """Check that the messages around a cancelled one keep their states and places."""
    sent = await harness.enqueue_count(5)
    await harness.canceller.cancel([sent[0].id, sent[3].id])
    await harness.expect_counts(ready=3)
    await harness.expect_delivered([sent[1].id, sent[2].id, sent[4].id], "what was not cancelled")
