"""DEAD_LETTERS: kept whole, listed, sent again, edited, deleted."""

from dataclasses import replace

from asynctasq.contracts.capabilities import Capability, DeadLetter
from asynctasq.message import Delivery, new_id
from asynctasq.settlement import Complete, Fail, Reason, Release, Retry
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import ERROR, LEASE, Kit, expect, expect_equal, random_name

NEEDS = Capability.DEAD_LETTERS
DAY = 24 * 3600.0


async def _die(kit: Kit, *, queue: str | None = None, body: bytes = b"body") -> Delivery:
    delivery = await kit.enqueue_and_lease(queue=queue or kit.queue, body=body)
    await kit.settle(Fail(delivery.lease, Reason.FAILED, ERROR))
    return delivery


async def _all_dead(kit: Kit, *, limit: int = 100) -> list[DeadLetter]:
    """All dead letters of the kit's queue, page by page."""
    found: list[DeadLetter] = []
    cursor: str | None = None
    while True:
        page = await kit.dead.dead_letters(queue=kit.queue, limit=limit, cursor=cursor)
        expect(len(page.items) <= limit, f"a page of {len(page.items)} with limit={limit}")
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found


@check("j", 30, needs=NEEDS)
async def dead_letter_keeps_everything(kit: Kit) -> None:
    message = await kit.enqueue(
        body=bytes(range(256)), priority=2, headers={"trace": "7"}, group="g", max_attempts=2
    )
    first = await kit.lease()
    await kit.settle(Retry(first.lease, 0.0, ERROR))
    await kit.lease()
    await kit.end_leases()
    last = await kit.lease()
    final_error = type(ERROR)("shop.Final", "no", "Traceback…")
    await kit.settle(Fail(last.lease, Reason.FAILED, final_error))
    [dead] = await _all_dead(kit)
    expect_equal(dead.message, message, "message of the dead letter")
    expect_equal((dead.reason, dead.error), (Reason.FAILED, final_error), "reason and error")
    if kit.has(Capability.COUNTED):
        expect_equal((dead.attempts, dead.lost), (2, 1), "attempts and lost")
    expect_equal(dead.enqueued_at, first.enqueued_at, "time of the enqueue")
    after = dead.died_at - dead.enqueued_at
    expect(LEASE * 1.4 < after < LEASE * 1.7, f"died {after} s after the enqueue")


@check("j", 14, needs=NEEDS | Capability.COUNTED)
async def fail_that_never_ran_counts_no_attempt(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.settle(Fail(delivery.lease, Reason.UNDECODABLE, ERROR, attempted=False))
    [dead] = await _all_dead(kit)
    expect_equal((dead.attempts, dead.reason), (0, Reason.UNDECODABLE), "attempts and reason")


@check("j", 18, needs=NEEDS | Capability.COUNTED)
async def expired_dead_letter_has_no_attempt(kit: Kit) -> None:
    await kit.enqueue(expires=100.0)
    await kit.advance(200)
    await kit.expect_nothing_ready("an expired message was delivered")
    await kit.upkeep()
    [dead] = await _all_dead(kit)
    expect_equal((dead.attempts, dead.reason, dead.error), (0, Reason.EXPIRED, None), "dead letter")


@check("j", 30, needs=NEEDS)
async def dead_letters_are_listed_newest_first_in_pages(kit: Kit) -> None:
    ids: list[bytes] = []
    for _ in range(7):
        ids.append((await _die(kit)).message.id)
        await kit.advance(10)
    newest_first = ids[::-1]
    for limit in (100, 3, 1):
        got = [dead.message.id for dead in await _all_dead(kit, limit=limit)]
        expect_equal(got, newest_first, f"dead letters in pages of {limit}")


@check("j", 30, needs=NEEDS)
async def dead_letters_of_one_moment_are_paged_without_gaps(kit: Kit) -> None:
    sent = await kit.enqueue_count(10)
    deliveries = await kit.reserve()
    await kit.settle(*(Fail(d.lease, Reason.FAILED, ERROR) for d in deliveries))
    got = [dead.message.id for dead in await _all_dead(kit, limit=3)]
    expect_equal(sorted(got), [message.id for message in sent], "dead letters over all pages")


@check("j", 30, needs=NEEDS)
async def dead_letters_of_one_queue_or_all(kit: Kit) -> None:
    mine = await _die(kit)
    other = await _die(kit, queue=random_name("other"))
    [dead] = await _all_dead(kit)
    expect_equal(dead.message.id, mine.message.id, "dead letters of one queue")
    page = await kit.dead.dead_letters(limit=100)
    newest = [dead.message.id for dead in page.items]
    expect(
        mine.message.id in newest and other.message.id in newest,
        "dead letters of two queues are not among the newest of all",
    )


@check("j", 31, needs=NEEDS)
async def requeued_message_starts_afresh(kit: Kit) -> None:
    """Ready now, no attempts, no losses, no error, and a new lease fences the old ones."""
    message = await kit.enqueue(headers={"trace": "1"})
    first = await kit.lease()
    await kit.settle(Release(first.lease, 0.0, mismatched=True))
    second = await kit.lease()
    await kit.settle(Retry(second.lease, 0.0, ERROR))
    await kit.lease()
    await kit.end_leases()
    last = await kit.lease()
    await kit.settle(Fail(last.lease, Reason.FAILED, ERROR))
    expect_equal(await kit.dead.requeue([message.id]), [True], "answer of requeue")
    await kit.expect_counts(ready=1)
    expect_equal(await _all_dead(kit), [], "dead letters after the requeue")
    again = await kit.lease()
    expect_equal(again.message, message, "the requeued message")
    kit.expect_tries(again, attempt=0, lost=0)
    expect_equal(again.mismatched_for, 0.0, "mismatched_for after a requeue")
    if kit.has(Capability.FENCED):
        expect(again.lease.token != last.lease.token, "a token was used again after a requeue")
    await kit.settle(Complete(again.lease))
    await kit.expect_gone(message.id)


@check("j", 31, needs=NEEDS | Capability.RESULTS)
async def requeued_message_has_no_outcome(kit: Kit) -> None:
    delivery = await _die(kit)
    await kit.dead.requeue([delivery.message.id])
    expect_equal(await kit.results.results([delivery.message.id]), [None], "outcome")


@check("j", 31, needs=NEEDS | Capability.FIFO)
async def requeued_message_goes_to_the_end(kit: Kit) -> None:
    delivery = await _die(kit)
    await kit.advance(100)
    waiting = await kit.enqueue()
    await kit.advance(100)
    await kit.dead.requeue([delivery.message.id])
    await kit.expect_delivered([waiting.id, delivery.message.id], "order after a requeue")


@check("ij", 18, 31, needs=NEEDS)
async def expiry_counts_anew_after_a_requeue(kit: Kit) -> None:
    message = await kit.enqueue(expires=500.0)
    await kit.advance(600)
    await kit.expect_nothing_ready("an expired message was delivered")
    await kit.upkeep()
    expect_equal(await kit.dead.requeue([message.id]), [True], "answer of requeue")
    await kit.advance(400)
    delivery = await kit.lease()
    expect_equal(delivery.message.id, message.id, "requeued in time")
    await kit.settle(Fail(delivery.lease, Reason.FAILED, ERROR))
    await kit.dead.requeue([message.id])
    await kit.advance(600)
    await kit.expect_nothing_ready("a requeued message was delivered past its expiry")
    await kit.upkeep()
    await kit.expect_dead(message.id, Reason.EXPIRED)


@check("j", 31, needs=NEEDS)
async def requeue_answers_in_order(kit: Kit) -> None:
    first, second = await _die(kit), await _die(kit)
    waiting = await kit.enqueue()
    ids = [second.message.id, new_id(), waiting.id, first.message.id, second.message.id]
    answers = await kit.dead.requeue(ids)
    expect_equal(answers, [True, False, False, True, False], "answers of requeue")
    await kit.expect_counts(ready=3)


@check("j", 31, needs=NEEDS)
async def requeue_edited_replaces_all_but_the_id(kit: Kit) -> None:
    delivery = await _die(kit)
    queue = random_name("edited")
    edited = replace(
        delivery.message,
        queue=queue,
        task="shop.fixed",
        body=b"fixed",
        priority=9,
        headers={"a": "b"},
    )
    expect_equal(await kit.dead.requeue_edited(edited), True, "answer of requeue_edited")
    await kit.expect_counts()
    again = await kit.lease(queue=queue)
    expect_equal(again.message, edited, "the edited message")
    kit.expect_tries(again, attempt=0, lost=0)
    expect_equal(await kit.dead.requeue_edited(edited), False, "answer when it is not dead")
    expect_equal(await kit.dead.requeue_edited(kit.message()), False, "answer when it is unknown")


@check("j", 32, needs=NEEDS)
async def deleted_dead_letter_leaves_nothing(kit: Kit) -> None:
    first, second = await _die(kit), await _die(kit)
    waiting = await kit.enqueue()
    ids = [first.message.id, waiting.id, new_id(), first.message.id]
    answers = await kit.dead.delete_dead(ids)
    expect_equal(answers, [True, False, False, False], "answers of delete_dead")
    await kit.expect_counts(ready=1, dead=1)
    [left] = await _all_dead(kit)
    expect_equal(left.message.id, second.message.id, "the one that is left")
    if kit.has(Capability.RESULTS):
        expect_equal(await kit.results.results([first.message.id]), [None], "its outcome")
    await kit.enqueue_all([first.message])


@check("jk", 30, needs=NEEDS)
async def dead_letters_are_kept_for_thirty_days(kit: Kit) -> None:
    """The default of every driver; `make_driver` must not set another."""
    await _die(kit)
    await kit.advance(29 * DAY)
    await kit.upkeep()
    expect_equal(len(await _all_dead(kit)), 1, "dead letters after 29 days")
    await kit.advance(2 * DAY)
    await kit.upkeep()
    expect_equal(len(await _all_dead(kit)), 0, "dead letters after 31 days")
    await kit.expect_counts()
