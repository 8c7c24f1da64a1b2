"""A broker that is killed and started again, that ends slow consumers, and that refuses rights."""

import asyncio
from collections.abc import Iterator
from typing import Any, Literal
from uuid import uuid4

import aio_pika
import pytest

from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.settlement import LeaseState, Settled
from asynctasq_rabbitmq import RabbitMQDriver, names
from tests.drivers.opening import opened
from tests.drivers.receiving import completed, delivered, enqueued, ids, letter, received
from tests.servers.rabbitmq import RabbitmqServer, rabbitmq_process

pytestmark = pytest.mark.full

CONSUMER_TIMEOUT = 2.0
EVERYTHING, NOTHING = ".*", "^$"
DEFINITIONS = {
    "vhosts": [{"name": "/"}],
    "users": [
        {"name": "guest", "password": "guest", "tags": "administrator"},
        *({"name": name, "password": name, "tags": ""} for name in ("limited", "reader", "writer")),
    ],
    "permissions": [
        {"user": user, "vhost": "/", "configure": configure, "write": write, "read": read}
        for user, configure, write, read in (
            ("guest", EVERYTHING, EVERYTHING, EVERYTHING),
            ("limited", NOTHING, EVERYTHING, EVERYTHING),
            ("reader", NOTHING, NOTHING, EVERYTHING),
            ("writer", NOTHING, EVERYTHING, NOTHING),
        )
    ],
}
LARGEST = 60_000


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitmqServer]:
    """Yield a server that these tests may stop."""
    with rabbitmq_process(
        f"-rabbit consumer_timeout {int(CONSUMER_TIMEOUT * 1000)}",
        "-rabbit channel_tick_interval 200",
        f"-rabbit max_message_size {LARGEST}",
        definitions=DEFINITIONS,
    ) as found:
        yield found


def driver_of(server: RabbitmqServer, user: str = "guest", **settings: Any) -> RabbitMQDriver:
    """Return a driver in a namespace that no other test uses."""
    given: dict[str, Any] = {
        "namespace": f"test-{uuid4().hex}",
        "queue_type": "classic",
        **settings,
    }
    return RabbitMQDriver(server.url(user), **given)


@pytest.mark.full
@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
async def test_a_task_runs_longer_than_the_broker_waits(
    server: RabbitmqServer, queue_type: Literal["classic", "quorum"]
) -> None:
    driver = driver_of(server, queue_type=queue_type, consumer_timeout=CONSUMER_TIMEOUT)
    async with opened(driver):
        sent = [letter() for _ in range(3)]
        await driver.enqueue(sent)
        runs = await received(driver, 3)
        leases = [run.lease for run in runs]
        end = asyncio.get_running_loop().time() + 3 * CONSUMER_TIMEOUT
        while asyncio.get_running_loop().time() < end:
            states = await driver.extend("worker", leases, lease=30.0)
            assert states == [LeaseState.HELD] * 3
            assert await driver.reserve({"mail": 9}, limit=9, owner="x", lease=30.0) == []
            await asyncio.sleep(0.1)
        assert await completed(driver, runs[:2]) == [Settled.DONE] * 2
    async with opened(driver):  # a held message comes back when its process has gone
        [again] = await received(driver, 1)
        assert (again.message.id, again.lost) == (runs[2].message.id, 1)
        await completed(driver, [again])


async def test_leases_are_lost_with_the_queue_that_gave_them(server: RabbitmqServer) -> None:
    async with opened(driver_of(server)) as driver:
        await driver.enqueue([letter(), letter("post")])
        [run] = await received(driver, 1)
        [other] = await received(driver, 1, queue="post")
        await driver.wait(["mail"], timeout=0.1)  # consumes one more than it has
        waiting = asyncio.create_task(driver.wait(["mail"], timeout=30.0))
        server.end_queue(names.work_queue(driver.settings.namespace, "mail"))
        await waiting
        [again] = await received(driver, 1)
        assert (again.message.id, again.lost) == (run.message.id, 1)
        leases = [run.lease, other.lease, again.lease]
        assert await driver.extend("worker", leases, lease=30.0) == [
            LeaseState.LOST,
            LeaseState.HELD,
            LeaseState.HELD,
        ]
        assert await completed(driver, [run, other, again]) == [
            Settled.LOST,
            Settled.DONE,
            Settled.DONE,
        ]


@pytest.fixture
def mortal() -> Iterator[RabbitmqServer]:
    """Yield a server of one test."""
    with rabbitmq_process() as found:
        yield found


@pytest.mark.full
async def test_no_message_is_lost_when_the_broker_is_killed(mortal: RabbitmqServer) -> None:
    # Classic: RabbitMQ 3.10 forgets a quorum queue that is younger than three minutes when it is killed.
    server = mortal
    async with opened(driver_of(server)) as driver:
        sent = [letter(max_lost=9) for _ in range(20)]
        delayed = [letter(delay=2.0) for _ in range(5)]
        await driver.enqueue([*sent, *delayed])
        leased = await driver.reserve({"mail": 5}, limit=5, owner="worker", lease=30.0)
        server.kill()
        late = [letter() for _ in range(5)]
        enqueuing = asyncio.create_task(enqueued(driver, late))
        server.start()  # in this thread: the server ends with the one that starts it
        await enqueuing
        runs = await received(driver, 30)
        assert delivered(runs) == ids([*sent, *delayed, *late])
        assert set(await completed(driver, leased)) == {Settled.LOST}
        assert await completed(driver, runs) == [Settled.DONE] * 30


async def test_a_user_without_rights_works_on_what_was_created_beforehand(
    server: RabbitmqServer, caplog: pytest.LogCaptureFixture
) -> None:
    owner = driver_of(server, queues="mail")
    limited = driver_of(server, "limited", namespace=owner.settings.namespace)
    planned = await owner.migrate(dry_run=True)
    assert [name for name in planned if "mail" in name] == await _mail(owner)
    assert await owner.migrate() == planned
    assert await owner.migrate() == []
    state = await limited.schema()
    assert state.current == state.needed
    async with opened(limited):
        await limited.enqueue([letter(), letter(delay=0.4)])
        await completed(limited, await received(limited, 2))
        with pytest.raises(DriverError, match="asynctasq migrate"):
            await limited.enqueue([letter("other")])
        assert await limited.reserve({"other": 1}, limit=1, owner="w", lease=30.0) == []
        assert "asynctasq migrate" in caplog.text


async def test_a_user_who_may_not_write_or_read_is_told_so(
    server: RabbitmqServer, caplog: pytest.LogCaptureFixture
) -> None:
    owner = driver_of(server, queues="mail")
    space = owner.settings.namespace
    await owner.migrate()
    async with (
        opened(owner),
        opened(driver_of(server, "reader", namespace=space)) as reader,
        opened(driver_of(server, "writer", namespace=space)) as writer,
    ):
        with pytest.raises(DriverError, match="refuses this user") as refused:
            await reader.enqueue([letter()])
        assert not isinstance(refused.value, DriverUnavailable)
        await writer.enqueue([letter()])
        assert await writer.reserve({"mail": 1}, limit=1, owner="w", lease=30.0) == []
        assert "Cannot take messages from the queue 'mail'" in caplog.text
        assert "refuses this user" in caplog.text
        await completed(owner, await received(owner, 1))


async def test_a_message_that_only_the_broker_finds_too_large_is_refused(
    server: RabbitmqServer,
) -> None:
    async with opened(driver_of(server)) as driver:
        small, large = letter(), letter(body=bytes(LARGEST))
        with pytest.raises(DriverUnavailable):  # the broker closes the channel of all messages
            await driver.enqueue([large])
        with pytest.raises(DriverError, match=f"at most {LARGEST} bytes"):
            await driver.enqueue([large])
        await driver.enqueue([small])
        [run] = await received(driver, 1)
        assert run.message.id == small.id
        await completed(driver, [run])


async def test_a_foreign_message_that_only_its_sender_may_publish_becomes_a_dead_letter(
    server: RabbitmqServer,
) -> None:
    async with (
        await aio_pika.connect(server.url("writer")) as other,
        opened(driver_of(server)) as driver,
    ):
        await driver.enqueue([letter()])
        await completed(driver, await received(driver, 1))
        channel = await other.channel()
        waiting = asyncio.create_task(driver.wait(["mail"], timeout=30.0))
        foreign = aio_pika.Message(b"foreign", user_id="writer")
        mail = names.work_queue(driver.settings.namespace, "mail")
        await channel.default_exchange.publish(foreign, mail)
        await waiting  # the driver has received it, and no worker takes it
        async with asyncio.timeout(30.0):
            while (await driver.count("mail")).dead != 1:
                await driver.wait(["post"], timeout=0.1)
        await driver.enqueue([letter()])


async def _mail(driver: RabbitMQDriver) -> list[str]:
    space = driver.settings.namespace
    return [f"queue {space}.q.mail", f"queue {space}.dead.mail"]
