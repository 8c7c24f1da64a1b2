"""DEAD_LETTERS: dead letters are kept whole, listed, retried, edited and deleted."""

from dataclasses import replace

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, LEASE, Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability, DeadLetter
from asynctasq.message import Delivery, new_id
from asynctasq.settlement import Complete, Fail, Reason, Release, Retry

NEEDS = Capability.DEAD_LETTERS
DAY = 24 * 3600.0


async def _die(harness: Harness, *, queue: str | None = None, body: bytes = b"body") -> Delivery:
    delivery = await harness.enqueue_and_lease(queue=queue or harness.queue, body=body)
    await harness.settle(Fail(delivery.lease, Reason.FAILED, ERROR))
    return delivery


async def _all_dead(harness: Harness, *, limit: int = 100) -> list[DeadLetter]:
    """Return all dead letters of the harness's queue, page by page."""
    found: list[DeadLetter] = []
    cursor: str | None = None
    while True:
        page = await harness.dead.dead_letters(queue=harness.queue, limit=limit, cursor=cursor)
        expect(len(page.items) <= limit, f"a page of {len(page.items)} with limit={limit}")
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found


@check("j", 30, needs=NEEDS)
async def dead_letter_keeps_everything(harness: Harness) -> None:
    message = await harness.enqueue(
        body=bytes(range(256)), priority=2, headers={"trace": "7"}, group="g", max_attempts=2
    )
    first = await harness.lease()
    await harness.settle(Retry(first.lease, 0.0, ERROR))
    await harness.lease()
    await harness.end_leases()
    last = await harness.lease()
    final_error = type(ERROR)("shop.Final", "no", "Traceback…")
    await harness.settle(Fail(last.lease, Reason.FAILED, final_error))
    [dead] = await _all_dead(harness)
    expect_equal(dead.message, message, "message of the dead letter")
    expect_equal((dead.reason, dead.error), (Reason.FAILED, final_error), "reason and error")
    if harness.has(Capability.COUNTED):
        expect_equal((dead.attempts, dead.lost), (2, 1), "attempts and lost")
    expect_equal(dead.enqueued_at, first.enqueued_at, "time of the enqueue")
    after = dead.died_at - dead.enqueued_at
    expect(LEASE * 1.4 < after < LEASE * 1.7, f"died {after} s after the enqueue")


@check("j", 14, needs=NEEDS | Capability.COUNTED)
async def fail_that_never_ran_counts_no_attempt(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Fail(delivery.lease, Reason.UNDECODABLE, ERROR, attempted=False))
    [dead] = await _all_dead(harness)
    expect_equal((dead.attempts, dead.reason), (0, Reason.UNDECODABLE), "attempts and reason")


@check("j", 18, needs=NEEDS | Capability.COUNTED)
async def expired_dead_letter_has_no_attempt(harness: Harness) -> None:
    await harness.enqueue(expires=100.0)
    await harness.advance(200)
    await harness.expect_nothing_ready("an expired message was delivered")
    await harness.upkeep()
    [dead] = await _all_dead(harness)
    expect_equal((dead.attempts, dead.reason, dead.error), (0, Reason.EXPIRED, None), "dead letter")


@check("j", 30, needs=NEEDS)
async def dead_letters_are_listed_newest_first_in_pages(harness: Harness) -> None:
    ids: list[bytes] = []
    for _ in range(7):
        ids.append((await _die(harness)).message.id)
        await harness.advance(10)
    newest_first = ids[::-1]
    for limit in (100, 3, 1):
        got = [dead.message.id for dead in await _all_dead(harness, limit=limit)]
        expect_equal(got, newest_first, f"dead letters in pages of {limit}")


@check("j", 30, needs=NEEDS)
async def dead_letters_of_one_moment_are_paged_without_gaps(harness: Harness) -> None:
    sent = await harness.enqueue_count(10)
    deliveries = await harness.reserve()
    await harness.settle(*(Fail(d.lease, Reason.FAILED, ERROR) for d in deliveries))
    got = [dead.message.id for dead in await _all_dead(harness, limit=3)]
    expect_equal(sorted(got), [message.id for message in sent], "dead letters over all pages")


@check("j", 30, needs=NEEDS)
async def dead_letters_of_one_queue_or_all(harness: Harness) -> None:
    mine = await _die(harness)
    other = await _die(harness, queue=random_name("other"))
    [dead] = await _all_dead(harness)
    expect_equal(dead.message.id, mine.message.id, "dead letters of one queue")
    page = await harness.dead.dead_letters(limit=100)
    newest = [dead.message.id for dead in page.items]
    expect(
        mine.message.id in newest and other.message.id in newest,
        "dead letters of two queues are not among the newest of all",
    )


@check("j", 31, needs=NEEDS)
async def requeued_message_starts_afresh(harness: Harness) -> None:
    """Ready now, no attempts, no losses, no error, and a new lease fences the old ones."""
    message = await harness.enqueue(headers={"trace": "1"})
    first = await harness.lease()
    await harness.settle(Release(first.lease, 0.0, mismatched=True))
    second = await harness.lease()
    await harness.settle(Retry(second.lease, 0.0, ERROR))
    await harness.lease()
    await harness.end_leases()
    last = await harness.lease()
    await harness.settle(Fail(last.lease, Reason.FAILED, ERROR))
    expect_equal(await harness.dead.requeue([message.id]), [True], "answer of requeue")
    await harness.expect_counts(ready=1)
    expect_equal(await _all_dead(harness), [], "dead letters after the requeue")
    again = await harness.lease()
    expect_equal(again.message, message, "the requeued message")
    harness.expect_tries(again, attempt=0, lost=0)
    expect_equal(again.mismatched_for, 0.0, "mismatched_for after a requeue")
    if harness.has(Capability.FENCED):
        expect(again.lease.token != last.lease.token, "a token was used again after a requeue")
    await harness.settle(Complete(again.lease))
    await harness.expect_gone(message.id)


@check("j", 31, needs=NEEDS | Capability.RESULTS)
async def requeued_message_has_no_outcome(harness: Harness) -> None:
    delivery = await _die(harness)
    await harness.dead.requeue([delivery.message.id])
    expect_equal(await harness.results.results([delivery.message.id]), [None], "outcome")


@check("j", 31, needs=NEEDS | Capability.FIFO)
async def requeued_message_goes_to_the_end(harness: Harness) -> None:
    delivery = await _die(harness)
    await harness.advance(100)
    waiting = await harness.enqueue()
    await harness.advance(100)
    await harness.dead.requeue([delivery.message.id])
    await harness.expect_delivered([waiting.id, delivery.message.id], "order after a requeue")


@check("ij", 18, 31, needs=NEEDS)
async def expiry_counts_from_the_requeue(harness: Harness) -> None:
    message = await harness.enqueue(expires=500.0)
    await harness.advance(600)
    await harness.expect_nothing_ready("an expired message was delivered")
    await harness.upkeep()
    expect_equal(await harness.dead.requeue([message.id]), [True], "answer of requeue")
    await harness.advance(400)
    delivery = await harness.lease()
    expect_equal(delivery.message.id, message.id, "requeued in time")
    await harness.settle(Fail(delivery.lease, Reason.FAILED, ERROR))
    await harness.dead.requeue([message.id])
    await harness.advance(600)
    await harness.expect_nothing_ready("a requeued message was delivered past its expiry")
    await harness.upkeep()
    await harness.expect_dead(message.id, Reason.EXPIRED)


@check("j", 31, needs=NEEDS)
async def requeue_answers_in_order(harness: Harness) -> None:
    first, second = await _die(harness), await _die(harness)
    waiting = await harness.enqueue()
    ids = [second.message.id, new_id(), waiting.id, first.message.id, second.message.id]
    answers = await harness.dead.requeue(ids)
    expect_equal(answers, [True, False, False, True, False], "answers of requeue")
    await harness.expect_counts(ready=3)


@check("j", 31, needs=NEEDS)
async def requeue_edited_replaces_all_but_the_id(harness: Harness) -> None:
    delivery = await _die(harness)
    queue = random_name("edited")
    edited = replace(
        delivery.message,
        queue=queue,
        task="shop.fixed",
        body=b"fixed",
        priority=9,
        headers={"a": "b"},
    )
    expect_equal(await harness.dead.requeue_edited(edited), True, "answer of requeue_edited")
    await harness.expect_counts()
    again = await harness.lease(queue=queue)
    expect_equal(again.message, edited, "the edited message")
    harness.expect_tries(again, attempt=0, lost=0)
    expect_equal(await harness.dead.requeue_edited(edited), False, "answer when it is not dead")
    expect_equal(
        await harness.dead.requeue_edited(harness.message()), False, "answer when it is unknown"
    )


@check("j", 32, needs=NEEDS)
async def deleted_dead_letter_leaves_nothing(harness: Harness) -> None:
    first, second = await _die(harness), await _die(harness)
    waiting = await harness.enqueue()
    ids = [first.message.id, waiting.id, new_id(), first.message.id]
    answers = await harness.dead.delete_dead(ids)
    expect_equal(answers, [True, False, False, False], "answers of delete_dead")
    await harness.expect_counts(ready=1, dead=1)
    [left] = await _all_dead(harness)
    expect_equal(left.message.id, second.message.id, "the one that is left")
    if harness.has(Capability.RESULTS):
        expect_equal(await harness.results.results([first.message.id]), [None], "its outcome")
    if harness.has(Capability.IDEMPOTENT):
        await harness.enqueue_all([first.message])


@check("jk", 30, needs=NEEDS)
async def dead_letters_are_kept_for_thirty_days(harness: Harness) -> None:
    """Check the default of every driver; `make_driver` must not set another one."""
    await _die(harness)
    await harness.advance(29 * DAY)
    await harness.upkeep()
    expect_equal(len(await _all_dead(harness)), 1, "dead letters after 29 days")
    await harness.advance(2 * DAY)
    await harness.upkeep()
    expect_equal(len(await _all_dead(harness)), 0, "dead letters after 31 days")
    await harness.expect_counts()
