"""Damaged records: each affects only its own message."""

from collections.abc import Sequence

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, LEASE, Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability, DeadLetter
from asynctasq.message import Message, State
from asynctasq.settlement import Complete, Fail, LeaseState, Reason, Retry


async def _some_with_a_damaged_one(harness: Harness) -> tuple[Message, list[Message]]:
    """Three messages, the first of which is damaged; it, and the others."""
    damaged, *good = await harness.enqueue_count(3)
    await harness.damage(damaged.id)
    return damaged, good


async def _expect_dead_letter(harness: Harness, damaged: Message) -> None:
    """Check that the damaged message is not delivered, and becomes a dead letter."""
    expect_equal(await harness.reserve(), [], "a damaged message was delivered")
    await harness.upkeep()
    expect_equal(await harness.reserve(), [], "a damaged message was delivered")
    await _expect_dead(harness, damaged.id)


async def _expect_dead(harness: Harness, message_id: bytes) -> None:
    """Check that the damaged message is the only dead letter of the queue."""
    if harness.has(Capability.EXACT_COUNT):
        counts = await harness.driver.count(harness.queue)
        expect_equal(counts.dead, 1, "number of dead letters")
    if harness.has(Capability.RESULTS):
        [outcome] = await harness.results.results([message_id])
        reason = outcome and outcome.reason
        expect_equal(reason, Reason.UNDECODABLE, "reason in the outcome of a damaged message")
    if harness.has(Capability.DEAD_LETTERS):
        [letter] = await _letters(harness)
        expect_equal(letter.message.id, message_id, "id of the dead letter")
        expect_equal(letter.reason, Reason.UNDECODABLE, "reason of the dead letter")
        expect_equal(letter.message.queue, harness.queue, "queue of the dead letter")
        expect(isinstance(letter.message.body, bytes), "the dead letter has no bytes")
        expect(letter.error is not None, "the dead letter does not say what is wrong")


async def _letters(harness: Harness) -> Sequence[DeadLetter]:
    return (await harness.dead.dead_letters(queue=harness.queue)).items


@check("aj", 49, damages=True)
async def damaged_message_is_dead_and_the_others_are_delivered(harness: Harness) -> None:
    damaged, good = await _some_with_a_damaged_one(harness)
    other = await harness.enqueue(queue=random_name("other"))
    got = []
    for _ in range(3):
        deliveries = await harness.clone.reserve(
            {harness.queue: 9, other.queue: 9}, limit=9, owner=harness.owner, lease=LEASE
        )
        got += [delivery.message for delivery in deliveries]
    expect_equal(sorted(got, key=lambda m: m.id), [*good, other], "what was delivered")
    await harness.expect_counts(leased=2, dead=1)
    await _expect_dead(harness, damaged.id)


@check("aj", 49, damages=True)
async def each_of_many_damaged_messages_is_dead(harness: Harness) -> None:
    """More of them than a reserve asks for, before a good one."""
    messages = await harness.enqueue_count(12)
    for message in messages[:-1]:
        await harness.damage(message.id)
    got: list[bytes] = []
    for _ in range(12):
        got += [delivery.message.id for delivery in await harness.reserve(2)]
    expect_equal(got, [messages[-1].id], "what was delivered")
    await harness.expect_counts(leased=1, dead=11)


@check("aj", 49, damages=True)
async def damaged_message_that_falls_due_is_dead(harness: Harness) -> None:
    damaged = await harness.enqueue(delay=100.0, headers={"trace": "1"})
    good = await harness.enqueue(delay=100.0)
    await harness.damage(damaged.id)
    await harness.advance(200)
    await harness.expect_delivered([good.id], "what fell due")
    await harness.upkeep()
    await harness.expect_counts(leased=1, dead=1)
    await _expect_dead(harness, damaged.id)


@check("a", 49, damages=True)
async def message_damaged_while_it_runs_is_settled_as_usual(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.damage(delivery.message.id)
    states = await harness.driver.extend(harness.owner, [delivery.lease], lease=LEASE)
    expect_equal(states, [LeaseState.HELD], "answer of extend")
    await harness.settle(Complete(delivery.lease, b"result"))
    if harness.has(Capability.RESULTS):
        [outcome] = await harness.results.results([delivery.message.id])
        expect_equal(outcome and outcome.result, b"result", "its result")
    await harness.expect_gone(delivery.message.id)


@check("aj", 49, damages=True)
async def message_damaged_while_it_runs_is_dead_after_a_retry(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.damage(delivery.message.id)
    await harness.settle(Retry(delivery.lease, 0.0, ERROR))
    await _expect_dead_letter(harness, delivery.message)


@check("abj", 49, damages=True)
async def message_damaged_while_it_runs_is_reclaimed(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.damage(delivery.message.id)
    await harness.end_leases()
    await _expect_dead_letter(harness, delivery.message)


@check("a", 49, needs=Capability.INSPECT, damages=True)
async def listings_show_a_damaged_message_and_the_others(harness: Harness) -> None:
    damaged, good = await _some_with_a_damaged_one(harness)
    ids = [damaged.id, *(message.id for message in good)]
    snapshots = await harness.inspect.find(ids)
    expect_equal([s and s.message.id for s in snapshots], ids, "ids that find gives")
    expect_equal([s and s.state for s in snapshots], [State.READY] * 3, "states that find gives")
    expect_equal([s and s.message for s in snapshots[1:]], good, "good messages that find gives")
    expect(snapshots[0] and snapshots[0].error, "find does not say what is wrong")
    page = await harness.inspect.browse(State.READY, queue=harness.queue)
    expect_equal(sorted(s.message.id for s in page.items), sorted(ids), "ids that browse gives")
    [info] = [info for info in await harness.inspect.queues() if info.name == harness.queue]
    expect_equal(info.ready, 3, "ready messages of the queue")
    await harness.expect_counts(ready=3)


@check("j", 49, needs=Capability.DEAD_LETTERS, damages=True)
async def dead_letter_that_is_damaged_costs_no_other(harness: Harness) -> None:
    await harness.enqueue_count(3)
    deliveries = await harness.reserve()
    await harness.settle(*(Fail(each.lease, Reason.FAILED, ERROR) for each in deliveries))
    damaged, *good = (delivery.message for delivery in deliveries)
    await harness.damage(damaged.id)
    letters = {letter.message.id: letter for letter in await _letters(harness)}
    expect_equal(len(letters), 3, "number of dead letters")
    for message in good:
        expect_equal(letters[message.id].message, message, "a dead letter that is not damaged")
        expect_equal(letters[message.id].error, ERROR, "its error")
    if harness.has(Capability.RESULTS):
        ids = [damaged.id, *(message.id for message in good)]
        outcomes = await harness.results.results(ids)
        expect_equal([o and o.state for o in outcomes], [State.DEAD] * 3, "states of the outcomes")
        errors = [outcome and outcome.error for outcome in outcomes[1:]]
        expect_equal(errors, [ERROR] * 2, "errors of outcomes that are not damaged")
    await harness.dead.requeue([damaged.id, good[0].id])
    await harness.expect_delivered([good[0].id], "what was sent again")
    await harness.upkeep()
    await harness.expect_counts(leased=1, dead=2)
    expect_equal(await harness.dead.delete_dead([damaged.id]), [True], "answer of delete_dead")
    await harness.expect_counts(leased=1, dead=1)


@check("j", 31, 49, needs=Capability.DEAD_LETTERS, damages=True)
async def damaged_dead_letter_is_repaired_by_an_edit(harness: Harness) -> None:
    message = await harness.enqueue()
    await harness.damage(message.id)
    await _expect_dead_letter(harness, message)
    expect_equal(await harness.dead.requeue_edited(message), True, "answer of requeue_edited")
    delivery = await harness.lease()
    expect_equal(delivery.message, message, "the message that was written again")
    await harness.settle(Complete(delivery.lease))
    await harness.expect_gone(message.id)


@check("", 35, 49, needs=Capability.PURGE, damages=True)
async def damaged_messages_are_purged(harness: Harness) -> None:
    damaged, _ = await _some_with_a_damaged_one(harness)
    purged = await harness.purger.purge(harness.queue, states=[State.READY])
    expect_equal(purged, 3, "ready messages purged")
    dying = await harness.enqueue()
    await harness.damage(dying.id)
    await _expect_dead_letter(harness, dying)
    expect_equal(await harness.purger.purge(harness.queue, states=[State.DEAD]), 1, "dead purged")
    await harness.expect_gone(damaged.id)


@check("h", 27, 49, needs=Capability.CANCEL, damages=True)
async def damaged_message_can_be_cancelled(harness: Harness) -> None:
    damaged, good = await _some_with_a_damaged_one(harness)
    [answer] = await harness.canceller.cancel([damaged.id])
    expect_equal(answer.value, "cancelled", "answer of cancel")
    await harness.expect_delivered([message.id for message in good], "what is left")
