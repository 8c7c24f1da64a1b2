"""FIFO queues keep the order of a group, fair queues take the group along, and long leases and delays have limits."""

from collections.abc import Callable
from typing import Any

import aioboto3
import pytest

from asynctasq.errors import DriverError
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
)
from asynctasq_sqs import SQSDriver
from asynctasq_sqs.names import sqs_name
from tests.servers.moto_driver import SETTINGS, MovableClock

MakeDriver = Callable[..., SQSDriver]
FIFO = "orders.fifo"
ERROR = ErrorInfo("shop.OutOfStock", "none left", "Traceback …")


def message(**fields: Any) -> Message:
    chosen: dict[str, Any] = {"id": new_id(), "queue": FIFO, "task": "shop.ship", "body": b"b"}
    return Message(**{**chosen, **fields})


async def reserve(driver: SQSDriver, queue: str = FIFO, limit: int = 10) -> list[Delivery]:
    return await driver.reserve({queue: limit}, limit=limit, owner="w", lease=60.0)


async def test_a_group_keeps_its_order_and_waits_for_its_first_message(
    make_driver: MakeDriver,
) -> None:
    driver = make_driver()
    await driver.open()
    sent = [message(group="a") for _ in range(12)]
    await driver.enqueue(sent)
    [first] = await reserve(driver, limit=1)
    assert first.message.id == sent[0].id
    assert await reserve(driver) == []
    assert await driver.settle([Retry(first.lease, 0.0, ERROR)]) == [Settled.DONE]
    [again] = await reserve(driver, limit=1)
    assert (again.message.id, again.attempt, again.lost) == (sent[0].id, 1, 0)
    assert await driver.settle([Release(again.lease)]) == [Settled.DONE]
    [released] = await reserve(driver, limit=1)
    assert (released.message.id, released.attempt) == (sent[0].id, 1)
    assert await driver.settle([Fail(released.lease, Reason.FAILED, ERROR)]) == [Settled.DONE]
    rest: list[bytes] = []
    while deliveries := await reserve(driver):
        rest += [each.message.id for each in deliveries]
        await driver.settle([Complete(each.lease) for each in deliveries])
    assert rest == [each.id for each in sent[1:]]
    assert (await driver.count(FIFO)).dead == 1
    await driver.close()


async def test_a_group_has_one_message_at_a_time_for_a_worker_with_many_slots(
    make_driver: MakeDriver,
) -> None:
    driver = make_driver()
    await driver.open()
    await driver.enqueue([message(group=group) for group in "aaabbb"])
    for _ in range(3):
        deliveries = await reserve(driver)
        assert sorted(str(each.message.group) for each in deliveries) == ["a", "b"]
        assert await reserve(driver) == []
        await driver.settle([Complete(each.lease) for each in deliveries])
    await driver.close()


async def test_messages_without_a_group_do_not_wait_for_each_other(
    make_driver: MakeDriver,
) -> None:
    driver = make_driver()
    await driver.open()
    await driver.enqueue([message() for _ in range(3)])
    assert len(await reserve(driver, limit=1)) == 1
    assert len(await reserve(driver)) == 2
    await driver.close()


async def test_a_repeated_enqueue_adds_no_second_fifo_message(make_driver: MakeDriver) -> None:
    driver = make_driver()
    await driver.open()
    sent = message(group="a")
    await driver.enqueue([sent])
    await driver.enqueue([sent])
    [delivery] = await reserve(driver)
    await driver.settle([Complete(delivery.lease)])
    assert await reserve(driver) == []
    await driver.close()


async def test_a_fifo_message_must_not_have_a_delay(make_driver: MakeDriver) -> None:
    driver = make_driver()
    await driver.open()
    with pytest.raises(DriverError, match=r"FIFO queue 'orders.fifo' must not have a delay"):
        await driver.enqueue([message(delay=5.0)])
    await driver.close()


async def test_the_group_travels_on_standard_queues_too(
    url: str, namespace: str, make_driver: MakeDriver
) -> None:
    driver = make_driver()
    await driver.open()
    await driver.enqueue([message(queue="fair", group="customer-7"), message(queue="fair")])
    session: Any = aioboto3.Session(
        aws_access_key_id="test", aws_secret_access_key="test", region_name=SETTINGS["region"]
    )
    async with session.client("sqs", endpoint_url=url, verify=False) as client:
        target = (await client.get_queue_url(QueueName=sqs_name(namespace, "fair")))["QueueUrl"]
        answer = await client.receive_message(
            QueueUrl=target, MaxNumberOfMessages=10, AttributeNames=["MessageGroupId"]
        )
    groups = [each.get("Attributes", {}).get("MessageGroupId") for each in answer["Messages"]]
    assert sorted(groups, key=str) == [None, "customer-7"]
    await driver.close()


@pytest.fixture
def moved(url: str) -> MovableClock:
    """Return a driver whose clock the test moves."""
    return MovableClock.at(url)


async def test_a_delay_beyond_fifteen_minutes_takes_hops(moved: MovableClock) -> None:
    await moved.open()
    sent = message(queue="later", delay=2000.0)
    await moved.enqueue([sent])
    for now in (850.0, 950.0, 1850.0, 1950.0):
        moved.clock_offset = now
        assert await reserve(moved, "later") == []
    moved.clock_offset = 2100.0
    [delivery] = await reserve(moved, "later")
    assert (delivery.message.id, delivery.attempt, delivery.lost) == (sent.id, 0, 0)
    assert not delivery.resumed
    assert 1990.0 < delivery.due_at - delivery.enqueued_at < 2010.0
    await moved.settle([Retry(delivery.lease, 1000.0, ERROR)])
    moved.clock_offset = 3005.0
    assert await reserve(moved, "later") == []
    moved.clock_offset = 3200.0
    [again] = await reserve(moved, "later")
    assert (again.attempt, again.lost, again.resumed) == (1, 0, True)
    await moved.close()


async def test_deaths_are_leased_to_a_caller_that_keeps_them(moved: MovableClock) -> None:
    await moved.open()
    await moved.enqueue([message(queue="q", eta=1.0, expires=1.0), message(queue="q")])
    deliveries, deaths = await moved.reserve_and_deaths({"q": 10}, limit=10, owner="w", lease=60.0)
    assert len(deliveries) == 1
    assert [each.reason for each in deaths] == [Reason.EXPIRED]
    assert await moved.settle([Complete(each.delivery.lease) for each in deaths]) == [Settled.DONE]
    assert (await moved.count("q")).dead == 0
    await moved.close()


async def test_a_lease_longer_than_twelve_hours_is_cut(moved: MovableClock) -> None:
    await moved.open()
    await moved.enqueue([message(queue="q")])
    [delivery] = await moved.reserve({"q": 1}, limit=1, owner="w", lease=100_000.0)
    assert await moved.extend("w", [delivery.lease], lease=40_000.0) == [LeaseState.HELD]
    moved.clock_offset = 42_400.0
    assert await moved.extend("w", [delivery.lease], lease=60.0) == [LeaseState.LOST]
    moved.clock_offset = 44_000.0
    [again] = await reserve(moved, "q")
    assert again.lost == 1
    await moved.close()
