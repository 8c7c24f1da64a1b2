"""Leases: they hold, are renewed, end, and what ended is delivered again."""

from asynctasq.contracts.capabilities import Capability
from asynctasq.message import Lease
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
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import ERROR, LEASE, Kit, expect, expect_equal, random_name

HELD, LOST = LeaseState.HELD, LeaseState.LOST


@check("b", 5)
async def leased_message_is_not_delivered_again(kit: Kit) -> None:
    await kit.enqueue_and_lease()
    await kit.expect_counts(leased=1)
    await kit.advance(LEASE - 10)
    await kit.expect_nothing_ready("a leased message was delivered to another owner")
    expect_equal(await kit.reserve(), [], "a second reserve by the same owner")


@check("b", 7)
async def ended_lease_is_delivered_again(kit: Kit) -> None:
    """Uncounted as an attempt, counted as lost, with all its fields."""
    first = await kit.enqueue_and_lease(headers={"k": "v"}, priority=3)
    await kit.advance(LEASE + 1)
    second = await kit.lease(owner=random_name("other"))
    expect_equal(second.message, first.message, "the message whose lease ended")
    kit.expect_tries(second, attempt=0, lost=1)
    await kit.settle(Complete(second.lease))
    await kit.expect_gone(second.message.id)


@check("b", 6)
async def ended_lease_is_reclaimed_by_a_reserve_of_another_queue(kit: Kit) -> None:
    await kit.enqueue_and_lease()
    await kit.advance(LEASE * 1.5)
    await kit.upkeep()
    await kit.expect_counts(ready=1)
    kit.expect_tries(await kit.lease(), attempt=0, lost=1)


@check("b", 6, needs=Capability.EXACT_COUNT)
async def ended_lease_is_leased_until_reclaimed(kit: Kit) -> None:
    await kit.enqueue_and_lease()
    await kit.advance(LEASE * 1.5)
    await kit.expect_counts(leased=1)


@check("b", 5)
async def extended_lease_holds(kit: Kit) -> None:
    """Extended through another instance, as a worker's keeper does."""
    delivery = await kit.enqueue_and_lease()
    for _ in range(4):
        await kit.advance(LEASE * 0.6)
        states = await kit.driver.extend(kit.owner, [delivery.lease], lease=LEASE)
        expect_equal(states, [HELD], "answer of extend")
        await kit.expect_nothing_ready("a message was delivered although its lease is extended")
    await kit.settle(Complete(delivery.lease))
    await kit.expect_gone(delivery.message.id)


@check("b", 5)
async def extension_covers_every_lease_of_the_owner(kit: Kit) -> None:
    await kit.enqueue_count(5)
    deliveries = await kit.reserve()
    await kit.advance(LEASE * 0.6)
    leases = [delivery.lease for delivery in deliveries]
    states = await kit.driver.extend(kit.owner, leases, lease=LEASE)
    expect_equal(states, [HELD] * 5, "answers of extend")
    await kit.advance(LEASE * 0.6)
    await kit.expect_nothing_ready("an extended lease ended")
    await kit.settle(*(Complete(lease) for lease in leases))


@check("b", 5)
async def a_short_reserve_does_not_shorten_other_leases(kit: Kit) -> None:
    first = await kit.enqueue_and_lease()
    await kit.enqueue()
    second = await kit.lease(lease=10.0)
    await kit.settle(Complete(second.lease))
    await kit.advance(LEASE * 0.5)
    await kit.expect_nothing_ready("a lease ended early: a later reserve shortened it")
    await kit.settle(Complete(first.lease))


@check("b", 6)
async def owner_may_settle_until_its_ended_lease_is_reclaimed(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.advance(LEASE * 1.5)
    await kit.settle(Complete(delivery.lease))
    await kit.expect_gone(delivery.message.id)


@check("b", 6)
async def owner_may_extend_until_its_ended_lease_is_reclaimed(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.advance(LEASE * 1.5)
    states = await kit.driver.extend(kit.owner, [delivery.lease], lease=LEASE)
    expect_equal(states, [HELD], "answer of a late extend")
    await kit.expect_nothing_ready("a message was delivered although its lease was extended")
    await kit.settle(Complete(delivery.lease))


@check("b", 5)
async def only_the_owner_that_stopped_loses(kit: Kit) -> None:
    alive, gone = random_name("alive"), random_name("gone")
    await kit.enqueue_count(2)
    kept = await kit.lease(owner=alive)
    lost = await kit.lease(owner=gone)
    await kit.advance(LEASE * 0.6)
    await kit.driver.extend(alive, [kept.lease], lease=LEASE)
    await kit.advance(LEASE * 0.6)
    again = await kit.lease()
    expect_equal(again.message.id, lost.message.id, "the message of the owner that is gone")
    await kit.expect_nothing_ready("the message of the owner that lives was delivered too")
    await kit.settle(Complete(kept.lease))


@check("b", 8)
async def reclaimed_owner_starts_anew(kit: Kit) -> None:
    """An owner that lost everything and reserves again holds the new lease for its full time."""
    await kit.enqueue_and_lease()
    await kit.advance(LEASE * 1.5)
    await kit.upkeep()
    again = await kit.lease()
    await kit.advance(LEASE * 0.5)
    await kit.expect_nothing_ready("the new lease of a returning owner ended early")
    await kit.settle(Complete(again.lease))


@check("b", 7)
async def lost_too_often_is_dead(kit: Kit) -> None:
    message = await kit.enqueue(max_lost=2)
    for lost in range(3):
        delivery = await kit.lease(owner=random_name("dies"))
        kit.expect_tries(delivery, attempt=0, lost=lost)
        await kit.advance(LEASE * 1.5)
    if kit.has(Capability.COUNTED):
        await kit.upkeep()
        await kit.expect_dead(message.id, Reason.LOST)


@check("b", 7, needs=Capability.COUNTED)
async def with_max_lost_zero_a_lost_lease_is_the_end(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease(max_lost=0)
    await kit.advance(LEASE * 1.5)
    await kit.upkeep()
    await kit.expect_dead(delivery.message.id, Reason.LOST)


@check("b", 7, needs=Capability.COUNTED)
async def lost_for_good_tells_the_last_error(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease(max_lost=0)
    await kit.settle(Retry(delivery.lease, 0.0, ERROR))
    await kit.lease()
    await kit.advance(LEASE * 1.5)
    await kit.upkeep()
    await kit.expect_dead(delivery.message.id, Reason.LOST, ERROR)


@check("b", 7, needs=Capability.COUNTED)
async def lost_count_survives_retry_and_release(kit: Kit) -> None:
    await kit.enqueue_and_lease()
    await kit.end_leases()
    second = await kit.lease()
    await kit.settle(Retry(second.lease, 0.0, ERROR))
    third = await kit.lease()
    kit.expect_tries(third, attempt=1, lost=1)
    await kit.settle(Release(third.lease))
    kit.expect_tries(await kit.lease(), attempt=1, lost=1)


@check("b", 10)
async def lease_that_never_arrived_is_given_back(kit: Kit) -> None:
    """Leased for longer than a lease and not named in extend: ready again, uncounted."""
    await kit.enqueue_count(2)
    known, unheard = await kit.reserve()
    await kit.advance(LEASE * 0.6)
    states = await kit.driver.extend(kit.owner, [known.lease], lease=LEASE)
    expect_equal(states, [HELD], "answer of extend")
    await kit.expect_nothing_ready("a lease younger than `lease` seconds was given back")
    await kit.advance(LEASE * 0.6)
    await kit.driver.extend(kit.owner, [known.lease], lease=LEASE)
    again = await kit.lease()
    expect_equal(again.message.id, unheard.message.id, "what was given back")
    kit.expect_tries(again, attempt=0, lost=0)
    await kit.settle(Complete(known.lease), Complete(again.lease))
    await kit.expect_counts()


@check("b", 10)
async def young_leases_need_not_be_named(kit: Kit) -> None:
    """A reserve whose answer is still on its way is not taken for lost."""
    delivery = await kit.enqueue_and_lease()
    await kit.driver.extend(kit.owner, [], lease=LEASE)
    await kit.expect_nothing_ready("a fresh lease was given back because extend did not name it")
    await kit.settle(Complete(delivery.lease))


@check("c", 9, needs=Capability.FENCED)
async def stale_owner_changes_nothing(kit: Kit) -> None:
    """Whatever an owner that lost its lease says, the run that followed goes on."""
    stale = (await kit.enqueue_and_lease()).lease
    await kit.advance(LEASE * 1.5)
    other = random_name("other")
    current = await kit.lease(owner=other)
    states = await kit.driver.extend(kit.owner, [stale], lease=LEASE)
    expect_equal(states, [LOST], "answer of extend to the stale owner")
    for settlement in (
        Complete(stale, b"stale"),
        Retry(stale, 0.0, ERROR),
        Fail(stale, Reason.FAILED, ERROR),
        Release(stale),
        Cancelled(stale),
    ):
        answers = await kit.driver.settle([settlement])
        expect_equal(answers, [Settled.LOST], f"answer to a stale {type(settlement).__name__}")
        await kit.expect_counts(leased=1)
        await kit.expect_nothing_ready("a stale settlement made the message ready")
    await kit.settle(Complete(current.lease))
    await kit.expect_gone(current.message.id)


@check("c", 9, needs=Capability.FENCED)
async def reclaimed_message_that_waits_ignores_its_stale_owner(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.advance(LEASE * 1.5)
    await kit.upkeep()
    states = await kit.driver.extend(kit.owner, [delivery.lease], lease=LEASE)
    expect_equal(states, [LOST], "answer of extend after the reclaim")
    answers = await kit.driver.settle([Complete(delivery.lease)])
    expect_equal(answers, [Settled.LOST], "answer of settle after the reclaim")
    await kit.expect_counts(ready=1)


@check("c", 9, 15, needs=Capability.FENCED)
async def released_lease_is_over(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.settle(Release(delivery.lease))
    states = await kit.driver.extend(kit.owner, [delivery.lease], lease=LEASE)
    expect_equal(states, [LOST], "answer of extend after a release")
    answers = await kit.driver.settle([Complete(delivery.lease)])
    expect_equal(answers, [Settled.LOST], "answer of settle after a release")
    await kit.expect_counts(ready=1)


@check("c", 9, 10, needs=Capability.FENCED)
async def given_back_lease_is_over(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.advance(LEASE * 1.2)
    await kit.driver.extend(kit.owner, [], lease=LEASE)
    answers = await kit.driver.settle([Complete(delivery.lease)])
    expect_equal(answers, [Settled.LOST], "answer of settle after the lease was given back")
    await kit.expect_counts(ready=1)


@check("b", 9, 10, needs=Capability.FENCED)
async def a_lease_named_with_another_token_is_not_known(kit: Kit) -> None:
    """The owner names a lease that it had before; that of now never reached it."""
    first = await kit.enqueue_and_lease()
    await kit.settle(Release(first.lease))
    await kit.lease()
    await kit.advance(LEASE * 1.2)
    states = await kit.driver.extend(kit.owner, [first.lease], lease=LEASE)
    expect_equal(states, [LOST], "answer of extend for the old token")
    kit.expect_tries(await kit.lease(), attempt=0, lost=0)


@check("c", 10, needs=Capability.FENCED)
async def only_the_owner_extends(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    states = await kit.driver.extend(random_name("thief"), [delivery.lease], lease=LEASE)
    expect_equal(states, [LOST], "answer of extend to another owner")
    await kit.end_leases()
    kit.expect_tries(await kit.lease(), attempt=0, lost=1)


@check("c", 10, needs=Capability.FENCED)
async def extend_answers_in_order(kit: Kit) -> None:
    """Held and lost mixed, in one call."""
    await kit.enqueue_count(4)
    leases = [delivery.lease for delivery in await kit.reserve()]
    await kit.settle(Complete(leases[0]), Complete(leases[2]))
    unknown = Lease(kit.message().id, leases[1].token)
    states = await kit.driver.extend(kit.owner, [*leases, unknown], lease=LEASE)
    expect_equal(states, [LOST, HELD, LOST, HELD, LOST], "answers of extend")


@check("c", 9, needs=Capability.FENCED)
async def tokens_are_never_reused(kit: Kit) -> None:
    """Through release, retry and reclaim each lease of a message has a token of its own."""
    tokens: list[int | str] = []
    delivery = await kit.enqueue_and_lease(max_lost=10)
    for step in range(6):
        tokens.append(delivery.lease.token)
        if step % 3 == 0:
            await kit.settle(Release(delivery.lease))
        elif step % 3 == 1:
            await kit.settle(Retry(delivery.lease, 0.0, ERROR))
        else:
            await kit.end_leases()
        delivery = await kit.lease()
    tokens.append(delivery.lease.token)
    expect(len(set(tokens)) == len(tokens), f"tokens of one message repeat: {tokens}")
    numbers = [token for token in tokens if isinstance(token, int)]
    expect_equal(numbers, sorted(numbers), "tokens that are numbers")
