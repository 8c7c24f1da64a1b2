"""Damaged records: each costs itself, and nothing else."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import Capability, DeadLetter
from asynctasq.message import Message, State
from asynctasq.settlement import Complete, Fail, LeaseState, Reason, Retry
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import ERROR, LEASE, Kit, expect, expect_equal, random_name


async def _some_with_a_damaged_one(kit: Kit) -> tuple[Message, list[Message]]:
    """Three messages, the first of which is damaged; it, and the others."""
    damaged, *good = await kit.enqueue_count(3)
    await kit.damage(damaged.id)
    return damaged, good


async def _bury(kit: Kit, damaged: Message) -> None:
    """Have the damaged message found out."""
    expect_equal(await kit.reserve(), [], "a damaged message was delivered")
    await kit.upkeep()
    expect_equal(await kit.reserve(), [], "a damaged message was delivered")
    await _expect_dead(kit, damaged.id)


async def _expect_dead(kit: Kit, message_id: bytes) -> None:
    """The queue's one dead letter is the damaged message."""
    if kit.has(Capability.EXACT_COUNT):
        counts = await kit.driver.count(kit.queue)
        expect_equal(counts.dead, 1, "number of dead letters")
    if kit.has(Capability.RESULTS):
        [outcome] = await kit.results.results([message_id])
        reason = outcome and outcome.reason
        expect_equal(reason, Reason.UNDECODABLE, "reason in the outcome of a damaged message")
    if kit.has(Capability.DEAD_LETTERS):
        [letter] = await _letters(kit)
        expect_equal(letter.message.id, message_id, "id of the dead letter")
        expect_equal(letter.reason, Reason.UNDECODABLE, "reason of the dead letter")
        expect_equal(letter.message.queue, kit.queue, "queue of the dead letter")
        expect(isinstance(letter.message.body, bytes), "the dead letter has no bytes")
        expect(letter.error is not None, "the dead letter does not say what is wrong")


async def _letters(kit: Kit) -> Sequence[DeadLetter]:
    return (await kit.dead.dead_letters(queue=kit.queue)).items


@check("aj", 49, damages=True)
async def damaged_message_is_dead_and_the_others_are_delivered(kit: Kit) -> None:
    damaged, good = await _some_with_a_damaged_one(kit)
    other = await kit.enqueue(queue=random_name("other"))
    got = []
    for _ in range(3):
        deliveries = await kit.twin.reserve(
            {kit.queue: 9, other.queue: 9}, limit=9, owner=kit.owner, lease=LEASE
        )
        got += [delivery.message for delivery in deliveries]
    expect_equal(sorted(got, key=lambda m: m.id), [*good, other], "what was delivered")
    await kit.expect_counts(leased=2, dead=1)
    await _expect_dead(kit, damaged.id)


@check("aj", 49, damages=True)
async def each_of_many_damaged_messages_is_dead(kit: Kit) -> None:
    """More of them than a reserve asks for, before a good one."""
    messages = await kit.enqueue_count(12)
    for message in messages[:-1]:
        await kit.damage(message.id)
    got: list[bytes] = []
    for _ in range(12):
        got += [delivery.message.id for delivery in await kit.reserve(2)]
    expect_equal(got, [messages[-1].id], "what was delivered")
    await kit.expect_counts(leased=1, dead=11)


@check("aj", 49, damages=True)
async def damaged_message_that_falls_due_is_dead(kit: Kit) -> None:
    damaged = await kit.enqueue(delay=100.0, headers={"trace": "1"})
    good = await kit.enqueue(delay=100.0)
    await kit.damage(damaged.id)
    await kit.advance(200)
    await kit.expect_delivered([good.id], "what fell due")
    await kit.upkeep()
    await kit.expect_counts(leased=1, dead=1)
    await _expect_dead(kit, damaged.id)


@check("a", 49, damages=True)
async def message_damaged_while_it_runs_is_settled_as_usual(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.damage(delivery.message.id)
    states = await kit.driver.extend(kit.owner, [delivery.lease], lease=LEASE)
    expect_equal(states, [LeaseState.HELD], "answer of extend")
    await kit.settle(Complete(delivery.lease, b"result"))
    if kit.has(Capability.RESULTS):
        [outcome] = await kit.results.results([delivery.message.id])
        expect_equal(outcome and outcome.result, b"result", "its result")
    await kit.expect_gone(delivery.message.id)


@check("aj", 49, damages=True)
async def message_damaged_while_it_runs_is_dead_after_a_retry(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.damage(delivery.message.id)
    await kit.settle(Retry(delivery.lease, 0.0, ERROR))
    await _bury(kit, delivery.message)


@check("abj", 49, damages=True)
async def message_damaged_while_it_runs_is_reclaimed(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.damage(delivery.message.id)
    await kit.end_leases()
    await _bury(kit, delivery.message)


@check("a", 49, needs=Capability.INSPECT, damages=True)
async def listings_show_a_damaged_message_and_the_others(kit: Kit) -> None:
    damaged, good = await _some_with_a_damaged_one(kit)
    ids = [damaged.id, *(message.id for message in good)]
    snapshots = await kit.inspect.find(ids)
    expect_equal([s and s.message.id for s in snapshots], ids, "ids that find gives")
    expect_equal([s and s.state for s in snapshots], [State.READY] * 3, "states that find gives")
    expect_equal([s and s.message for s in snapshots[1:]], good, "good messages that find gives")
    expect(snapshots[0] and snapshots[0].error, "find does not say what is wrong")
    page = await kit.inspect.browse(State.READY, queue=kit.queue)
    expect_equal(sorted(s.message.id for s in page.items), sorted(ids), "ids that browse gives")
    [info] = [info for info in await kit.inspect.queues() if info.name == kit.queue]
    expect_equal(info.ready, 3, "ready messages of the queue")
    await kit.expect_counts(ready=3)


@check("j", 49, needs=Capability.DEAD_LETTERS, damages=True)
async def dead_letter_that_is_damaged_costs_no_other(kit: Kit) -> None:
    await kit.enqueue_count(3)
    deliveries = await kit.reserve()
    await kit.settle(*(Fail(each.lease, Reason.FAILED, ERROR) for each in deliveries))
    damaged, *good = (delivery.message for delivery in deliveries)
    await kit.damage(damaged.id)
    letters = {letter.message.id: letter for letter in await _letters(kit)}
    expect_equal(len(letters), 3, "number of dead letters")
    for message in good:
        expect_equal(letters[message.id].message, message, "a dead letter that is not damaged")
        expect_equal(letters[message.id].error, ERROR, "its error")
    if kit.has(Capability.RESULTS):
        ids = [damaged.id, *(message.id for message in good)]
        outcomes = await kit.results.results(ids)
        expect_equal([o and o.state for o in outcomes], [State.DEAD] * 3, "states of the outcomes")
        errors = [outcome and outcome.error for outcome in outcomes[1:]]
        expect_equal(errors, [ERROR] * 2, "errors of outcomes that are not damaged")
    await kit.dead.requeue([damaged.id, good[0].id])
    await kit.expect_delivered([good[0].id], "what was sent again")
    await kit.upkeep()
    await kit.expect_counts(leased=1, dead=2)
    expect_equal(await kit.dead.delete_dead([damaged.id]), [True], "answer of delete_dead")
    await kit.expect_counts(leased=1, dead=1)


@check("j", 31, 49, needs=Capability.DEAD_LETTERS, damages=True)
async def damaged_dead_letter_is_repaired_by_an_edit(kit: Kit) -> None:
    message = await kit.enqueue()
    await kit.damage(message.id)
    await _bury(kit, message)
    expect_equal(await kit.dead.requeue_edited(message), True, "answer of requeue_edited")
    delivery = await kit.lease()
    expect_equal(delivery.message, message, "the message that was written anew")
    await kit.settle(Complete(delivery.lease))
    await kit.expect_gone(message.id)


@check("", 35, 49, needs=Capability.PURGE, damages=True)
async def damaged_messages_are_purged(kit: Kit) -> None:
    damaged, _ = await _some_with_a_damaged_one(kit)
    purged = await kit.purger.purge(kit.queue, states=[State.READY])
    expect_equal(purged, 3, "ready messages purged")
    dying = await kit.enqueue()
    await kit.damage(dying.id)
    await _bury(kit, dying)
    expect_equal(await kit.purger.purge(kit.queue, states=[State.DEAD]), 1, "dead purged")
    await kit.expect_gone(damaged.id)


@check("h", 27, 49, needs=Capability.CANCEL, damages=True)
async def damaged_message_can_be_cancelled(kit: Kit) -> None:
    damaged, good = await _some_with_a_damaged_one(kit)
    [answer] = await kit.canceller.cancel([damaged.id])
    expect_equal(answer.value, "cancelled", "answer of cancel")
    await kit.expect_delivered([message.id for message in good], "what is left")
