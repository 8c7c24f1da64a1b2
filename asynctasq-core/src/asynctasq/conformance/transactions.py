"""TRANSACTIONS: plans that run in a transaction of an application."""

from contextlib import suppress
from typing import TYPE_CHECKING

from asynctasq.conformance.check import check
from asynctasq.conformance.formatting import gave
from asynctasq.conformance.harness import ERROR, Harness, RunPlan, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import CancelOutcome, Capability
from asynctasq.message import Message, State, Unique
from asynctasq.settlement import Complete, Retry, Settled

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities.transactions import SupportsTransactions

NEEDS = Capability.TRANSACTIONS
CHUNK = 300


class RollBack(Exception):
    """Rolls a transaction back."""


def _planner(harness: Harness) -> "SupportsTransactions":
    from asynctasq.contracts.capabilities.transactions import SupportsTransactions

    driver = harness.driver
    assert isinstance(driver, SupportsTransactions)  # `check_capabilities` has made sure
    return driver


async def _enqueue(harness: Harness, run: RunPlan, *messages: Message) -> list[tuple[bytes, bool]]:
    answers = await run(_planner(harness).plan_enqueue(messages))
    return [(answer.id, answer.created) for answer in answers]


async def _states(harness: Harness, run: RunPlan, *ids: bytes) -> list[State | None]:
    found: list[State | None] = await run(_planner(harness).plan_states(ids))
    return found


@check("", 66, 67, needs=NEEDS, transacts=True)
async def planned_messages_appear_at_the_commit(harness: Harness) -> None:
    first, later = harness.message(), harness.message(delay=500.0)
    async with harness.transaction() as run:
        answers = await _enqueue(harness, run, first, later)
        expect_equal(answers, [(first.id, True), (later.id, True)], "answers of the plan")
        seen = await _states(harness, run, first.id, later.id)
        expect_equal(seen, [State.READY, State.SCHEDULED], "states inside")
        await harness.expect_counts()
    await harness.expect_counts(ready=1, scheduled=1)
    delivery = await harness.lease()
    expect_equal((delivery.message.id, delivery.message.body), (first.id, first.body), "delivery")
    await harness.settle(Complete(delivery.lease))
    await harness.advance(501)
    await harness.expect_delivered([later.id], "the delayed message")


@check("", 66, needs=NEEDS, transacts=True)
async def rolled_back_plan_leaves_nothing(harness: Harness) -> None:
    """Neither a message nor the name of a queue."""
    other = random_name("other")
    messages = [harness.message(), harness.message(queue=other)]
    with suppress(RollBack):
        async with harness.transaction() as run:
            await _enqueue(harness, run, *messages)
            raise RollBack
    await harness.expect_counts()
    async with harness.transaction() as run:
        expect_equal(await _states(harness, run, messages[0].id), [None], "state of the message")
    await harness.enqueue_all(messages)
    await harness.expect_delivered([messages[0].id], "a repeated enqueue")
    [delivery] = await harness.reserve(queue=other)
    expect_equal(delivery.message.id, messages[1].id, "the message of the other queue")


@check("", 66, 67, needs=NEEDS, transacts=True)
async def many_messages_commit_together(harness: Harness) -> None:
    messages = [harness.message(priority=n % 3, delay=float(n % 2)) for n in range(CHUNK)]
    async with harness.transaction() as run:
        answers = await _enqueue(harness, run, *messages)
        expect_equal(answers, [(each.id, True) for each in messages], "answers of the plan")
    await harness.advance(5)
    delivered = await harness.reserve(CHUNK + 1)
    got = sorted(each.message.id for each in delivered)
    expect_equal(got, sorted(each.id for each in messages), "the messages")


@check("b", 67, needs=NEEDS | Capability.IDEMPOTENT, transacts=True)
async def known_id_in_a_plan_is_an_answer(harness: Harness) -> None:
    known = await harness.enqueue()
    new = harness.message()
    async with harness.transaction() as run:
        answers = await _enqueue(harness, run, known, new, new)
        expect_equal(
            answers, [(known.id, False), (new.id, True), (new.id, False)], "answers of the plan"
        )
    await harness.expect_counts(ready=2)


@check("", 66, 67, needs=NEEDS | Capability.UNIQUE, transacts=True)
async def unique_key_in_a_plan_is_held_from_the_commit(harness: Harness) -> None:
    unique = Unique(random_name("key"))
    first, second = (harness.message(unique=unique) for _ in range(2))
    with suppress(RollBack):
        async with harness.transaction() as run:
            await _enqueue(harness, run, first)
            raise RollBack
    async with harness.transaction() as run:
        answers = await _enqueue(harness, run, second, first)
        expect_equal(answers, [(second.id, True), (second.id, False)], "answers of the plan")
    third = harness.message(unique=unique)
    [answer] = await harness.driver.enqueue([third])
    expect_equal((answer.id, answer.created), (second.id, False), "answer after the commit")
    await harness.expect_counts(ready=1)


@check("", 66, 67, needs=NEEDS | Capability.CANCEL, transacts=True)
async def planned_cancel_counts_from_the_commit(harness: Harness) -> None:
    message = await harness.enqueue()
    plan_cancel = _planner(harness).plan_cancel
    with suppress(RollBack):
        async with harness.transaction() as run:
            answers = await run(plan_cancel([message.id]))
            expect_equal(answers, [CancelOutcome.CANCELLED], "answer of the plan")
            raise RollBack
    await harness.expect_counts(ready=1)
    async with harness.transaction() as run:
        answers = await run(plan_cancel([message.id, harness.message().id]))
        wanted = [CancelOutcome.CANCELLED, CancelOutcome.UNKNOWN]
        expect_equal(answers, wanted, "answers of the plan")
        expect_equal(await _states(harness, run, message.id), [State.CANCELLED], "state inside")
    await harness.expect_gone(message.id)


@check("e", 68, needs=NEEDS | Capability.FENCED | Capability.RESULTS, transacts=True)
async def planned_completion_ends_the_lease_at_the_commit(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    done = Complete(delivery.lease, b"result", 500.0, b"about")
    async with harness.transaction() as run:
        answer = await run(_planner(harness).plan_complete(done))
        expect_equal(answer, Settled.DONE, "answer of the plan")
        await harness.expect_counts(leased=1)
    answers = await harness.clone.settle([Retry(delivery.lease, 0.0, ERROR)])
    expect_equal(answers, [Settled.LOST], "settlement after the commit")
    [outcome] = await harness.results.results([delivery.message.id])
    expect(
        outcome is not None
        and (outcome.state, outcome.result, outcome.about)
        == (State.COMPLETED, b"result", b"about"),
        gave("the outcome with result and about", outcome),
    )
    async with harness.transaction() as run:
        seen = await _states(harness, run, delivery.message.id)
        expect_equal(seen, [State.COMPLETED], "state after the commit")


@check("e", 68, needs=NEEDS | Capability.FENCED, transacts=True)
async def rolled_back_completion_leaves_the_lease(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    with suppress(RollBack):
        async with harness.transaction() as run:
            await run(_planner(harness).plan_complete(Complete(delivery.lease, b"result")))
            raise RollBack
    await harness.expect_counts(leased=1)
    await harness.settle(Retry(delivery.lease, 0.0, ERROR))
    again = await harness.lease()
    expect_equal((again.message.id, again.attempt), (delivery.message.id, 1), "next run")


@check("c", 67, 68, needs=NEEDS | Capability.FENCED, transacts=True)
async def stale_lease_cannot_complete_in_a_transaction(harness: Harness) -> None:
    stale = await harness.enqueue_and_lease()
    await harness.settle(Retry(stale.lease, 0.0, ERROR))
    current = await harness.lease()
    follower = harness.message()
    async with harness.transaction() as run:
        answer = await run(_planner(harness).plan_complete(Complete(stale.lease, b"stale")))
        expect_equal(answer, Settled.LOST, "answer of the plan")
        await _enqueue(harness, run, follower)
    await harness.settle(Complete(current.lease))
    await harness.expect_delivered([follower.id], "the rest of the transaction")
