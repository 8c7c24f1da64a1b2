"""A service that throttles, fails, answers in part, duplicates, freezes and cuts loses no message."""

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest

from asynctasq.contracts.driver import Enqueued, EnqueuedPartly
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Delivery, Message, new_id
from asynctasq.settlement import (
    Complete,
    ErrorInfo,
    Fail,
    LeaseState,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
)
from asynctasq_sqs import SQSDriver
from tests.servers.sqs_proxy import SQSProxy, chance, sqs_proxy

MakeDriver = Callable[..., SQSDriver]
QUEUE = "orders"
FAULTS = ("throttle", "fail_before", "fail_after", "cut", "fail_entries", "duplicate")
MANY = 40
"""Chunks of the long storm, in which every kind of fault occurs."""
ERROR = ErrorInfo("shop.OutOfStock", "none left", "Traceback …")


def messages(count: int) -> list[Message]:
    return [Message(new_id(), QUEUE, "shop.ship", b"body", max_lost=1000) for _ in range(count)]


async def reserve(driver: SQSDriver, limit: int = 100, lease: float = 60.0) -> list[Delivery]:
    return await driver.reserve({QUEUE: limit}, limit=limit, owner="w", lease=lease)


async def test_entries_that_the_service_did_not_store_are_sent_again(
    url: str, make_driver: MakeDriver
) -> None:
    async with sqs_proxy(url) as proxy:
        driver = make_driver(endpoint_url=proxy.url)
        await driver.open()
        once = iter([True])
        proxy.fail_entries = lambda operation: next(once, False)
        sent = messages(10)
        answers = await driver.enqueue(sent)
        assert [answer.id for answer in answers] == [message.id for message in sent]
        assert proxy.calls["SendMessageBatch"] == 2
        got = await reserve(driver)
        assert {each.message.id for each in got} == {message.id for message in sent}
        await driver.close()


async def test_each_message_of_a_chunk_has_its_own_answer(
    url: str, make_driver: MakeDriver
) -> None:
    async with sqs_proxy(url) as proxy:
        driver = make_driver(endpoint_url=proxy.url)
        await driver.open()
        proxy.fail_entries = lambda operation: operation == "SendMessageBatch"
        sent = messages(10)
        with pytest.raises(EnqueuedPartly) as caught:
            await driver.enqueue(sent)
        proxy.fail_entries = lambda operation: False
        accepted = {answer.id for answer in caught.value.answers if isinstance(answer, Enqueued)}
        refused = [each for each in caught.value.answers if isinstance(each, DriverUnavailable)]
        assert len(accepted) + len(refused) == 10
        assert accepted
        assert {each.message.id for each in await reserve(driver)} == accepted
        await driver.close()


async def test_a_service_that_throttles_is_unavailable(url: str, make_driver: MakeDriver) -> None:
    async with sqs_proxy(url) as proxy:
        driver = make_driver(endpoint_url=proxy.url)
        await driver.open()
        await driver.enqueue(messages(1))
        proxy.throttle = lambda operation: True
        with pytest.raises(DriverUnavailable, match="Throttling"):
            await driver.enqueue(messages(1))
        with pytest.raises(DriverUnavailable):
            await reserve(driver)
        with pytest.raises(DriverUnavailable):
            await driver.wait([QUEUE], timeout=5.0)
        proxy.throttle = lambda operation: False
        assert len(await reserve(driver)) == 1
        await driver.close()


async def test_a_repeated_settle_sends_no_second_copy(url: str, make_driver: MakeDriver) -> None:
    async with sqs_proxy(url) as proxy:
        driver = make_driver(endpoint_url=proxy.url)
        await driver.open()
        await driver.enqueue(messages(4))
        first, second, third, fourth = await reserve(driver)
        settlements: list[Settlement] = [
            Complete(first.lease),
            Retry(second.lease, 0.0, ERROR),
            Release(third.lease),
            Fail(fourth.lease, Reason.FAILED, ERROR),
        ]
        proxy.fail_before = lambda operation: operation == "DeleteMessageBatch"
        with pytest.raises(DriverUnavailable):
            await driver.settle(settlements)
        proxy.fail_before = lambda operation: False
        assert await driver.settle(settlements) == [Settled.DONE] * 4
        again = await reserve(driver)
        assert {each.message.id for each in again} == {second.message.id, third.message.id}
        assert sorted(each.attempt for each in again) == [0, 1]
        assert (await driver.count(QUEUE)).dead == 1
        await driver.close()


async def test_a_frozen_service_is_unavailable_after_the_time_limit(
    url: str, make_driver: MakeDriver
) -> None:
    async with sqs_proxy(url) as proxy:
        driver = make_driver(endpoint_url=proxy.url, timeout=0.5)
        await driver.open()
        await driver.enqueue(messages(1))
        proxy.freeze = lambda operation: operation == "SendMessageBatch"
        with pytest.raises(DriverUnavailable):
            await driver.enqueue(messages(1))
        proxy.freeze = lambda operation: False
        proxy.cut = lambda operation: operation == "SendMessageBatch"
        with pytest.raises(DriverUnavailable):
            await driver.enqueue(messages(1))
        await driver.close()


async def test_a_failed_move_to_the_dead_letters_loses_no_message(
    url: str, make_driver: MakeDriver
) -> None:
    async with sqs_proxy(url) as proxy:
        driver = make_driver(endpoint_url=proxy.url)
        await driver.open()
        old = Message(new_id(), QUEUE, "shop.ship", b"", eta=1.0, expires=1.0)
        await driver.enqueue([old, *messages(1)])
        proxy.fail_before = lambda operation: operation == "SendMessageBatch"
        assert len(await reserve(driver, lease=1.0)) == 1
        proxy.fail_before = lambda operation: False
        assert (await driver.count(QUEUE)).dead == 0
        assert (await driver.count(QUEUE)).leased == 2
        await driver.close()


class Ledger:
    """Everything that was accepted, and how it ended."""

    def __init__(self) -> None:
        self.accepted: set[bytes] = set()
        self.completed: dict[bytes, int] = {}
        self.failed: set[bytes] = set()

    @property
    def open(self) -> set[bytes]:
        return self.accepted - self.completed.keys() - self.failed


async def produce(driver: SQSDriver, ledger: Ledger, chunks: int) -> None:
    """Enqueue chunks as core does: repeat those messages for which there was no answer."""
    for _ in range(chunks):
        left = messages(25)
        while left:
            try:
                await driver.enqueue(left)
            except EnqueuedPartly as partly:
                done = [isinstance(answer, Enqueued) for answer in partly.answers]
            except DriverUnavailable:
                done = [False] * len(left)
            else:
                done = [True] * len(left)
            ledger.accepted |= {m.id for m, is_done in zip(left, done, strict=True) if is_done}
            left = [m for m, is_done in zip(left, done, strict=True) if not is_done]


async def repeated(driver: SQSDriver, settlements: Sequence[Settlement]) -> list[Settled]:
    while True:
        try:
            return await driver.settle(settlements)
        except DriverUnavailable:
            await asyncio.sleep(0)


async def consume(driver: SQSDriver, ledger: Ledger, is_over: asyncio.Event, seed: int) -> None:
    choose = random.Random(seed)
    while not is_over.is_set():
        try:
            deliveries = await reserve(driver, 20, lease=3.0)
            await driver.extend("w", [each.lease for each in deliveries], lease=3.0)
        except DriverUnavailable:
            continue
        if not deliveries:
            await asyncio.sleep(0.05)
            continue
        settlements = [outcome_of(each, choose.random()) for each in deliveries]
        answers = await repeated(driver, settlements)
        for delivery, settlement, answer in zip(deliveries, settlements, answers, strict=True):
            if answer is Settled.DONE and isinstance(settlement, Complete):
                count = ledger.completed.get(delivery.message.id, 0)
                ledger.completed[delivery.message.id] = count + 1
            elif answer is Settled.DONE and isinstance(settlement, Fail):
                ledger.failed.add(delivery.message.id)


def outcome_of(delivery: Delivery, dice: float) -> Settlement:
    if dice < 0.15:
        return Retry(delivery.lease, 0.0, ERROR)
    if dice < 0.3:
        return Release(delivery.lease)
    if dice < 0.4:
        return Fail(delivery.lease, Reason.FAILED, ERROR)
    return Complete(delivery.lease)


async def storm(proxy: SQSProxy, driver: SQSDriver, chunks: int, seconds: float) -> Ledger:
    ledger, is_over = Ledger(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        producer = group.create_task(produce(driver, ledger, chunks))
        for seed in range(3):
            group.create_task(consume(driver, ledger, is_over, seed))
        async with asyncio.timeout(seconds):
            await producer
            while ledger.open:
                await asyncio.sleep(0.1)
        is_over.set()
    return ledger


@pytest.mark.parametrize("chunks", [1, pytest.param(MANY, marks=pytest.mark.full)])
async def test_no_message_is_lost_in_a_storm(
    url: str, make_driver: MakeDriver, chunks: int
) -> None:
    async with sqs_proxy(url) as proxy:
        driver = make_driver(endpoint_url=proxy.url, timeout=2.0)
        await driver.open()
        await driver.enqueue(messages(1))  # the queues exist before the storm
        for number, name in enumerate(FAULTS):
            setattr(proxy, name, chance(number, 0.06))
        ledger = await storm(proxy, driver, chunks, seconds=240.0)
        assert ledger.open == set()
        assert len(ledger.accepted) == 25 * chunks
        assert proxy.met
        assert chunks < MANY or set(proxy.met) == set(FAULTS)
        for name in FAULTS:
            setattr(proxy, name, lambda operation: False)
        await driver.close()


async def test_a_late_delete_after_a_second_delivery_is_no_error(
    url: str, make_driver: MakeDriver
) -> None:
    driver = make_driver()
    await driver.open()
    await driver.enqueue(messages(1))
    [first] = await reserve(driver, lease=1.0)
    while not (again := await reserve(driver, lease=60.0)):
        await asyncio.sleep(0.1)
    assert again[0].lost == 1
    assert await driver.settle([Complete(again[0].lease)]) == [Settled.DONE]
    [answer] = await driver.settle([Complete(first.lease)])
    assert answer in {Settled.DONE, Settled.LOST}
    [state] = await driver.extend("w", [first.lease], lease=60.0)
    assert state is LeaseState.LOST
    await driver.close()


async def test_an_error_of_the_service_is_translated_when_the_driver_opens(
    url: str, make_driver: MakeDriver
) -> None:
    async with sqs_proxy(url) as proxy:
        for code, text in (
            ("ExpiredToken", "have expired"),
            ("InvalidClientTokenId", "Check the keys"),
            ("SignatureDoesNotMatch", "Check the keys"),
        ):
            proxy.refuse = code
            driver = make_driver(endpoint_url=proxy.url)
            with pytest.raises(DriverError, match=text) as caught:
                await driver.open()
            assert not isinstance(caught.value, DriverUnavailable)
            assert "test" not in str(caught.value).replace("injected", "").split("sqs://")[0]
        proxy.refuse = "AccessDenied"  # of the probe alone: other queues may be allowed
        driver = make_driver(endpoint_url=proxy.url)
        await driver.open()
        with pytest.raises(DriverError, match="right"):
            await driver.enqueue(messages(1))
        await driver.close()


async def test_an_outcome_survives_credentials_that_have_expired(
    url: str, make_driver: MakeDriver
) -> None:
    async with sqs_proxy(url) as proxy:
        driver = make_driver(endpoint_url=proxy.url)
        await driver.open()
        await driver.enqueue(messages(1))
        [delivery] = await reserve(driver)
        proxy.refuse = "ExpiredToken"
        with pytest.raises(DriverUnavailable, match="have expired"):
            await driver.settle([Complete(delivery.lease)])
        proxy.refuse = ""
        assert await driver.settle([Complete(delivery.lease)]) == [Settled.DONE]
        assert (await driver.count(QUEUE)).leased == 0
        await driver.close()
