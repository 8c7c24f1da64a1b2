"""STATE: ends, flags, marks and notes of messages that a broker holds."""

import asyncio

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, Harness, expect, expect_equal
from asynctasq.conformance.state_samples import (
    FULL,
    NEEDS,
    adopted,
    cancelled,
    completed,
    dead_letter,
    expect_marks,
    note,
    outcomes,
    state_of,
)
from asynctasq.conformance.wait import LONG, PATIENCE
from asynctasq.contracts.capabilities import CancelOutcome, Capability, Outcome
from asynctasq.errors import DriverError
from asynctasq.message import State, new_id
from asynctasq.settlement import ABOUT_BYTES, Complete, Reason

MARKED = 3600.0
"""Seconds for which an end is marked at least."""
NOT_NUMBERS = (float("nan"), float("inf"))


# Ends.


@check("", 69, needs=FULL)
async def end_of_a_brokered_message_is_kept(harness: Harness) -> None:
    """Check the outcome, its bytes and its time."""
    first, second, third = (harness.message() for _ in range(3))
    ends = [completed(first), cancelled(second), completed(third, ttl=0.0)]
    expect_equal(await state_of(harness).finish(ends), [True] * 3, "answers of finish")
    one, two, three = await outcomes(harness, first, second, third)
    assert one is not None
    assert two is not None
    assert three is not None
    expect_equal(
        (one.state, one.result, one.about), (State.COMPLETED, b"result", b"about"), "outcome"
    )
    expect_equal((two.state, two.result), (State.CANCELLED, None), "outcome of the cancelled one")
    expect_equal((three.state, three.result), (State.COMPLETED, None), "outcome with no result")
    await harness.expect_counts()
    await harness.expect_nothing_ready("a message that has ended was delivered")
    await harness.advance(600)
    await harness.upkeep()
    expect_equal(await outcomes(harness, first), [None], "outcome past its time")


@check("", 69, needs=FULL)
async def first_end_of_a_brokered_message_counts(harness: Harness) -> None:
    """Check this in one call, in two, and for each pair of ends."""
    state = state_of(harness)
    messages = [harness.message() for _ in range(3)]
    makers = (completed, cancelled, dead_letter)
    for message, make in zip(messages, makers, strict=True):
        expect_equal(await state.finish([make(message)] * 2), [True, False], "answers of finish")
    before = await outcomes(harness, *messages)
    for later in makers:
        answers = await state.finish([later(message) for message in messages])
        expect_equal(answers, [False] * 3, "answers of a later finish")
    expect_equal(await outcomes(harness, *messages), before, "outcomes after a second end")
    await harness.dead.delete_dead([messages[2].id])
    expect_equal(await state.finish([completed(messages[2])]), [False], "finish after a deletion")


@check("", 69, needs=FULL)
async def end_of_a_message_in_the_store_is_left_to_it(harness: Harness) -> None:
    """Check that `finish` changes no message that waits, runs or has ended in the store."""
    await harness.enqueue_count(3)
    running, done = await harness.reserve(2)
    await harness.settle(Complete(done.lease, b"its own"))
    [waiting] = await harness.driver.reserve({harness.queue: 1}, limit=1, owner="o", lease=1000.0)
    ends = [completed(each.message) for each in (running, done, waiting)]
    expect_equal(await state_of(harness).finish(ends), [False] * 3, "answers of finish")
    [outcome] = await outcomes(harness, done.message)
    expect_equal(outcome and outcome.result, b"its own", "result of the first end")
    await harness.settle(Complete(running.lease), Complete(waiting.lease))


@check("", 69, needs=FULL)
async def dead_letter_of_a_brokered_message_is_whole(harness: Harness) -> None:
    """Check that it can be listed, requeued and deleted like any other."""
    message = harness.message(body=b"\x00" * 1000, headers={"a": "b"}, expires=50.0)
    other = harness.message()
    answers = await state_of(harness).finish([dead_letter(message), dead_letter(other)])
    expect_equal(answers, [True, True], "answers of finish")
    await harness.expect_counts(dead=2)
    page = await harness.dead.dead_letters(queue=harness.queue)
    [letter] = [each for each in page.items if each.message.id == message.id]
    expect_equal(letter.message, message, "message of the dead letter")
    expect_equal((letter.reason, letter.error), (Reason.FAILED, ERROR), "reason and error")
    expect_equal((letter.attempts, letter.lost), (3, 2), "attempts and lost leases")
    expect_equal(letter.enqueued_at, 1_700_000_000.5, "time of the enqueue")
    [outcome] = await outcomes(harness, message)
    assert outcome is not None
    expect_equal((outcome.state, outcome.error), (State.DEAD, ERROR), "outcome")
    expect_equal(outcome.about, b"\x00" * ABOUT_BYTES, "about of the outcome")
    expect_equal(await harness.dead.delete_dead([other.id]), [True], "answer of delete_dead")
    expect_equal(await harness.dead.requeue([message.id]), [True], "answer of requeue")
    delivery = await harness.lease()
    expect_equal(delivery.message, message, "message that was requeued")
    harness.expect_tries(delivery, attempt=0, lost=0)
    await harness.settle(Complete(delivery.lease))


@check("", 69, 23, needs=FULL)
async def wait_results_wakes_at_the_end_of_a_brokered_message(harness: Harness) -> None:
    message = harness.message()

    async def end() -> Outcome:
        while True:
            await harness.results.wait_results([message.id], timeout=LONG)
            for outcome in await outcomes(harness, message):
                if outcome is not None:
                    return outcome
            await asyncio.sleep(0.005)

    waiting = asyncio.create_task(end())
    try:
        await asyncio.sleep(0.05)
        await state_of(harness).finish([completed(message)])
        done, _ = await asyncio.wait([waiting], timeout=PATIENCE)
        expect(done, "wait_results did not return although a message ended")
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


@check("", 69, needs=NEEDS)
async def invalid_end_is_refused(harness: Harness) -> None:
    from dataclasses import replace

    from asynctasq.contracts.capabilities.state import Mark

    message = harness.message()
    good = completed(message)
    bad = [
        *(replace(good, result_ttl=number) for number in NOT_NUMBERS),
        replace(good, state=State.READY),
        replace(dead_letter(message), reason=None),
    ]
    for end in bad:
        try:
            await state_of(harness).finish([good, end])
        except DriverError:
            continue
        raise AssertionError(f"{end} was kept")
    await expect_marks(harness, (message.id, Mark.NONE))


# Marks.


@check("", 70, needs=FULL)
async def marks_say_what_is_known_of_a_message(harness: Harness) -> None:
    from asynctasq.contracts.capabilities.state import Mark, NoteKind

    state = state_of(harness)
    ended, dead, flagged, running = (harness.message() for _ in range(4))
    await harness.enqueue_count(2)
    leased = await harness.lease()
    waiting = await harness.enqueue(delay=900.0)
    await state.finish([completed(ended), dead_letter(dead)])
    await state.flag([flagged.id], ttl=100.0)
    await note(harness, running.id, NoteKind.RUNNING)
    await expect_marks(
        harness,
        (ended.id, Mark.ENDED),
        (new_id(), Mark.NONE),
        (dead.id, Mark.ENDED),
        (flagged.id, Mark.FLAGGED),
        (waiting.id, Mark.MOVED),
        (leased.message.id, Mark.MOVED),
        (running.id, Mark.RUNNING),
        (ended.id, Mark.ENDED),
    )
    expect_equal(await state.marks([]), [], "marks of nothing")
    await harness.advance(200)
    await expect_marks(harness, (flagged.id, Mark.NONE), (running.id, Mark.NONE))
    await harness.dead.requeue([dead.id])
    await expect_marks(harness, (dead.id, Mark.MOVED))


@check("", 70, needs=FULL)
async def end_is_marked_for_an_hour_and_as_long_as_the_outcome(harness: Harness) -> None:
    from asynctasq.contracts.capabilities.state import Mark

    short, long, dead = (harness.message() for _ in range(3))
    ends = [completed(short, ttl=0.0), completed(long, ttl=3 * MARKED), dead_letter(dead)]
    await state_of(harness).finish(ends)
    await harness.dead.delete_dead([dead.id])
    await harness.advance(MARKED - 100)
    await harness.upkeep()
    marks = [(each.id, Mark.ENDED) for each in (short, long, dead)]
    await expect_marks(harness, *marks)
    await harness.advance(MARKED)
    await harness.upkeep()
    await expect_marks(harness, (short.id, Mark.NONE), (long.id, Mark.ENDED), (dead.id, Mark.NONE))
    await harness.advance(2 * MARKED)
    await expect_marks(harness, (long.id, Mark.NONE))
    answers = await state_of(harness).finish([completed(short)])
    expect_equal(answers, [True], "finish of a message that was forgotten")


# Flags.


@check("", 71, needs=FULL)
async def flag_cancels_a_message_wherever_it_is(harness: Harness) -> None:
    """Check it for messages at the broker, in the store, and for those that have ended."""
    from asynctasq.contracts.capabilities.state import Mark

    state = state_of(harness)
    away, ended, dead, deleted = (harness.message() for _ in range(4))
    running = await harness.enqueue_and_lease()
    waiting = await harness.enqueue()
    await state.finish([completed(ended, ttl=0.0), dead_letter(dead), dead_letter(deleted)])
    await harness.dead.delete_dead([deleted.id])
    await harness.advance(200)  # the outcome is forgotten, its mark is not
    ids = [away.id, ended.id, dead.id, deleted.id, running.message.id, waiting.id, away.id]
    expect_equal(
        await state.flag(ids, ttl=1000.0),
        [
            CancelOutcome.REQUESTED,
            CancelOutcome.TOO_LATE,
            CancelOutcome.TOO_LATE,
            CancelOutcome.TOO_LATE,
            CancelOutcome.REQUESTED,
            CancelOutcome.CANCELLED,
            CancelOutcome.REQUESTED,
        ],
        "answers of flag",
    )
    [outcome] = await outcomes(harness, waiting)
    expect_equal(outcome and outcome.state, State.CANCELLED, "outcome of the waiting message")
    requests = await harness.canceller.cancel_requests(harness.owner)
    expect_equal(requests, [running.lease], "requests to cancel")
    await expect_marks(harness, (away.id, Mark.FLAGGED), (dead.id, Mark.ENDED))
    expect_equal(await state.finish([cancelled(away)]), [True], "finish of the flagged message")
    await expect_marks(harness, (away.id, Mark.ENDED))
    answers = await state.flag([away.id], ttl=1000.0)
    expect_equal(answers, [CancelOutcome.TOO_LATE], "flag of a message that has ended")


# Notes.


@check("", 73, needs=NEEDS | Capability.PROGRESS | Capability.RESULTS)
async def progress_of_a_brokered_message(harness: Harness) -> None:
    """Check that it is kept for its time, goes with the message, and ends with it."""
    from asynctasq.contracts.capabilities.state import NoteKind

    first, moved, ended = (harness.message() for _ in range(3))
    ids = [moved.id, new_id(), first.id]
    await note(harness, first.id, NoteKind.PROGRESS, b"1")
    await note(harness, first.id, NoteKind.PROGRESS, b"\x00\xff")
    await note(harness, moved.id, NoteKind.PROGRESS, b"half", ttl=1000.0)
    await note(harness, ended.id, NoteKind.PROGRESS, b"late")
    expect_equal(await harness.progress.progress(ids), [b"half", None, b"\x00\xff"], "progress")
    await state_of(harness).finish([completed(ended)])
    await note(harness, ended.id, NoteKind.PROGRESS, b"later")
    await state_of(harness).adopt([await adopted(harness, moved)])
    ids = [moved.id, ended.id]
    expect_equal(await harness.progress.progress(ids), [b"half", None], "progress after both")
    await harness.advance(200)
    expect_equal(await harness.progress.progress([first.id]), [None], "progress past its time")
    delivery = await harness.lease()
    await harness.settle(Complete(delivery.lease))
    expect_equal(await harness.progress.progress([moved.id]), [None], "progress of what has ended")


@check("", 73, needs=NEEDS)
async def note_that_a_message_runs_ends_by_itself(harness: Harness) -> None:
    from asynctasq.contracts.capabilities.state import Mark, NoteKind

    message = harness.message()
    await note(harness, message.id, NoteKind.RUNNING, b"worker")
    await harness.advance(60)
    await note(harness, message.id, NoteKind.RUNNING, b"worker")
    await harness.advance(60)
    await expect_marks(harness, (message.id, Mark.RUNNING))
    await note(harness, message.id, NoteKind.RUNNING, ttl=0.0)
    await expect_marks(harness, (message.id, Mark.NONE))
    await state_of(harness).finish([completed(message)])
    await note(harness, message.id, NoteKind.RUNNING)
    await expect_marks(harness, (message.id, Mark.ENDED))


@check("", 49, 70, needs=FULL, damages=True)
async def damaged_message_costs_only_itself_among_marks(harness: Harness) -> None:
    from asynctasq.contracts.capabilities.state import Mark

    message = await harness.enqueue(delay=900.0)
    other = harness.message()
    await harness.damage(message.id)
    answers = await state_of(harness).finish([completed(message), completed(other)])
    expect_equal(answers[1], True, "answer for the message that is whole")
    [_, mark] = await state_of(harness).marks([message.id, other.id])
    expect_equal(mark, Mark.ENDED, "mark of the message that is whole")
