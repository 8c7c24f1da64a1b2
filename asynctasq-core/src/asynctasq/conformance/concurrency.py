"""Many instances at once: every message once, every conflict with one winner."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, LEASE, Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.message import Delivery, Unique
from asynctasq.settlement import Complete, Fail, Reason, Release, Retry, Settled, Settlement

CLONES = 5


async def _take_all(
    harness: Harness, drivers: Sequence[Driver], *, batch: int = 7
) -> list[Delivery]:
    """Reserve through all drivers at once until each finds nothing."""

    async def take(driver: Driver) -> list[Delivery]:
        owner, taken = random_name("owner"), list[Delivery]()
        empty = 0
        while empty < 3:
            got = await driver.reserve(
                {harness.queue: batch}, limit=batch, owner=owner, lease=LEASE
            )
            taken += got
            empty = 0 if got else empty + 1
            await asyncio.sleep(0)
        return taken

    taken = await asyncio.gather(*map(take, drivers))
    return [delivery for part in taken for delivery in part]


def _expect_each_once(deliveries: Sequence[Delivery], ids: Sequence[bytes]) -> None:
    times = Counter(delivery.message.id for delivery in deliveries)
    doubled = sum(1 for count in times.values() if count > 1)
    missing = len(set(ids) - set(times))
    expect(not doubled, f"{doubled} messages were delivered to several owners")
    expect(not missing, f"{missing} messages were not delivered")
    expect_equal(len(times), len(ids), "number of messages delivered")


@check("a", 41)
async def concurrent_reserves_deliver_each_message_once(harness: Harness) -> None:
    clones = await harness.open_clones(CLONES)
    ids = [message.id for message in await harness.enqueue_count(300)]
    _expect_each_once(await _take_all(harness, clones), ids)


@check("a", 41)
async def concurrent_reserves_of_one_instance_deliver_each_message_once(harness: Harness) -> None:
    ids = [message.id for message in await harness.enqueue_count(200)]
    _expect_each_once(await _take_all(harness, [harness.clone] * CLONES), ids)


@check("ab", 2, 41)
async def concurrent_promotion_makes_no_copies(harness: Harness) -> None:
    """Check that due messages, which every worker notices at the same time, are delivered once."""
    clones = await harness.open_clones(CLONES)
    ids = [message.id for message in await harness.enqueue_count(300, delay=100.0)]
    harness.jump(101)
    _expect_each_once(await _take_all(harness, clones), ids)


@check("ab", 7, 41)
async def concurrent_reclaim_makes_no_copies(harness: Harness) -> None:
    clones = await harness.open_clones(CLONES)
    ids = [message.id for message in await harness.enqueue_count(200)]
    for _ in range(20):
        await harness.reserve(20, owner=random_name("dies"))
    await harness.advance(LEASE * 1.5)
    deliveries = await _take_all(harness, clones)
    _expect_each_once(deliveries, ids)
    for delivery in deliveries:
        harness.expect_tries(delivery, attempt=0, lost=1)


@check("a", 41)
async def producers_and_consumers_at_once(harness: Harness) -> None:
    """Check enqueues, reserves and settlements through several instances: all messages end, none twice."""
    clones = await harness.open_clones(CLONES)
    sent = [[harness.message() for _ in range(60)] for _ in range(2)]
    completed: Counter[bytes] = Counter()
    expected = sum(len(messages) for messages in sent)

    async def produce(driver: Driver, chunk_size: int, number: int) -> None:
        for start in range(0, 60, chunk_size):
            await driver.enqueue(sent[number][start : start + chunk_size])

    async def consume(driver: Driver) -> None:
        owner = random_name("owner")
        while completed.total() < expected:
            got = await driver.reserve({harness.queue: 5}, limit=5, owner=owner, lease=LEASE)
            settlements: list[Settlement] = []
            for delivery in got:
                if delivery.attempt == 0 and delivery.message.id[-1] % 3 == 0:
                    settlements.append(Retry(delivery.lease, 0.0, ERROR))
                else:
                    completed[delivery.message.id] += 1
                    settlements.append(Complete(delivery.lease))
            answers = await driver.settle(settlements)
            expect_equal(answers, [Settled.DONE] * len(settlements), "answers of settle")
            await asyncio.sleep(0)

    await asyncio.gather(
        produce(harness.driver, 1, 0),
        produce(harness.clone, 20, 1),
        *(consume(clone) for clone in clones),
    )
    expect(max(completed.values()) == 1, "a message was completed twice")
    expect_equal(len(completed), expected, "messages completed")
    await harness.expect_counts()


@check("c", 9, 11, needs=Capability.FENCED)
async def one_of_many_concurrent_settlements_wins(harness: Harness) -> None:
    clones = await harness.open_clones(CLONES)
    for _ in range(10):
        lease = (await harness.enqueue_and_lease()).lease
        attempts: list[Settlement] = [
            Complete(lease),
            Retry(lease, 500.0, ERROR),
            Fail(lease, Reason.FAILED, ERROR),
            Release(lease, 500.0),
            Complete(lease),
        ]
        answers = await asyncio.gather(
            *(clone.settle([attempt]) for clone, attempt in zip(clones, attempts, strict=True))
        )
        done = [answer for [answer] in answers].count(Settled.DONE)
        expect_equal(done, 1, "concurrent settlements of one lease that were done")


@check("g", 19, 41, needs=Capability.IDEMPOTENT)
async def concurrent_enqueues_of_one_id_make_one_message(harness: Harness) -> None:
    clones = await harness.open_clones(CLONES)
    for _ in range(10):
        message = harness.message()
        answers = await asyncio.gather(*(clone.enqueue([message]) for clone in clones))
        created = [answer.created for [answer] in answers]
        expect_equal(created.count(True), 1, "concurrent enqueues of one id that created it")
    await harness.expect_counts(ready=10)


@check("e", 24, 41, needs=Capability.UNIQUE)
async def concurrent_enqueues_of_one_key_make_one_message(harness: Harness) -> None:
    """Check that all answers have the ID of the message that stays."""
    clones = await harness.open_clones(CLONES)
    for _ in range(10):
        unique = Unique(random_name("key"))
        messages = [harness.message(unique=unique) for _ in clones]
        answers = await asyncio.gather(
            *(clone.enqueue([message]) for clone, message in zip(clones, messages, strict=True))
        )
        winners = {answer.id for [answer] in answers if answer.created}
        expect_equal(len(winners), 1, "concurrent enqueues of one key that created a message")
        expect_equal({answer.id for [answer] in answers}, winners, "ids that were told")
    await harness.expect_counts(ready=10)


@check("de", 16, needs=Capability.RESULTS | Capability.INSPECT)
async def message_and_outcome_change_places_in_one_step(harness: Harness) -> None:
    """Check that a caller that does not find the message finds its outcome."""
    deliveries: list[Delivery] = []
    await harness.enqueue_count(40)
    deliveries = await harness.reserve()
    ids = [delivery.message.id for delivery in deliveries]
    [settler] = await harness.open_clones(1)

    async def settle_all() -> None:
        for delivery in deliveries:
            await settler.settle([Complete(delivery.lease, b"result")])

    settling = asyncio.create_task(settle_all())
    try:
        while not settling.done():
            found = await harness.inspect.find(ids)
            outcomes = await harness.results.results(ids)
            torn = sum(f is None and o is None for f, o in zip(found, outcomes, strict=True))
            expect(not torn, f"{torn} messages were neither there nor finished")
            await asyncio.sleep(0)
    finally:
        await settling
