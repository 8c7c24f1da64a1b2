"""Many instances at once: every message once, every conflict with one winner."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.message import Delivery, Unique
from asynctasq.settlement import Complete, Fail, Reason, Release, Retry, Settled, Settlement
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import ERROR, LEASE, Kit, expect, expect_equal, random_name

TWINS = 5


async def _take_all(kit: Kit, drivers: Sequence[Driver], *, batch: int = 7) -> list[Delivery]:
    """Reserve through all drivers at once until each finds nothing."""

    async def take(driver: Driver) -> list[Delivery]:
        owner, taken = random_name("owner"), list[Delivery]()
        empty = 0
        while empty < 3:
            got = await driver.reserve({kit.queue: batch}, limit=batch, owner=owner, lease=LEASE)
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
async def concurrent_reserves_deliver_each_message_once(kit: Kit) -> None:
    twins = await kit.open_twins(TWINS)
    ids = [message.id for message in await kit.enqueue_count(300)]
    _expect_each_once(await _take_all(kit, twins), ids)


@check("a", 41)
async def concurrent_reserves_of_one_instance_deliver_each_message_once(kit: Kit) -> None:
    ids = [message.id for message in await kit.enqueue_count(200)]
    _expect_each_once(await _take_all(kit, [kit.twin] * TWINS), ids)


@check("ab", 2, 41)
async def concurrent_promotion_makes_no_copies(kit: Kit) -> None:
    """Due messages are noticed by every worker at once, and delivered once."""
    twins = await kit.open_twins(TWINS)
    ids = [message.id for message in await kit.enqueue_count(300, delay=100.0)]
    kit.jump(101)
    _expect_each_once(await _take_all(kit, twins), ids)


@check("ab", 7, 41)
async def concurrent_reclaim_makes_no_copies(kit: Kit) -> None:
    twins = await kit.open_twins(TWINS)
    ids = [message.id for message in await kit.enqueue_count(200)]
    for _ in range(20):
        await kit.reserve(20, owner=random_name("dies"))
    await kit.advance(LEASE * 1.5)
    deliveries = await _take_all(kit, twins)
    _expect_each_once(deliveries, ids)
    for delivery in deliveries:
        kit.expect_tries(delivery, attempt=0, lost=1)


@check("a", 41)
async def producers_and_consumers_at_once(kit: Kit) -> None:
    """Enqueue, reserve and every settlement through several instances: all end, none twice."""
    twins = await kit.open_twins(TWINS)
    sent = [[kit.message() for _ in range(60)] for _ in range(2)]
    completed: Counter[bytes] = Counter()
    expected = sum(len(messages) for messages in sent)

    async def produce(driver: Driver, chunk_size: int, number: int) -> None:
        for start in range(0, 60, chunk_size):
            await driver.enqueue(sent[number][start : start + chunk_size])

    async def consume(driver: Driver) -> None:
        owner = random_name("owner")
        while completed.total() < expected:
            got = await driver.reserve({kit.queue: 5}, limit=5, owner=owner, lease=LEASE)
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
        produce(kit.driver, 1, 0), produce(kit.twin, 20, 1), *(consume(twin) for twin in twins)
    )
    expect(max(completed.values()) == 1, "a message was completed twice")
    expect_equal(len(completed), expected, "messages completed")
    await kit.expect_counts()


@check("c", 9, 11, needs=Capability.FENCED)
async def one_of_many_concurrent_settlements_wins(kit: Kit) -> None:
    twins = await kit.open_twins(TWINS)
    for _ in range(10):
        lease = (await kit.enqueue_and_lease()).lease
        attempts: list[Settlement] = [
            Complete(lease),
            Retry(lease, 500.0, ERROR),
            Fail(lease, Reason.FAILED, ERROR),
            Release(lease, 500.0),
            Complete(lease),
        ]
        answers = await asyncio.gather(
            *(twin.settle([attempt]) for twin, attempt in zip(twins, attempts, strict=True))
        )
        done = [answer for [answer] in answers].count(Settled.DONE)
        expect_equal(done, 1, "concurrent settlements of one lease that were done")


@check("g", 19, 41, needs=Capability.IDEMPOTENT)
async def concurrent_enqueues_of_one_id_make_one_message(kit: Kit) -> None:
    twins = await kit.open_twins(TWINS)
    for _ in range(10):
        message = kit.message()
        answers = await asyncio.gather(*(twin.enqueue([message]) for twin in twins))
        created = [answer.created for [answer] in answers]
        expect_equal(created.count(True), 1, "concurrent enqueues of one id that created it")
    await kit.expect_counts(ready=10)


@check("e", 24, 41, needs=Capability.UNIQUE)
async def concurrent_enqueues_of_one_key_make_one_message(kit: Kit) -> None:
    """Everyone is told the id of the one that stands."""
    twins = await kit.open_twins(TWINS)
    for _ in range(10):
        unique = Unique(random_name("key"))
        messages = [kit.message(unique=unique) for _ in twins]
        answers = await asyncio.gather(
            *(twin.enqueue([message]) for twin, message in zip(twins, messages, strict=True))
        )
        winners = {answer.id for [answer] in answers if answer.created}
        expect_equal(len(winners), 1, "concurrent enqueues of one key that created a message")
        expect_equal({answer.id for [answer] in answers}, winners, "ids that were told")
    await kit.expect_counts(ready=10)


@check("de", 16, needs=Capability.RESULTS | Capability.INSPECT)
async def message_and_outcome_change_places_in_one_step(kit: Kit) -> None:
    """Whoever finds the message gone finds its outcome."""
    deliveries: list[Delivery] = []
    await kit.enqueue_count(40)
    deliveries = await kit.reserve()
    ids = [delivery.message.id for delivery in deliveries]
    [settler] = await kit.open_twins(1)

    async def settle_all() -> None:
        for delivery in deliveries:
            await settler.settle([Complete(delivery.lease, b"result")])

    settling = asyncio.create_task(settle_all())
    try:
        while not settling.done():
            found = await kit.inspect.find(ids)
            outcomes = await kit.results.results(ids)
            torn = sum(f is None and o is None for f, o in zip(found, outcomes, strict=True))
            expect(not torn, f"{torn} messages were neither there nor finished")
            await asyncio.sleep(0)
    finally:
        await settling
