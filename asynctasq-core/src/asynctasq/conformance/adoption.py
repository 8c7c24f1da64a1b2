"""STATE: messages that move from a broker into the store."""

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, Harness, expect, expect_equal
from asynctasq.conformance.state_samples import (
    FULL,
    adopted,
    completed,
    dead_letter,
    expect_marks,
    outcomes,
    state_of,
)
from asynctasq.contracts.capabilities import Capability
from asynctasq.message import State
from asynctasq.settlement import Complete, Fail, Reason, Retry


@check("", 72, needs=FULL)
async def adopted_message_keeps_its_past(harness: Harness) -> None:
    from asynctasq.contracts.capabilities.state import Mark

    message = harness.message(expires=10.0, max_lost=9, result_ttl=0.0)
    record = await adopted(harness, message, delay=100.0)
    state = state_of(harness)
    expect_equal(await state.adopt([record, record]), [True, False], "answers of adopt")
    await expect_marks(harness, (message.id, Mark.MOVED))
    await harness.expect_counts(scheduled=1)
    await harness.advance(50)
    await harness.expect_nothing_ready("an adopted message was delivered before its time")
    await harness.advance(100)
    delivery = await harness.lease()
    expect_equal(delivery.message, message, "message that was adopted")
    expect_equal((delivery.attempt, delivery.lost), (4, 2), "attempt and lost count")
    expect_equal(delivery.enqueued_at, 1_700_000_000.5, "time of the enqueue")
    expect(delivery.resumed, "an adopted message was leased before: resumed must be true")
    await harness.settle(Retry(delivery.lease, 0.0, ERROR))
    delivery = await harness.lease()
    harness.expect_tries(delivery, attempt=5, lost=2)
    await harness.settle(Complete(delivery.lease, None, 0.0))
    await harness.advance(200)
    await harness.upkeep()  # its outcome is forgotten
    expect_equal(await state.adopt([record]), [False], "adopt of a message that has ended")
    [mark] = await state.marks([message.id])
    expect(mark is not Mark.NONE, "the broker's copy of an adopted message would run again")


@check("", 72, needs=FULL)
async def adopted_message_is_ready_at_once_if_it_is_due(harness: Harness) -> None:
    """Check also that its error and its place in the order are kept."""
    message = harness.message(max_lost=9)
    expect_equal(
        await state_of(harness).adopt([await adopted(harness, message)]), [True], "answer of adopt"
    )
    await harness.expect_counts(ready=1)
    if harness.has(Capability.INSPECT):
        [snapshot] = await harness.inspect.find([message.id])
        expect_equal(snapshot and snapshot.error, ERROR, "error of the adopted message")
    delivery = await harness.lease()
    await harness.settle(Fail(delivery.lease, Reason.FAILED, ERROR))
    page = await harness.dead.dead_letters(queue=harness.queue)
    expect_equal([each.attempts for each in page.items], [5], "attempts of the dead letter")


@check("", 72, needs=FULL)
async def message_with_a_past_is_not_adopted(harness: Harness) -> None:
    state = state_of(harness)
    waiting = await harness.enqueue(delay=900.0)
    done = await harness.enqueue_and_lease()
    await harness.settle(Complete(done.lease))
    ended, dead, flagged = (harness.message() for _ in range(3))
    await state.finish([completed(ended), dead_letter(dead)])
    await state.flag([flagged.id], ttl=1000.0)
    records = [
        await adopted(harness, message) for message in (waiting, done.message, ended, dead, flagged)
    ]
    answers = await state.adopt(records)
    expect_equal(answers, [False] * 4 + [True], "answers of adopt")
    [outcome] = await outcomes(harness, flagged)
    expect_equal(outcome and outcome.state, State.CANCELLED, "outcome of the flagged message")
    await harness.expect_counts(scheduled=1, dead=1)
    await harness.expect_nothing_ready("a message with a past was enqueued")
