"""Settlements: each ends a lease in one step, and only once."""

import math

from asynctasq.conformance.check import check
from asynctasq.conformance.formatting import gave
from asynctasq.conformance.harness import ERROR, Harness, expect, expect_equal
from asynctasq.contracts.capabilities import Capability
from asynctasq.message import Lease, new_id
from asynctasq.settlement import (
    Cancelled,
    Complete,
    Fail,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
)

DAY = 24 * 3600.0
DONE, LOST = Settled.DONE, Settled.LOST


@check("ad", 12, 16)
async def completed_message_is_gone(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Complete(delivery.lease, b"result"))
    await harness.expect_gone(delivery.message.id)


@check("ad", 12, 16)
async def cancelled_run_is_gone(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Cancelled(delivery.lease))
    await harness.expect_gone(delivery.message.id)


@check("a", 13)
async def retried_message_is_delivered_again_as_it_was(harness: Harness) -> None:
    """Check that queue and options are the same, with one attempt more."""
    first = await harness.enqueue_and_lease(
        priority=8, max_attempts=5, result_ttl=7.0, headers={"trace": "1"}, group="g"
    )
    await harness.settle(Retry(first.lease, 0.0, ERROR))
    await harness.expect_counts(ready=1)
    second = await harness.lease()
    expect_equal(second.message, first.message, "the message after a retry")
    harness.expect_tries(second, attempt=1, lost=0)
    await harness.settle(Retry(second.lease, 0.0, ERROR))
    harness.expect_tries(await harness.lease(), attempt=2, lost=0)


@check("ab", 13)
async def retry_waits_for_its_delay(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Retry(delivery.lease, 1000.0, ERROR))
    await harness.expect_counts(scheduled=1)
    await harness.advance(900)
    await harness.expect_nothing_ready("a retry came 100 s early")
    await harness.advance(101)
    harness.expect_tries(await harness.lease(), attempt=1, lost=0)


@check("aj", 14)
async def failed_message_is_dead(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Fail(delivery.lease, Reason.REJECTED, ERROR))
    await harness.expect_dead(delivery.message.id, Reason.REJECTED, ERROR)


@check("aj", 14)
async def every_reason_is_kept(harness: Harness) -> None:
    for reason in (Reason.FAILED, Reason.UNDECODABLE, Reason.UNKNOWN_TASK, Reason.REFUSED):
        delivery = await harness.enqueue_and_lease()
        await harness.settle(Fail(delivery.lease, reason, None, attempted=False))
        if harness.has(Capability.RESULTS):
            [outcome] = await harness.results.results([delivery.message.id])
            expect(
                outcome is not None and outcome.reason is reason,
                gave(f"an outcome with reason {reason.name}", outcome),
            )
    await harness.expect_counts(dead=4)


@check("k", 30, needs=Capability.EXACT_COUNT)
async def dead_message_is_forgotten_after_thirty_days(harness: Harness) -> None:
    """Neither earlier nor never, whether dead letters can be listed or not."""
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Fail(delivery.lease, Reason.FAILED, ERROR))
    await harness.advance(29 * DAY)
    await harness.upkeep()
    await harness.expect_counts(dead=1)
    await harness.advance(2 * DAY)
    await harness.upkeep()
    await harness.expect_counts()


@check("a", 15)
async def released_message_is_delivered_again_uncounted(harness: Harness) -> None:
    first = await harness.enqueue_and_lease()
    await harness.settle(Release(first.lease))
    await harness.expect_counts(ready=1)
    second = await harness.lease()
    expect_equal(second.message, first.message, "the message after a release")
    harness.expect_tries(second, attempt=0, lost=0)


@check("ab", 15)
async def release_waits_for_its_delay(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Release(delivery.lease, 1000.0))
    await harness.expect_counts(scheduled=1)
    await harness.advance(900)
    await harness.expect_nothing_ready("a released message came 100 s early")
    await harness.advance(101)
    harness.expect_tries(await harness.lease(), attempt=0, lost=0)


@check("", 15)
async def mismatch_is_remembered_from_the_first_time(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Release(delivery.lease, 0.0, mismatched=True))
    await harness.advance(300)
    delivery = await harness.lease()
    expect(
        250 < delivery.mismatched_for < 400, f"mismatched for {delivery.mismatched_for}, not 300 s"
    )
    await harness.settle(Release(delivery.lease, 100.0, mismatched=True))
    await harness.advance(300)
    delivery = await harness.lease()
    expect(
        550 < delivery.mismatched_for < 700, f"mismatched for {delivery.mismatched_for}, not 600 s"
    )
    await harness.settle(Release(delivery.lease))
    delivery = await harness.lease()
    expect(delivery.mismatched_for > 550, "a plain release made it forget the mismatch")
    await harness.settle(Retry(delivery.lease, 0.0, ERROR))
    delivery = await harness.lease()
    expect_equal(delivery.mismatched_for, 0.0, "mismatched_for after a run")


@check("a", 11)
async def mixed_batch(harness: Harness) -> None:
    """Every kind of settlement in one call."""
    await harness.enqueue_count(6)
    completed, retried, failed, released, cancelled, delayed = await harness.reserve()
    await harness.settle(
        Complete(completed.lease),
        Retry(retried.lease, 0.0, ERROR),
        Fail(failed.lease, Reason.FAILED, ERROR),
        Release(released.lease),
        Cancelled(cancelled.lease),
        Retry(delayed.lease, 500.0, ERROR),
    )
    await harness.expect_counts(ready=2, dead=1, scheduled=1)
    ready = {delivery.message.id for delivery in await harness.reserve()}
    expect_equal(ready, {retried.message.id, released.message.id}, "what is ready after the batch")


@check("c", 11, needs=Capability.FENCED)
async def mixed_batch_answers_in_order(harness: Harness) -> None:
    """Check that current, stale, unknown and repeated items of one call get their own answers."""
    await harness.enqueue_count(5)
    leases = [delivery.lease for delivery in await harness.reserve()]
    await harness.settle(Complete(leases[1]))
    settlements: list[Settlement] = [
        Retry(leases[0], 0.0, ERROR),
        Complete(leases[1]),
        Complete(Lease(new_id(), leases[0].token)),
        Release(leases[2]),
        Complete(leases[2]),
        Fail(leases[3], Reason.FAILED, ERROR),
        Complete(leases[3]),
        Complete(leases[4]),
        Complete(leases[4]),
    ]
    answers = await harness.driver.settle(settlements)
    expected = [DONE, LOST, LOST, DONE, LOST, DONE, LOST, DONE, LOST]
    expect_equal(answers, expected, "answers of settle")
    await harness.expect_counts(ready=2, dead=1)


@check("c", 11, needs=Capability.FENCED)
async def second_settlement_of_a_lease_is_lost(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Retry(delivery.lease, 0.0, ERROR))
    answers = await harness.driver.settle([Complete(delivery.lease)])
    expect_equal(answers, [LOST], "answer to the second settlement")
    await harness.expect_counts(ready=1)


@check("c", 11, needs=Capability.FENCED)
async def repeated_settlement_of_an_ended_message_is_lost(harness: Harness) -> None:
    """As after a broken connection: told as lost, and nothing comes back."""
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Complete(delivery.lease))
    answers = await harness.driver.settle(
        [Complete(delivery.lease), Retry(delivery.lease, 0.0, ERROR), Release(delivery.lease)]
    )
    expect_equal(answers, [LOST, LOST, LOST], "answers to repeated settlements")
    await harness.expect_gone(delivery.message.id)


@check("c", 11, needs=Capability.FENCED)
async def any_instance_settles(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    answers = await harness.driver.settle([Complete(delivery.lease)])
    expect_equal(answers, [DONE], "settlement through another instance")
    await harness.expect_counts()


@check("a", 11)
async def settling_some_leaves_the_others(harness: Harness) -> None:
    await harness.enqueue_count(4)
    first, second, third, fourth = await harness.reserve()
    await harness.settle(Complete(second.lease), Release(third.lease))
    await harness.expect_counts(leased=2, ready=1)
    await harness.end_leases()
    again = {delivery.message.id for delivery in await harness.reserve()}
    expect_equal(
        again, {first.message.id, third.message.id, fourth.message.id}, "messages not yet ended"
    )


@check("a", 45)
async def large_results_and_errors(harness: Harness) -> None:
    await harness.enqueue_count(2)
    first, second = await harness.reserve()
    long_error = type(ERROR)("shop.Odd", "naïve 🧺 " * 1000, "line\n" * 20_000)
    await harness.settle(
        Complete(first.lease, bytes(1_000_000)), Fail(second.lease, Reason.FAILED, long_error)
    )
    if harness.has(Capability.RESULTS):
        done, dead = await harness.results.results([first.message.id, second.message.id])
        expect(done is not None and done.result == bytes(1_000_000), "a result of 1 MB changed")
        expect(dead is not None and dead.error == long_error, "a long error changed")
    await harness.expect_counts(dead=1)


@check("a", 11, 54)
async def numbers_that_are_not_finite_are_refused_one_by_one(harness: Harness) -> None:
    """Check that the other items of the batch are settled, and refused ones stay leased."""
    await harness.enqueue_count(6)
    leases = [delivery.lease for delivery in await harness.reserve()]
    refused: list[Settlement] = [
        Retry(leases[1], math.nan, ERROR),
        Release(leases[2], math.inf),
        Complete(leases[3], b"result", math.nan),
        Cancelled(leases[4], math.inf),
    ]
    answers = await harness.clone.settle([Complete(leases[0]), *refused, Complete(leases[5])])
    expected = [Settled.DONE, *[Settled.REFUSED] * 4, Settled.DONE]
    expect_equal(answers, expected, "answers of settle")
    await harness.expect_counts(leased=4)
    alone = await harness.clone.settle([Complete(leases[3], None, math.nan)])
    expect_equal(alone, [Settled.REFUSED], "answer to a lone completion")
    await harness.settle(*map(Complete, leases[1:5]))
    await harness.expect_counts()
