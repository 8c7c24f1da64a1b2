"""NEWS: each message that upkeep moved is reported once."""

from asynctasq.conformance.check import check
from asynctasq.conformance.formatting import gave
from asynctasq.conformance.harness import LEASE, Harness, expect, expect_equal
from asynctasq.contracts.capabilities import Capability, News
from asynctasq.message import State
from asynctasq.settlement import Complete, Reason

NEEDS = Capability.NEWS


async def _news_of(harness: Harness, message_id: bytes) -> list[News]:
    """Reserve as a worker does, and return the news of one message.

    A store that learns of the end of a lease from the next delivery reports it then.
    """
    found: list[News] = []
    for _ in range(3):
        await harness.upkeep()
        found += [each for each in harness.newsroom.news() if each.id == message_id]
    await harness.clone.reserve({harness.queue: 1}, limit=1, owner=harness.owner, lease=LEASE)
    return found + [each for each in harness.newsroom.news() if each.id == message_id]


@check("k", 57, needs=NEEDS)
async def lost_lease_is_news(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.advance(LEASE * 1.5)
    [news] = await _news_of(harness, delivery.message.id)
    expect_equal(
        (news.queue, news.task, news.state, news.reason),
        (harness.queue, delivery.message.task, State.READY, None),
        "news of a lease that ended",
    )
    if harness.has(Capability.COUNTED):
        expect_equal((news.attempts, news.lost), (0, 1), "attempts and lost in the news")
    expect(news.owner in (None, harness.owner), gave("the owner whose lease ended", news.owner))


@check("k", 57, needs=NEEDS | Capability.COUNTED)
async def lost_for_good_is_news(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease(max_lost=0)
    await harness.advance(LEASE * 1.5)
    [news] = await _news_of(harness, delivery.message.id)
    expect_equal((news.state, news.reason), (State.DEAD, Reason.LOST), "news of a lost message")


@check("k", 57, needs=NEEDS)
async def expiry_is_news(harness: Harness) -> None:
    message = await harness.enqueue(expires=100.0)
    await harness.advance(200)
    await harness.expect_nothing_ready("an expired message was delivered")
    [news] = await _news_of(harness, message.id)
    expect_equal(
        (news.state, news.reason, news.queue),
        (State.DEAD, Reason.EXPIRED, harness.queue),
        "news of a message that expired",
    )


@check("", 57, needs=NEEDS)
async def ordinary_ends_are_not_news(harness: Harness) -> None:
    """Check that a message that a worker settles is in no news."""
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Complete(delivery.lease))
    expect_equal(await _news_of(harness, delivery.message.id), [], "news of a completed message")
