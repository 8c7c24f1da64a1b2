"""Foreign messages, queues of others, wrong credentials: a clear error or a dead letter each, and the rest goes on."""

import logging
from collections.abc import Callable

import aio_pika
import pytest

from asynctasq.contracts.capabilities.deaths import Death
from asynctasq.errors import ConfigurationError, DriverError
from asynctasq.settlement import Complete, Reason, Settled
from asynctasq_rabbitmq import RabbitMQDriver, RabbitMQSettings, names
from tests.drivers.opening import opened
from tests.drivers.receiving import completed, delivered, ids, letter, received

MakeDriver = Callable[..., RabbitMQDriver]


async def test_foreign_messages_become_dead_letters_and_the_rest_goes_on(
    make_driver: MakeDriver, url: str, namespace: str
) -> None:
    async with opened(make_driver()) as driver, await aio_pika.connect(url) as other:
        sent = [letter(), letter()]
        await driver.enqueue(sent[:1])
        channel = await other.channel()
        for body in (b"", b"{}", b"\xff\xff", b"\x97\x01", bytes(300_000)):
            await channel.default_exchange.publish(
                aio_pika.Message(body), names.work_queue(namespace, "mail")
            )
        await driver.enqueue(sent[1:])
        runs = await received(driver, 2)
        assert delivered(runs) == ids(sent)
        await completed(driver, runs)
        dead = await channel.get_queue(names.dead_queue(namespace, "mail"))
        found = await dead.get()
        assert found is not None
        assert found.headers["x-asynctasq-reason"] == "undecodable"
        await found.ack()
        assert (await driver.count("mail")).dead == 4


@pytest.mark.parametrize("existing", ["classic", "quorum"])
async def test_a_queue_with_other_arguments_is_used_with_a_warning(
    make_driver: MakeDriver,
    url: str,
    namespace: str,
    caplog: pytest.LogCaptureFixture,
    existing: str,
) -> None:
    async with await aio_pika.connect(url) as other:
        channel = await other.channel()
        await channel.declare_queue(
            names.work_queue(namespace, "mail"), durable=True, arguments={"x-queue-type": existing}
        )
        with caplog.at_level(logging.WARNING, "asynctasq_rabbitmq"):
            async with opened(make_driver()) as driver:
                await driver.enqueue([letter(delay=0.3)])
                await completed(driver, await received(driver, 1))
    [line] = [each for each in caplog.messages if "as it is" in each]
    assert names.work_queue(namespace, "mail") in line
    assert "only the first difference" in line


UNUSABLE = {
    "stream": ({"durable": True, "arguments": {"x-queue-type": "stream"}}, "got a stream"),
    "transient": ({"durable": False}, "must be durable, got a queue that the broker deletes"),
    "auto-delete": ({"durable": True, "auto_delete": True}, "must be kept, got a queue"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
@pytest.mark.parametrize("name_of", [names.work_queue, names.dead_queue])
async def test_a_queue_that_would_lose_messages_is_refused_and_others_are_served(
    make_driver: MakeDriver,
    url: str,
    namespace: str,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    name_of: Callable[[str, str], str],
) -> None:
    how, text = UNUSABLE[kind]
    async with await aio_pika.connect(url) as other:
        channel = await other.channel()
        existing = await channel.declare_queue(name_of(namespace, "mail"), **how)  # type: ignore[arg-type]  # of a table
        async with opened(make_driver()) as driver:
            with pytest.raises(DriverError, match=text):
                await driver.enqueue([letter()])
            both = {"mail": 1, "post": 1}
            for _ in range(2):
                await driver.enqueue([letter("post")])
                await driver.wait(list(both), timeout=30.0)
                runs = await driver.reserve(both, limit=2, owner="w", lease=30.0)
                assert [run.message.queue for run in runs] == ["post"]
                await completed(driver, runs)
            [line] = [each for each in caplog.records if "Cannot take messages" in each.message]
            assert text in line.message
            assert line.exc_info is None
        await channel.queue_delete(existing.name)


async def test_discarded_queues_are_gone_with_their_dead_letters(
    make_driver: MakeDriver, url: str, namespace: str
) -> None:
    async with await aio_pika.connect(url) as other, opened(make_driver()) as driver:
        await driver.enqueue([letter(), letter("kept")])
        await received(driver, 1)
        await driver.discard_queues({"mail", "unknown"})
        for name in (names.work_queue(namespace, "mail"), names.dead_queue(namespace, "mail")):
            async with await other.channel() as channel:
                with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
                    await channel.declare_queue(name, passive=True)
        assert (await driver.count("kept")).ready == 1
        await driver.enqueue([letter()])
        await completed(driver, await received(driver, 1))


async def test_a_queue_of_another_connection_is_refused(
    make_driver: MakeDriver, url: str, namespace: str
) -> None:
    async with await aio_pika.connect(url) as other:
        channel = await other.channel()
        await channel.declare_queue(names.work_queue(namespace, "mail"), exclusive=True)
        async with opened(make_driver()) as driver:
            with pytest.raises(DriverError, match="refused a call"):
                await driver.enqueue([letter()])


async def test_a_queue_that_is_refused_does_not_keep_those_behind_it(
    make_driver: MakeDriver, url: str, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with await aio_pika.connect(url) as other:
        channel = await other.channel()
        await channel.declare_queue(names.work_queue(namespace, "mail"), exclusive=True)
        async with opened(make_driver()) as driver:
            await driver.enqueue([letter("post")])
            both = {"mail": 1, "post": 1}
            runs = await driver.reserve(both, limit=2, owner="w", lease=30.0)
            assert [run.message.queue for run in runs] == ["post"]
            await completed(driver, runs)
            assert await driver.reserve(both, limit=2, owner="w", lease=30.0) == []
    assert "Cannot take messages from the queue 'mail'" in caplog.text


@pytest.mark.parametrize(
    "settings, text",
    [
        ({"password": "wrong"}, "refuses this user"),
        ({"virtual_host": "nowhere"}, "refuses the virtual host"),
        ({"queue_type": "quorum", "priorities": True}, "needs classic queues on RabbitMQ 3"),
    ],
)
async def test_a_broker_that_cannot_be_used_is_named_at_open(
    make_driver: MakeDriver, settings: dict[str, object], text: str
) -> None:
    with pytest.raises(DriverError, match=text):
        await make_driver(**settings).open()


async def test_an_expired_message_is_a_dead_letter_or_a_death(make_driver: MakeDriver) -> None:
    async with opened(make_driver()) as driver:
        expired, other = letter(expires=0.0), letter()
        await driver.enqueue([expired, other])
        deliveries, deaths = await driver.reserve_and_deaths(
            {"mail": 10}, limit=10, owner="w", lease=30.0
        )
        assert delivered(deliveries) == [other.id]
        [death] = deaths
        assert isinstance(death, Death)
        assert (death.delivery.message.id, death.reason) == (expired.id, Reason.EXPIRED)
        ends = [Complete(each.lease) for each in (death.delivery, *deliveries)]
        assert await driver.settle(ends) == [Settled.DONE] * 2
        assert (await driver.count("mail")).dead == 0
        await driver.enqueue([letter(expires=0.0)])
        assert await driver.reserve({"mail": 10}, limit=10, owner="w", lease=30.0) == []
        assert (await driver.count("mail")).dead == 1
        assert [each.reason for each in driver.news()] == [Reason.EXPIRED]


@pytest.mark.parametrize(
    "url, text",
    [
        ("redis://localhost", "must begin with"),
        ("amqp://localhost:x", "must have a port"),
        ("amqp://localhost/a/b", "only the name of a virtual host"),
        ("amqp://localhost/?queue_typ=classic", "Did you mean 'queue_type'"),
        ("amqp://localhost/?queue_type=stream", "must be one of quorum, classic"),
        ("amqp://localhost/?heartbeat=0", "must be a positive number"),
        ("amqp://localhost/?namespace=a%20b", "namespace must have"),
        ("amqp://localhost/?queues=a,b%20c", "names of queues"),
    ],
)
def test_an_invalid_url_is_refused(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        RabbitMQDriver(url)


def test_parts_of_a_url_are_decoded_and_passwords_are_not_shown() -> None:
    driver = RabbitMQDriver("amqps://me:se%20cret@host/%2Fshop?namespace=x&priorities=true")
    address = driver.settings.address()
    assert (address.host, address.port, address.virtual_host) == ("host", 5671, "/shop")
    assert (address.username, address.password, address.tls) == ("me", "se cret", True)
    for text in (driver.description, repr(driver.settings), repr(address)):
        assert "cret" not in text
    assert RabbitMQSettings().address().virtual_host == "/"
