"""Bad settings, missing rights and foreign messages: a clear error or a dead letter each, and the rest goes on."""

import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aioboto3
import pytest

from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Message, new_id
from asynctasq.settlement import Complete, Settled
from asynctasq_sqs import SQSDriver
from asynctasq_sqs.names import sqs_name
from tests.servers.moto_driver import SETTINGS
from tests.servers.sqs_proxy import MIB, sqs_proxy

MakeDriver = Callable[..., SQSDriver]


def message(**fields: Any) -> Message:
    chosen: dict[str, Any] = {"id": new_id(), "queue": "orders", "task": "shop.ship", "body": b"b"}
    return Message(**{**chosen, **fields})


async def reserve(driver: SQSDriver, *queues: str) -> list[str]:
    found = await driver.reserve(
        dict.fromkeys(queues or ("orders",), 10), limit=10, owner="w", lease=60.0
    )
    assert await driver.settle([Complete(each.lease) for each in found]) == [Settled.DONE] * len(
        found
    )
    return [each.message.task for each in found]


@asynccontextmanager
async def aws(url: str) -> AsyncIterator[Any]:
    """Yield a client of the service, as an operator has it."""
    session: Any = aioboto3.Session(
        aws_access_key_id="test", aws_secret_access_key="test", region_name=SETTINGS["region"]
    )
    async with session.client("sqs", endpoint_url=url, verify=False) as client:
        yield client


async def test_missing_queue_is_named_where_queues_are_not_created(
    make_driver: MakeDriver, caplog: pytest.LogCaptureFixture
) -> None:
    owner, driver = make_driver(), make_driver(create_queues=False)
    await owner.open()
    await driver.open()
    with pytest.raises(DriverError, match=r"has no queue '.*-orders'.*create_queues") as caught:
        await driver.enqueue([message()])
    assert not isinstance(caught.value, DriverUnavailable)
    await owner.enqueue([message(queue="other")])
    with caplog.at_level(logging.ERROR, "asynctasq.sqs"):
        assert await reserve(driver, "orders", "other") == ["shop.ship"]
        await reserve(driver, "orders", "other")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "has no queue" in caplog.text
    assert (await driver.count("orders")).ready == 0
    await driver.close()
    await owner.close()


async def test_queue_of_another_region_is_missing(make_driver: MakeDriver) -> None:
    here, there = make_driver(), make_driver(region="us-west-2", create_queues=False)
    await here.open()
    await there.open()
    await here.enqueue([message()])
    with pytest.raises(DriverError, match="check the region"):
        await there.enqueue([message()])
    await here.close()
    await there.close()


async def test_foreign_messages_become_dead_letters_as_they_are(
    url: str, namespace: str, make_driver: MakeDriver
) -> None:
    driver = make_driver()
    await driver.open()
    await driver.enqueue([message()])
    async with aws(url) as client:
        name = sqs_name(namespace, "orders")
        target = (await client.get_queue_url(QueueName=name))["QueueUrl"]
        await client.send_message(QueueUrl=target, MessageBody="not a task")
        await client.send_message(
            QueueUrl=target,
            MessageBody="damaged",
            MessageAttributes={
                "m": {"DataType": "Binary", "BinaryValue": b"\xff\x00"},
                "source": {"DataType": "String", "StringValue": "cron"},
            },
        )
        assert await reserve(driver) == ["shop.ship"]
        assert (await driver.count("orders")).dead == 2
        dead = (await client.get_queue_url(QueueName=f"{name}-dead"))["QueueUrl"]
        letters = (
            await client.receive_message(
                QueueUrl=dead, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            )
        )["Messages"]
    assert sorted(each["Body"] for each in letters) == ["damaged", "not a task"]
    for each in letters:
        assert each["MessageAttributes"]["reason"]["StringValue"] == "undecodable"
    [damaged] = [each for each in letters if each["Body"] == "damaged"]
    assert damaged["MessageAttributes"]["source"]["StringValue"] == "cron"
    await driver.close()


async def test_too_large_message_is_refused_and_nothing_of_its_chunk_is_stored(
    make_driver: MakeDriver,
) -> None:
    driver = make_driver(max_message_bytes=100_000)
    await driver.open()
    with pytest.raises(DriverError, match=r"at most 100,000 bytes in SQS.*state"):
        await driver.enqueue([message(), message(body=bytes(100_000))])
    assert await reserve(driver) == []
    await driver.close()


async def test_driver_without_credentials_or_region_says_so(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for file in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(file, "/no/such/file")
    with pytest.raises(DriverError, match="No AWS credentials were found"):
        await SQSDriver(region="eu-central-1", endpoint_url=url).open()
    with pytest.raises(DriverError, match="region must be set"):
        await SQSDriver(aws_access_key_id="test", aws_secret_access_key="test").open()
    with pytest.raises(DriverError, match="profile was not found"):
        await SQSDriver(profile="missing", region="eu-central-1").open()


async def test_role_is_assumed_with_the_credentials(
    monkeypatch: pytest.MonkeyPatch, url: str, make_driver: MakeDriver
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
    driver = make_driver(role_arn="arn:aws:iam::123456789012:role/worker", external_id="shop")
    await driver.open()
    await driver.enqueue([message()])
    assert await reserve(driver) == ["shop.ship"]
    await driver.close()


async def test_keys_are_refreshed_in_a_thread() -> None:
    from botocore.credentials import ReadOnlyCredentials

    from asynctasq_sqs.credentials import ThreadedCredentials

    threads: list[int] = []

    class Chain:
        method = "role of the container"

        def refresh_needed(self) -> bool:
            return len(threads) == 1

        def get_frozen_credentials(self) -> Any:
            threads.append(threading.get_ident())
            return ReadOnlyCredentials("key", "secret", f"token {len(threads)}")

    credentials = ThreadedCredentials(Chain())
    refreshed = await credentials.get_frozen_credentials()
    later = await credentials.get_frozen_credentials()
    assert (refreshed.token, later.token) == ("token 2", "token 3")
    here = threading.get_ident()
    assert [thread == here for thread in threads] == [True, False, True]


async def test_session_of_the_application_is_used(url: str, namespace: str) -> None:
    made: list[str] = []

    class Factory:
        def client(self, service_name: str, /, **arguments: Any) -> Any:
            made.append(service_name)
            session: Any = aioboto3.Session(
                aws_access_key_id="test", aws_secret_access_key="test", region_name="eu-central-1"
            )
            return session.client(service_name, **arguments)

    driver = SQSDriver(session=Factory(), endpoint_url=url, namespace=namespace, long_poll=1.0)
    clone = driver.clone()
    await clone.open()
    await clone.enqueue([message()])
    assert await reserve(clone) == ["shop.ship"]
    assert made == ["sqs"]
    await clone.close()


async def test_settings_of_a_queue_that_lose_messages_are_warned_of(
    url: str, namespace: str, make_driver: MakeDriver, caplog: pytest.LogCaptureFixture
) -> None:
    async with aws(url) as client:
        made = await client.create_queue(QueueName=f"{namespace}-theirs-dlq")
        arn = (
            await client.get_queue_attributes(
                QueueUrl=made["QueueUrl"], AttributeNames=["QueueArn"]
            )
        )["Attributes"]["QueueArn"]
        policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "3"}}'
        await client.create_queue(
            QueueName=f"{namespace}-theirs",
            Attributes={"RedrivePolicy": policy, "MessageRetentionPeriod": "3600"},
        )
    driver = make_driver(queue_names={"orders": f"{namespace}-theirs"})
    with caplog.at_level(logging.WARNING, "asynctasq.sqs"):
        await driver.open()
    assert "has a redrive policy" in caplog.text
    assert "keeps messages for 3600 s only" in caplog.text
    await driver.enqueue([message()])
    assert await reserve(driver) == ["shop.ship"]
    await driver.close()


async def test_queue_that_is_deleted_while_it_is_used_is_created_again(
    url: str, namespace: str, make_driver: MakeDriver
) -> None:
    driver = make_driver()
    await driver.open()
    await driver.enqueue([message()])
    async with aws(url) as client:
        name = sqs_name(namespace, "orders")
        target = (await client.get_queue_url(QueueName=name))["QueueUrl"]
        await client.delete_queue(QueueUrl=target)
        await driver.enqueue([message()])
        assert await reserve(driver) == ["shop.ship"]
        await client.delete_queue(QueueUrl=target)
    assert await reserve(driver) == []
    await driver.enqueue([message()])
    assert await reserve(driver) == ["shop.ship"]
    await driver.close()


async def test_prefix_of_urls_needs_no_lookup(
    url: str, namespace: str, make_driver: MakeDriver
) -> None:
    owner = make_driver()
    await owner.open()
    await owner.enqueue([message()])
    driver = make_driver(queue_url_prefix=f"{url}/123456789012/", create_queues=False)
    await driver.open()
    assert await reserve(driver) == ["shop.ship"]
    await driver.close()
    await owner.close()


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_large_foreign_messages_become_dead_letters(
    make_driver: MakeDriver, url: str
) -> None:
    async with sqs_proxy(url) as proxy, aws(url) as operator:
        driver = make_driver(endpoint_url=proxy.url)
        await driver.open()
        await driver.enqueue([message()])
        assert await reserve(driver) == ["shop.ship"]
        name = sqs_name(driver.settings.namespace, "orders")
        address = (await operator.get_queue_url(QueueName=name))["QueueUrl"]
        scan = {"DataType": "Binary", "BinaryValue": bytes(MIB // 2)}
        for _ in range(3):
            await operator.send_message(
                QueueUrl=address, MessageBody="scan", MessageAttributes={"scan": scan}
            )
        await operator.send_message(QueueUrl=address, MessageBody="x" * MIB)
        await driver.enqueue([message()])
        assert await reserve(driver) == ["shop.ship"]
        counts = await driver.count("orders")
        assert (counts.ready, counts.leased, counts.dead) == (0, 0, 4)
        await driver.close()


async def test_queue_without_rights_does_not_keep_those_behind_it(
    make_driver: MakeDriver, url: str
) -> None:
    async with sqs_proxy(url) as proxy:
        driver = make_driver(endpoint_url=proxy.url)
        await driver.open()
        await driver.enqueue([message(), message(queue="other")])
        proxy.denied = "-orders"
        assert await reserve(driver, "orders", "other") == ["shop.ship"]
        with pytest.raises(DriverError, match="AccessDenied"):
            await reserve(driver, "orders", "other")
        await driver.close()
