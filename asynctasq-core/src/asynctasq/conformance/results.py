"""RESULTS: outcomes, the time for which they are kept, and waits for them."""

import asyncio

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, LEASE, Harness, expect, expect_equal
from asynctasq.conformance.wait import LONG, PATIENCE
from asynctasq.contracts.capabilities import Capability, Outcome
from asynctasq.message import State, new_id
from asynctasq.settlement import ABOUT_BYTES, Cancelled, Complete, Fail, Reason, Retry

NEEDS = Capability.RESULTS


async def _outcome(harness: Harness, message_id: bytes) -> Outcome:
    [outcome] = await harness.results.results([message_id])
    if outcome is None:
        raise AssertionError("the outcome is not kept")
    return outcome


@check("d", 21, needs=NEEDS)
async def result_is_kept(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    result = bytes(range(256))
    await harness.settle(Complete(delivery.lease, result))
    outcome = await _outcome(harness, delivery.message.id)
    expect_equal(outcome.id, delivery.message.id, "id of the outcome")
    expect_equal((outcome.state, outcome.result), (State.COMPLETED, result), "outcome")
    expect_equal((outcome.reason, outcome.error), (None, None), "reason and error of a success")
    after = outcome.finished_at - delivery.enqueued_at
    expect(-5 <= after < 100, f"finished {after} s after the enqueue")


@check("", 21, needs=NEEDS)
async def empty_result_differs_from_none(harness: Harness) -> None:
    await harness.enqueue_count(2)
    empty, none = await harness.reserve()
    await harness.settle(Complete(empty.lease, b""), Complete(none.lease, None))
    expect_equal((await _outcome(harness, empty.message.id)).result, b"", "an empty result")
    expect_equal((await _outcome(harness, none.message.id)).result, None, "no result")


@check("", 22, needs=NEEDS)
async def what_has_not_ended_has_no_outcome(harness: Harness) -> None:
    ready = await harness.enqueue()
    scheduled = await harness.enqueue(delay=LEASE)
    leased = await harness.lease()
    retried = await harness.enqueue_and_lease()
    await harness.settle(Retry(retried.lease, LEASE, ERROR))
    waiting = await harness.enqueue()
    expect_equal(leased.message.id, ready.id, "the leased message")
    ids = [ready.id, scheduled.id, retried.message.id, waiting.id, new_id()]
    expect_equal(await harness.results.results(ids), [None] * 5, "outcomes of what has not ended")


@check("", 22, needs=NEEDS)
async def outcomes_are_answered_in_order(harness: Harness) -> None:
    await harness.enqueue_count(3)
    first, second, third = await harness.reserve()
    await harness.settle(Complete(third.lease, b"3"), Complete(first.lease, b"1"))
    ids = [d.message.id for d in (third, second, first, third)]
    got = [o.result if o else None for o in await harness.results.results(ids)]
    expect_equal(got, [b"3", None, b"1", b"3"], "results in order, one asked twice")
    expect_equal(await harness.results.results([]), [], "results of nothing")


@check("j", 22, needs=NEEDS)
async def outcome_of_a_dead_message(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Fail(delivery.lease, Reason.FAILED, ERROR))
    outcome = await _outcome(harness, delivery.message.id)
    expect_equal(
        (outcome.state, outcome.reason, outcome.error, outcome.result),
        (State.DEAD, Reason.FAILED, ERROR, None),
        "outcome of a dead message",
    )
    await harness.advance(100_000)
    await harness.upkeep()
    expect_equal(await _outcome(harness, delivery.message.id), outcome, "outcome a day later")


@check("", 21, needs=NEEDS)
async def outcome_of_a_cancelled_run(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Cancelled(delivery.lease, result_ttl=500.0))
    await harness.advance(400)
    outcome = await _outcome(harness, delivery.message.id)
    expect_equal(
        (outcome.state, outcome.result), (State.CANCELLED, None), "outcome of a cancelled run"
    )
    await harness.advance(200)
    await harness.upkeep()
    expect_equal(
        await harness.results.results([delivery.message.id]), [None], "outcome past its time"
    )


@check("k", 21, needs=NEEDS)
async def outcome_is_forgotten_in_time(harness: Harness) -> None:
    """Check that the time of the settlement counts, not that of the message."""
    delivery = await harness.enqueue_and_lease(result_ttl=50_000.0)
    await harness.settle(Complete(delivery.lease, b"result", result_ttl=500.0))
    await harness.advance(400)
    await harness.upkeep()
    expect_equal((await _outcome(harness, delivery.message.id)).result, b"result", "result in time")
    await harness.advance(200)
    expect_equal(
        await harness.results.results([delivery.message.id]), [None], "outcome past its time"
    )
    await harness.upkeep()
    expect_equal(
        await harness.results.results([delivery.message.id]), [None], "outcome past its time"
    )


@check("g", 21, needs=NEEDS)
async def result_that_is_not_wanted_is_not_kept(harness: Harness) -> None:
    """Check that `result_ttl=0` keeps the outcome for a minute, without the bytes."""
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Complete(delivery.lease, b"unwanted", result_ttl=0.0))
    await harness.advance(20)
    outcome = await _outcome(harness, delivery.message.id)
    expect_equal((outcome.state, outcome.result), (State.COMPLETED, None), "outcome with no result")
    await harness.advance(100)
    await harness.upkeep()
    expect_equal(
        await harness.results.results([delivery.message.id]), [None], "outcome past its time"
    )


@check("l", 23, needs=NEEDS)
async def wait_results_wakes_when_one_ends(harness: Harness) -> None:
    """Check this with a settlement through another instance than the one that waits."""
    deliveries = [await harness.enqueue_and_lease() for _ in range(2)]
    ids = [delivery.message.id for delivery in deliveries]

    async def first_outcome() -> bytes | None:
        while True:
            await harness.results.wait_results(ids, timeout=LONG)
            for outcome in await harness.results.results(ids):
                if outcome is not None:
                    return outcome.result
            await asyncio.sleep(0.005)

    waiting = asyncio.create_task(first_outcome())
    try:
        await asyncio.sleep(0.05)
        await harness.driver.settle([Complete(deliveries[1].lease, b"second")])
        done, _ = await asyncio.wait([waiting], timeout=PATIENCE)
        expect(done, "wait_results did not return although a message ended")
        expect_equal(waiting.result(), b"second", "the result waited for")
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


@check("", 23, needs=NEEDS)
async def wait_results_returns_at_once_for_what_has_ended(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Complete(delivery.lease, b"result"))
    async with asyncio.timeout(PATIENCE):
        await harness.results.wait_results([delivery.message.id], timeout=LONG)


@check("", 23, needs=NEEDS)
async def wait_results_ends_at_its_timeout_and_may_be_cancelled(harness: Harness) -> None:
    message = await harness.enqueue()
    async with asyncio.timeout(PATIENCE):
        await harness.results.wait_results([message.id], timeout=0.02)
    waiting = asyncio.create_task(harness.results.wait_results([message.id], timeout=LONG))
    await asyncio.sleep(0.005)
    waiting.cancel()
    done, _ = await asyncio.wait([waiting], timeout=PATIENCE)
    expect(done, "a cancelled wait_results went on")
    delivery = await harness.lease()
    await harness.settle(Complete(delivery.lease))


# Facts that core keeps with an outcome.


@check("d", 58, needs=NEEDS)
async def outcome_returns_what_the_settlement_says_about_it(harness: Harness) -> None:
    """Check that `about` comes back byte for byte after every kind of end."""
    about = [bytes(range(256)), b"", b"\x00" * ABOUT_BYTES, b"cancelled"]
    await harness.enqueue_count(4)
    done, plain, failed, cancelled = await harness.reserve()
    await harness.settle(
        Complete(done.lease, b"result", about=about[0]),
        Complete(plain.lease, None, 0.0, about=about[1]),
        Fail(failed.lease, Reason.FAILED, ERROR, about=about[2]),
        Cancelled(cancelled.lease, about=about[3]),
    )
    ids = [each.message.id for each in (done, plain, failed, cancelled)]
    outcomes = await harness.results.results(ids)
    expect_equal(
        [outcome and outcome.about for outcome in outcomes], about, "about of the outcomes"
    )


@check("", 58, needs=NEEDS)
async def outcome_without_a_settlement_has_nothing_about_it(harness: Harness) -> None:
    """Check this also for a message that was retried and then lost, or requeued and lost."""
    expired = await harness.enqueue(expires=100.0)
    await harness.advance(200)
    await harness.expect_nothing_ready("an expired message was delivered")
    await harness.upkeep()
    expect_equal((await _outcome(harness, expired.id)).about, b"", "about of an expired message")
    if harness.has(Capability.DEAD_LETTERS):
        delivery = await harness.enqueue_and_lease(max_lost=0)
        await harness.settle(Fail(delivery.lease, Reason.FAILED, ERROR, about=b"first life"))
        expect_equal(await harness.dead.requeue([delivery.message.id]), [True], "answer of requeue")
        await harness.lease()
        await harness.end_leases()
        lost = await _outcome(harness, delivery.message.id)
        expect_equal((lost.reason, lost.about), (Reason.LOST, b""), "outcome of a lost message")
