"""Leases: they hold, are renewed and end, and the messages of ended leases are delivered again."""

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, LEASE, Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.message import Lease, State
from asynctasq.settlement import (
    Cancelled,
    Complete,
    Fail,
    LeaseState,
    Reason,
    Release,
    Retry,
    Settled,
)

HELD, LOST = LeaseState.HELD, LeaseState.LOST


@check("b", 5)
async def leased_message_is_not_delivered_again(harness: Harness) -> None:
    await harness.enqueue_and_lease()
    await harness.expect_counts(leased=1)
    await harness.advance(LEASE - 10)
    await harness.expect_nothing_ready("a leased message was delivered to another owner")
    expect_equal(await harness.reserve(), [], "a second reserve by the same owner")


@check("b", 7)
async def ended_lease_is_delivered_again(harness: Harness) -> None:
    """Check that the message comes again with all fields, counted as lost and not as an attempt."""
    first = await harness.enqueue_and_lease(headers={"k": "v"}, priority=3)
    await harness.advance(LEASE + 1)
    second = await harness.lease(owner=random_name("other"))
    expect_equal(second.message, first.message, "the message whose lease ended")
    harness.expect_tries(second, attempt=0, lost=1)
    await harness.settle(Complete(second.lease))
    await harness.expect_gone(second.message.id)


@check("b", 6)
async def ended_lease_is_reclaimed_by_a_reserve_of_another_queue(harness: Harness) -> None:
    await harness.enqueue_and_lease()
    await harness.advance(LEASE * 1.5)
    await harness.upkeep()
    await harness.expect_counts(ready=1)
    harness.expect_tries(await harness.lease(), attempt=0, lost=1)


@check("b", 6, needs=Capability.EXACT_COUNT)
async def ended_lease_is_leased_until_reclaimed(harness: Harness) -> None:
    await harness.enqueue_and_lease()
    await harness.advance(LEASE * 1.5)
    await harness.expect_counts(leased=1)


@check("b", 5)
async def extended_lease_holds(harness: Harness) -> None:
    """Extend through another instance, as the lease renewer of a worker does."""
    delivery = await harness.enqueue_and_lease()
    for _ in range(4):
        await harness.advance(LEASE * 0.6)
        states = await harness.driver.extend(harness.owner, [delivery.lease], lease=LEASE)
        expect_equal(states, [HELD], "answer of extend")
        await harness.expect_nothing_ready("a message was delivered although its lease is extended")
    await harness.settle(Complete(delivery.lease))
    await harness.expect_gone(delivery.message.id)


@check("b", 5)
async def extension_covers_every_lease_of_the_owner(harness: Harness) -> None:
    await harness.enqueue_count(5)
    deliveries = await harness.reserve()
    await harness.advance(LEASE * 0.6)
    leases = [delivery.lease for delivery in deliveries]
    states = await harness.driver.extend(harness.owner, leases, lease=LEASE)
    expect_equal(states, [HELD] * 5, "answers of extend")
    await harness.advance(LEASE * 0.6)
    await harness.expect_nothing_ready("an extended lease ended")
    await harness.settle(*(Complete(lease) for lease in leases))


@check("b", 5)
async def a_short_reserve_does_not_shorten_other_leases(harness: Harness) -> None:
    first = await harness.enqueue_and_lease()
    await harness.enqueue()
    second = await harness.lease(lease=10.0)
    await harness.settle(Complete(second.lease))
    await harness.advance(LEASE * 0.5)
    await harness.expect_nothing_ready("a lease ended early: a later reserve shortened it")
    await harness.settle(Complete(first.lease))


@check("b", 6)
async def owner_may_settle_until_its_ended_lease_is_reclaimed(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.advance(LEASE * 1.5)
    await harness.settle(Complete(delivery.lease))
    await harness.expect_gone(delivery.message.id)


@check("b", 6)
async def owner_may_extend_until_its_ended_lease_is_reclaimed(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.advance(LEASE * 1.5)
    states = await harness.driver.extend(harness.owner, [delivery.lease], lease=LEASE)
    expect_equal(states, [HELD], "answer of a late extend")
    await harness.expect_nothing_ready("a message was delivered although its lease was extended")
    await harness.settle(Complete(delivery.lease))


@check("b", 5)
async def only_the_owner_that_stopped_loses(harness: Harness) -> None:
    alive, gone = random_name("alive"), random_name("gone")
    await harness.enqueue_count(2)
    kept = await harness.lease(owner=alive)
    lost = await harness.lease(owner=gone)
    await harness.advance(LEASE * 0.6)
    await harness.driver.extend(alive, [kept.lease], lease=LEASE)
    await harness.advance(LEASE * 0.6)
    again = await harness.lease()
    expect_equal(again.message.id, lost.message.id, "the message of the owner that is gone")
    await harness.expect_nothing_ready("the message of the owner that lives was delivered too")
    await harness.settle(Complete(kept.lease))


@check("b", 8)
async def reclaimed_owner_starts_again(harness: Harness) -> None:
    """Check that an owner that lost everything and reserves again holds the new lease for its full time."""
    await harness.enqueue_and_lease()
    await harness.advance(LEASE * 1.5)
    await harness.upkeep()
    again = await harness.lease()
    await harness.advance(LEASE * 0.5)
    await harness.expect_nothing_ready("the new lease of a returning owner ended early")
    await harness.settle(Complete(again.lease))


@check("b", 7)
async def lost_too_often_is_dead(harness: Harness) -> None:
    message = await harness.enqueue(max_lost=2)
    for lost in range(3):
        delivery = await harness.lease(owner=random_name("dies"))
        harness.expect_tries(delivery, attempt=0, lost=lost)
        await harness.advance(LEASE * 1.5)
    if harness.has(Capability.COUNTED):
        await harness.upkeep()
        await harness.expect_dead(message.id, Reason.LOST)


@check("b", 7, needs=Capability.COUNTED)
async def with_max_lost_zero_a_lost_lease_is_the_end(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease(max_lost=0)
    await harness.advance(LEASE * 1.5)
    await harness.upkeep()
    await harness.expect_dead(delivery.message.id, Reason.LOST)


@check("b", 7, needs=Capability.COUNTED)
async def lost_for_good_tells_the_last_error(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease(max_lost=0)
    await harness.settle(Retry(delivery.lease, 0.0, ERROR))
    await harness.lease()
    await harness.advance(LEASE * 1.5)
    await harness.upkeep()
    await harness.expect_dead(delivery.message.id, Reason.LOST, ERROR)


@check("b", 7, needs=Capability.COUNTED)
async def lost_count_survives_retry_and_release(harness: Harness) -> None:
    await harness.enqueue_and_lease()
    await harness.end_leases()
    second = await harness.lease()
    await harness.settle(Retry(second.lease, 0.0, ERROR))
    third = await harness.lease()
    harness.expect_tries(third, attempt=1, lost=1)
    await harness.settle(Release(third.lease))
    harness.expect_tries(await harness.lease(), attempt=1, lost=1)


@check("b", 10)
async def lease_that_never_arrived_is_given_back(harness: Harness) -> None:
    """Check that a message is ready again, uncounted, if it is leased for longer than a lease and `extend` omits it."""
    await harness.enqueue_count(2)
    known, unheard = await harness.reserve()
    await harness.advance(LEASE * 0.6)
    states = await harness.driver.extend(harness.owner, [known.lease], lease=LEASE)
    expect_equal(states, [HELD], "answer of extend")
    await harness.expect_nothing_ready("a lease younger than `lease` seconds was given back")
    await harness.advance(LEASE * 0.6)
    await harness.driver.extend(harness.owner, [known.lease], lease=LEASE)
    again = await harness.lease()
    expect_equal(again.message.id, unheard.message.id, "what was given back")
    harness.expect_tries(again, attempt=0, lost=0)
    await harness.settle(Complete(known.lease), Complete(again.lease))
    await harness.expect_counts()


@check("b", 10)
async def young_leases_need_not_be_named(harness: Harness) -> None:
    """Check that a reserve whose answer is under way does not count as lost."""
    delivery = await harness.enqueue_and_lease()
    await harness.driver.extend(harness.owner, [], lease=LEASE)
    await harness.expect_nothing_ready(
        "a fresh lease was given back because extend did not name it"
    )
    await harness.settle(Complete(delivery.lease))


@check("c", 9, needs=Capability.FENCED)
async def stale_owner_changes_nothing(harness: Harness) -> None:
    """Check that no call of an owner that lost its lease affects the run that followed."""
    stale = (await harness.enqueue_and_lease()).lease
    await harness.advance(LEASE * 1.5)
    other = random_name("other")
    current = await harness.lease(owner=other)
    states = await harness.driver.extend(harness.owner, [stale], lease=LEASE)
    expect_equal(states, [LOST], "answer of extend to the stale owner")
    for settlement in (
        Complete(stale, b"stale"),
        Retry(stale, 0.0, ERROR),
        Fail(stale, Reason.FAILED, ERROR),
        Release(stale),
        Cancelled(stale),
    ):
        answers = await harness.driver.settle([settlement])
        expect_equal(answers, [Settled.LOST], f"answer to a stale {type(settlement).__name__}")
        await harness.expect_counts(leased=1)
        await harness.expect_nothing_ready("a stale settlement made the message ready")
    await harness.settle(Complete(current.lease))
    await harness.expect_gone(current.message.id)


@check("c", 9, needs=Capability.FENCED)
async def reclaimed_message_that_waits_ignores_its_stale_owner(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.advance(LEASE * 1.5)
    await harness.upkeep()
    states = await harness.driver.extend(harness.owner, [delivery.lease], lease=LEASE)
    expect_equal(states, [LOST], "answer of extend after the reclaim")
    answers = await harness.driver.settle([Complete(delivery.lease)])
    expect_equal(answers, [Settled.LOST], "answer of settle after the reclaim")
    await harness.expect_counts(ready=1)


@check("c", 9, 15, needs=Capability.FENCED)
async def released_lease_is_over(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Release(delivery.lease))
    states = await harness.driver.extend(harness.owner, [delivery.lease], lease=LEASE)
    expect_equal(states, [LOST], "answer of extend after a release")
    answers = await harness.driver.settle([Complete(delivery.lease)])
    expect_equal(answers, [Settled.LOST], "answer of settle after a release")
    await harness.expect_counts(ready=1)


@check("c", 9, 10, needs=Capability.FENCED)
async def given_back_lease_is_over(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.advance(LEASE * 1.2)
    await harness.driver.extend(harness.owner, [], lease=LEASE)
    answers = await harness.driver.settle([Complete(delivery.lease)])
    expect_equal(answers, [Settled.LOST], "answer of settle after the lease was given back")
    await harness.expect_counts(ready=1)


@check("b", 9, 10, needs=Capability.FENCED)
async def a_lease_named_with_another_token_is_not_known(harness: Harness) -> None:
    """Name a lease that the owner had before; the current one never reached it."""
    first = await harness.enqueue_and_lease()
    await harness.settle(Release(first.lease))
    await harness.lease()
    await harness.advance(LEASE * 1.2)
    states = await harness.driver.extend(harness.owner, [first.lease], lease=LEASE)
    expect_equal(states, [LOST], "answer of extend for the old token")
    harness.expect_tries(await harness.lease(), attempt=0, lost=0)


@check("c", 10, needs=Capability.FENCED)
async def only_the_owner_extends(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    states = await harness.driver.extend(random_name("thief"), [delivery.lease], lease=LEASE)
    expect_equal(states, [LOST], "answer of extend to another owner")
    await harness.end_leases()
    harness.expect_tries(await harness.lease(), attempt=0, lost=1)


@check("c", 10, needs=Capability.FENCED)
async def extend_answers_in_order(harness: Harness) -> None:
    """Check one call with held and lost leases."""
    await harness.enqueue_count(4)
    leases = [delivery.lease for delivery in await harness.reserve()]
    await harness.settle(Complete(leases[0]), Complete(leases[2]))
    unknown = Lease(harness.message().id, leases[1].token)
    states = await harness.driver.extend(harness.owner, [*leases, unknown], lease=LEASE)
    expect_equal(states, [LOST, HELD, LOST, HELD, LOST], "answers of extend")


@check("c", 9, needs=Capability.FENCED)
async def tokens_are_never_reused(harness: Harness) -> None:
    """Check that each lease of a message has its own token, also after a release, a retry and a reclaim."""
    tokens: list[int | str] = []
    delivery = await harness.enqueue_and_lease(max_lost=10)
    for step in range(6):
        tokens.append(delivery.lease.token)
        if step % 3 == 0:
            await harness.settle(Release(delivery.lease))
        elif step % 3 == 1:
            await harness.settle(Retry(delivery.lease, 0.0, ERROR))
        else:
            await harness.end_leases()
        delivery = await harness.lease()
    tokens.append(delivery.lease.token)
    expect(len(set(tokens)) == len(tokens), f"tokens of one message repeat: {tokens}")
    numbers = [token for token in tokens if isinstance(token, int)]
    expect_equal(numbers, sorted(numbers), "tokens that are numbers")


@check("c", 9, needs=Capability.FENCED | Capability.PURGE)
async def token_grows_although_the_message_was_deleted(harness: Harness) -> None:
    """Check that the tokens of an id that is purged and enqueued again stay stale."""
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Release(delivery.lease))
    await harness.purger.purge(harness.queue, states=[State.READY])
    await harness.enqueue_all([delivery.message])
    token = (await harness.lease()).lease.token
    expect(token != delivery.lease.token, f"the token {token!r} was that of an earlier lease")
