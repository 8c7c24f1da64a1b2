"""UNIQUE: a key that one message of the namespace holds at a time."""

from asynctasq.conformance.check import check
from asynctasq.conformance.formatting import gave
from asynctasq.conformance.harness import ERROR, LEASE, Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Enqueued
from asynctasq.message import Message, OnConflict, State, Unique, UniqueUntil
from asynctasq.settlement import Cancelled, Complete, Fail, Reason, Release, Retry

NEEDS = Capability.UNIQUE
STARTED, SETTLED, PERIOD = UniqueUntil.STARTED, UniqueUntil.SETTLED, UniqueUntil.PERIOD


def _key() -> str:
    return random_name("key")


async def _expect_held(harness: Harness, unique: Unique, holder: bytes) -> None:
    answers = await harness.driver.enqueue(
        [harness.message(queue=random_name("rival"), unique=unique)]
    )
    expect_equal(answers, [Enqueued(holder, created=False)], "answer while the key is held")


async def _expect_free(harness: Harness, unique: Unique) -> Message:
    return await harness.enqueue(queue=random_name("successor"), unique=unique)


@check("e", 25, needs=NEEDS)
async def second_of_a_key_is_told_the_first(harness: Harness) -> None:
    """Add nothing, in the same queue or in another one."""
    unique = Unique(_key())
    first = await harness.enqueue(unique=unique)
    elsewhere = random_name("elsewhere")
    rivals = [harness.message(unique=unique), harness.message(queue=elsewhere, unique=unique)]
    answers = await harness.clone.enqueue(rivals)
    expect_equal(answers, [Enqueued(first.id, created=False)] * 2, "answers for a held key")
    await harness.expect_counts(ready=1)
    await harness.expect_counts(queue=elsewhere)


@check("e", 25, needs=NEEDS)
async def second_of_a_key_within_a_chunk(harness: Harness) -> None:
    key, other = Unique(_key()), Unique(_key())
    chunk = [harness.message(unique=u) for u in (key, other, key, None, other)]
    answers = await harness.driver.enqueue(chunk)
    stands = [chunk[0], chunk[1], chunk[0], chunk[3], chunk[1]]
    created = [True, True, False, True, False]
    expected = [Enqueued(m.id, c) for m, c in zip(stands, created, strict=True)]
    expect_equal(answers, expected, "answers for a chunk with doubled keys")
    await harness.expect_counts(ready=3)


@check("e", 24, needs=NEEDS)
async def keys_are_exact_text(harness: Harness) -> None:
    """Case, accents, trailing blanks and length distinguish keys."""
    base = _key()
    long = base + "x" * 150
    keys = [
        base,
        base.upper(),
        f"{base} ",
        f"{base}é",
        f"{base}e\u0301",
        f"{base}e",
        long,
        long + "y",
    ]
    await harness.enqueue_all([harness.message(unique=Unique(key)) for key in keys])
    await harness.expect_counts(ready=len(keys))


@check("eg", 19, 24, needs=NEEDS | Capability.IDEMPOTENT)
async def holder_enqueued_again_is_a_known_id(harness: Harness) -> None:
    """Check that the id comes before the key: a repeated call does not even replace its own message."""
    for on_conflict in OnConflict:
        message = await harness.enqueue(unique=Unique(_key(), on_conflict=on_conflict))
        answers = await harness.clone.enqueue([message])
        expect_equal(answers, [Enqueued(message.id, created=False)], f"repeated, {on_conflict}")
    await harness.expect_counts(ready=3)


@check("de", 24, needs=NEEDS)
async def settled_key_is_held_until_the_end(harness: Harness) -> None:
    unique = Unique(_key())
    delivery = await harness.enqueue_and_lease(unique=unique)
    holder = delivery.message.id
    await _expect_held(harness, unique, holder)
    await harness.settle(Retry(delivery.lease, 100.0, ERROR))
    await _expect_held(harness, unique, holder)
    await harness.advance(101)
    delivery = await harness.lease()
    await harness.settle(Release(delivery.lease))
    await _expect_held(harness, unique, holder)
    await harness.lease()
    await harness.advance(LEASE * 1.5)
    await harness.upkeep()
    await _expect_held(harness, unique, holder)
    delivery = await harness.lease()
    await harness.settle(Complete(delivery.lease))
    await _expect_free(harness, unique)


@check("de", 24, needs=NEEDS)
async def settled_key_is_freed_by_failure_and_cancelled_run(harness: Harness) -> None:
    for number in range(2):
        unique = Unique(_key())
        delivery = await harness.enqueue_and_lease(unique=unique)
        end = Cancelled(delivery.lease) if number else Fail(delivery.lease, Reason.FAILED, ERROR)
        await harness.settle(end)
        await _expect_free(harness, unique)


@check("de", 24, needs=NEEDS | Capability.COUNTED)
async def settled_key_is_freed_when_lost_or_expired(harness: Harness) -> None:
    lost, expired = Unique(_key()), Unique(_key())
    await harness.enqueue_and_lease(unique=lost, max_lost=0)
    await harness.enqueue(unique=expired, expires=100.0)
    await harness.advance(LEASE * 1.5)
    await harness.upkeep()
    await harness.reserve()
    await harness.expect_counts(dead=2)
    await _expect_free(harness, lost)
    await _expect_free(harness, expired)


@check("deh", 24, needs=NEEDS | Capability.CANCEL)
async def settled_key_is_freed_by_cancel(harness: Harness) -> None:
    waiting, flagged = Unique(_key()), Unique(_key())
    delivery = await harness.enqueue_and_lease(unique=flagged)
    message = await harness.enqueue(unique=waiting)
    await harness.canceller.cancel([message.id, delivery.message.id])
    await _expect_free(harness, waiting)
    await _expect_held(harness, flagged, delivery.message.id)
    await harness.settle(Retry(delivery.lease, 0.0, ERROR))
    await _expect_free(harness, flagged)


@check("e", 24, needs=NEEDS)
async def started_key_is_freed_by_the_first_lease(harness: Harness) -> None:
    """And not taken again by a retry."""
    unique = Unique(_key(), STARTED)
    message = await harness.enqueue(unique=unique)
    await _expect_held(harness, unique, message.id)
    delivery = await harness.lease()
    successor = await _expect_free(harness, unique)
    await harness.settle(Retry(delivery.lease, 0.0, ERROR))
    await _expect_held(harness, unique, successor.id)
    again = await harness.lease()
    await harness.settle(Complete(again.lease))
    await _expect_held(harness, unique, successor.id)


@check("e", 24, needs=NEEDS)
async def period_key_is_held_for_its_time_whatever_happens(harness: Harness) -> None:
    unique = Unique(_key(), PERIOD, period=1000.0)
    delivery = await harness.enqueue_and_lease(unique=unique)
    await harness.settle(Complete(delivery.lease, result_ttl=0.0))
    await harness.advance(900)
    await harness.upkeep()
    await _expect_held(harness, unique, delivery.message.id)
    await harness.advance(200)
    await _expect_free(harness, unique)


@check("e", 24, needs=NEEDS)
async def period_key_is_free_after_its_time_though_the_holder_waits(harness: Harness) -> None:
    unique = Unique(_key(), PERIOD, period=1000.0)
    await harness.enqueue(unique=unique)
    await harness.advance(1100)
    successor = await _expect_free(harness, unique)
    delivery = await harness.lease()
    await harness.settle(Complete(delivery.lease))
    await _expect_held(harness, unique, successor.id)


@check("e", 25, needs=NEEDS)
async def replace_takes_the_place_of_a_holder_that_waits(harness: Harness) -> None:
    for delay in (0.0, 5000.0):
        key, queue = _key(), random_name("replace")
        holder = await harness.enqueue(queue=queue, unique=Unique(key), delay=delay)
        replacing = Unique(key, on_conflict=OnConflict.REPLACE)
        newcomer = await harness.enqueue(queue=queue, unique=replacing, body=b"newer")
        await harness.expect_counts(queue=queue, ready=1)
        await _expect_held(harness, Unique(key), newcomer.id)
        if harness.has(Capability.RESULTS):
            [outcome] = await harness.results.results([holder.id])
            expect(
                outcome is not None and outcome.state is State.CANCELLED,
                gave("an outcome CANCELLED for what was replaced", outcome),
            )
        delivery = await harness.lease(queue=queue)
        expect_equal(delivery.message, newcomer, "the message that replaced")


@check("e", 25, needs=NEEDS)
async def replace_never_touches_a_running_holder(harness: Harness) -> None:
    key = _key()
    delivery = await harness.enqueue_and_lease(unique=Unique(key))
    await _expect_held(harness, Unique(key, on_conflict=OnConflict.REPLACE), delivery.message.id)
    await harness.expect_counts(leased=1)
    await harness.settle(Complete(delivery.lease))
    await _expect_free(harness, Unique(key))


@check("e", 25, needs=NEEDS)
async def replace_respects_the_period_of_a_finished_holder(harness: Harness) -> None:
    key = _key()
    delivery = await harness.enqueue_and_lease(unique=Unique(key, PERIOD, period=1000.0))
    await harness.settle(Complete(delivery.lease))
    await _expect_held(harness, Unique(key, on_conflict=OnConflict.REPLACE), delivery.message.id)


@check("e", 25, needs=NEEDS)
async def extend_moves_the_time_of_a_scheduled_holder(harness: Harness) -> None:
    """Debounce: each newcomer delays the holder."""
    key = _key()
    holder = await harness.enqueue(unique=Unique(key), delay=1000.0)
    await harness.advance(600)
    newcomer = harness.message(unique=Unique(key, on_conflict=OnConflict.EXTEND), delay=1000.0)
    answers = await harness.driver.enqueue([newcomer])
    expect_equal(answers, [Enqueued(holder.id, created=False)], "answer of an extending enqueue")
    await harness.advance(600)
    await harness.expect_nothing_ready("the holder kept its old time")
    await harness.advance(500)
    delivery = await harness.lease()
    expect_equal((delivery.message.id, delivery.message.body), (holder.id, holder.body), "holder")


@check("e", 25, needs=NEEDS)
async def extend_leaves_a_holder_that_is_ready(harness: Harness) -> None:
    key = _key()
    holder = await harness.enqueue(unique=Unique(key))
    newcomer = harness.message(unique=Unique(key, on_conflict=OnConflict.EXTEND), delay=1000.0)
    answers = await harness.driver.enqueue([newcomer])
    expect_equal(answers, [Enqueued(holder.id, created=False)], "answer of an extending enqueue")
    await harness.expect_counts(ready=1)


@check("e", 25, needs=NEEDS)
async def extend_restarts_a_period(harness: Harness) -> None:
    key = _key()
    delivery = await harness.enqueue_and_lease(unique=Unique(key, PERIOD, period=1000.0))
    await harness.settle(Complete(delivery.lease))
    await harness.advance(600)
    await _expect_held(
        harness, Unique(key, PERIOD, OnConflict.EXTEND, period=2000.0), delivery.message.id
    )
    await harness.advance(1800)
    await _expect_held(harness, Unique(key), delivery.message.id)
    await harness.advance(400)
    await _expect_free(harness, Unique(key))


@check("e", 25, needs=NEEDS)
async def extend_without_a_period_repeats_the_holders(harness: Harness) -> None:
    key = _key()
    delivery = await harness.enqueue_and_lease(unique=Unique(key, PERIOD, period=1000.0))
    await harness.settle(Complete(delivery.lease))
    await harness.advance(600)
    await _expect_held(harness, Unique(key, on_conflict=OnConflict.EXTEND), delivery.message.id)
    await harness.advance(900)
    await _expect_held(harness, Unique(key), delivery.message.id)
    await harness.advance(200)
    await _expect_free(harness, Unique(key))


@check("eh", 24, needs=NEEDS | Capability.CANCEL)
async def period_key_outlives_a_cancelled_holder(harness: Harness) -> None:
    unique = Unique(_key(), PERIOD, period=1000.0)
    message = await harness.enqueue(unique=unique, result_ttl=0.0)
    await harness.canceller.cancel([message.id])
    await harness.advance(900)
    await harness.upkeep()
    await _expect_held(harness, unique, message.id)
    await harness.advance(200)
    await _expect_free(harness, unique)


@check("e", 26, needs=NEEDS | Capability.PURGE)
async def purge_frees_keys(harness: Harness) -> None:
    uniques = [
        Unique(_key(), until, period=9000.0 if until is PERIOD else None) for until in UniqueUntil
    ]
    await harness.enqueue_all([harness.message(unique=unique) for unique in uniques])
    purged = await harness.purger.purge(harness.queue, states=[State.READY])
    expect_equal(purged, 3, "messages purged")
    for unique in uniques:
        await _expect_free(harness, unique)


@check("ej", 26, needs=NEEDS | Capability.DEAD_LETTERS)
async def requeue_takes_the_key_again(harness: Harness) -> None:
    for until in (SETTLED, STARTED):
        unique = Unique(_key(), until)
        delivery = await harness.enqueue_and_lease(unique=unique)
        await harness.settle(Fail(delivery.lease, Reason.FAILED, ERROR))
        expect_equal(await harness.dead.requeue([delivery.message.id]), [True], "answer of requeue")
        await _expect_held(harness, unique, delivery.message.id)
        again = await harness.lease()
        await harness.settle(Complete(again.lease))
        await _expect_free(harness, unique)


@check("ej", 26, needs=NEEDS | Capability.DEAD_LETTERS)
async def requeue_leaves_it_dead_while_another_holds_the_key(harness: Harness) -> None:
    unique = Unique(_key())
    delivery = await harness.enqueue_and_lease(unique=unique)
    await harness.settle(Fail(delivery.lease, Reason.FAILED, ERROR))
    successor = await _expect_free(harness, unique)
    expect_equal(await harness.dead.requeue([delivery.message.id]), [False], "answer of requeue")
    expect_equal(
        await harness.dead.requeue_edited(delivery.message), False, "answer of requeue_edited"
    )
    await harness.expect_counts(dead=1)
    await _expect_held(harness, unique, successor.id)


@check("ej", 26, needs=NEEDS | Capability.DEAD_LETTERS)
async def requeue_of_a_period_holder_needs_no_key(harness: Harness) -> None:
    unique = Unique(_key(), PERIOD, period=500.0)
    delivery = await harness.enqueue_and_lease(unique=unique)
    await harness.settle(Fail(delivery.lease, Reason.FAILED, ERROR))
    await harness.advance(600)
    await _expect_free(harness, unique)
    expect_equal(await harness.dead.requeue([delivery.message.id]), [True], "answer of requeue")
