"""Servers that stop, connections that end, and locks that others hold."""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.errors import DriverUnavailable, TransactionError
from asynctasq.message import Message, Unique, new_id
from asynctasq.settlement import Complete, Settled
from asynctasq_postgres import PostgresDriver
from tests.drivers.opening import message, opened
from tests.servers.databases import own_database
from tests.servers.postgres import PostgresServer, running_postgres

MakeDriver = Callable[..., PostgresDriver]


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Yield a server that tests may stop."""
    with running_postgres() as found:
        asyncio.run(PostgresDriver(found.url).migrate())
        yield found


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """Yield a connection of the application."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def until_unavailable_no_more(driver: PostgresDriver) -> None:
    """Call the driver until the server answers, as core does."""
    while True:
        try:
            await driver.count("q")
        except DriverUnavailable:
            await asyncio.sleep(0.01)
        else:
            return


async def test_no_token_repeats_after_a_hard_stop(server: PostgresServer) -> None:
    async with opened(PostgresDriver(server.url, namespace=uuid4().hex)) as driver:
        await driver.enqueue([message(max_lost=9)])
        async with connected(server.url) as admin:
            await admin.execute("CHECKPOINT")
        [undone] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=60.0)
        server.restart(signal.SIGQUIT)
        await until_unavailable_no_more(driver)
        driver.clock_offset += 100.0
        for lease in (2e-6, 60.0):
            await driver.reserve({"none": 1}, limit=1, owner="upkeep", lease=lease)
        [later] = await driver.reserve({"q": 1}, limit=1, owner="two", lease=60.0)
        assert later.message == undone.message
        assert later.lease.token != undone.lease.token
        settled = await driver.settle([Complete(undone.lease), Complete(later.lease)])
        assert settled == [Settled.LOST, Settled.DONE]


async def test_a_driver_goes_on_after_a_restart(server: PostgresServer) -> None:
    async with opened(PostgresDriver(server.url, namespace=uuid4().hex)) as driver:
        await driver.enqueue([message()])
        server.process.stop(signal.SIGINT)
        with pytest.raises(DriverUnavailable):
            await driver.count("q")
        server.start()
        await until_unavailable_no_more(driver)
        assert (await driver.count("q")).ready == 1


async def test_a_listener_is_made_again(url: str, namespace: str) -> None:
    waiting = PostgresDriver(url, namespace=namespace, poll_interval=60.0)
    async with opened(waiting), opened(waiting.clone()) as other, connected(url) as admin:
        for _ in range(2):
            waiter = asyncio.create_task(waiting.wait(["q"], timeout=60.0))
            await _until_asleep(admin, namespace)
            await other.enqueue([message()])
            await waiter
            assert await waiting.reserve({"q": 9}, limit=9, owner="w", lease=60.0)
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE query ILIKE 'LISTEN%' AND datname = current_database() AND pid <> pg_backend_pid()"
            )


async def _until_asleep(admin: Any, namespace: str) -> None:
    """Return when a process has announced that it sleeps, and listens."""
    while not await admin.fetchval(
        "SELECT EXISTS (SELECT 1 FROM asynctasq.sleepers AS s JOIN asynctasq.queues AS q ON q.key = s.queue"
        " JOIN asynctasq.namespaces AS n ON n.key = q.namespace WHERE n.name = $1 AND s.until > 0)"
        " AND EXISTS (SELECT 1 FROM pg_stat_activity WHERE query ILIKE 'LISTEN%' AND state = 'idle'"
        " AND datname = current_database() AND pid <> pg_backend_pid())",
        namespace,
    ):
        await asyncio.sleep(0.01)


async def test_no_notification_is_sent_if_no_process_sleeps(
    make_driver: MakeDriver, url: str
) -> None:
    heard: list[str] = []
    async with connected(url) as admin, opened(make_driver()) as driver:
        await admin.add_listener("asynctasq.", lambda *call: heard.append(call[3]))
        await driver.enqueue([message()])
        [delivery] = await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
        await driver.settle([Complete(delivery.lease)])
        await admin.execute("SELECT pg_notify('asynctasq.', 'last')")
        while "last" not in heard:
            await asyncio.sleep(0.001)
    assert heard == ["last"]


async def test_a_waiter_for_a_result_hears_of_its_end(make_driver: MakeDriver) -> None:
    driver = make_driver(poll_interval=60.0)
    async with opened(driver), opened(driver.clone()) as other:
        one = message()
        await other.enqueue([one])
        [delivery] = await other.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
        waiter = asyncio.create_task(driver.wait_results([one.id], timeout=60.0))
        async with connected(driver.settings.url) as admin:
            while not await admin.fetchval(
                "SELECT EXISTS (SELECT 1 FROM asynctasq.listeners WHERE until > 0)"
            ):
                await asyncio.sleep(0.01)
        await other.settle([Complete(delivery.lease, b"result")])
        await waiter
        [outcome] = await driver.results([one.id])
        assert outcome is not None


async def test_a_cancel_waits_for_no_transaction_of_an_application(
    make_driver: MakeDriver, url: str
) -> None:
    async with opened(make_driver()) as driver, connected(url) as admin:
        one = message()
        await driver.enqueue([one])
        async with admin.transaction():
            await admin.execute(
                "SELECT 1 FROM asynctasq.messages WHERE id = $1 FOR UPDATE", UUID(bytes=one.id)
            )
            with pytest.raises(DriverUnavailable, match="another transaction holds a lock"):
                await driver.cancel([one.id])
            assert await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0) == []
        assert await driver.cancel([one.id]) == [CancelOutcome.CANCELLED]


async def test_an_id_is_known_while_it_is_being_completed(
    make_driver: MakeDriver, url: str
) -> None:
    """An enqueue that waits for the end of a message sees its outcome."""
    async with opened(make_driver()) as driver, connected(url) as admin:
        one = message()
        await driver.enqueue([one])
        [delivery] = await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
        plan = driver.plan_complete(Complete(delivery.lease, b"result", 60.0))
        async with admin.transaction():
            await _run(admin, plan)
            again = asyncio.create_task(driver.enqueue([one]))
            while not await admin.fetchval(
                "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid')"
            ):
                await asyncio.sleep(0.01)
        [answer] = await again
        assert not answer.created
        assert await driver.find([one.id]) == [None]


async def test_a_new_queue_in_an_open_transaction_stops_no_worker(
    make_driver: MakeDriver, url: str
) -> None:
    async with opened(make_driver()) as driver, connected(url) as admin:
        await driver.enqueue([message()])
        async with admin.transaction():
            await _run(admin, driver.plan_enqueue([Message(new_id(), "new", "t", b"")]))
            await driver.wait(["new"], timeout=0.01)
            assert await driver.reserve({"new": 1, "q": 1}, limit=1, owner="w", lease=60.0)


async def test_a_unique_key_in_an_open_transaction_stops_no_worker(
    make_driver: MakeDriver, url: str
) -> None:
    async with opened(make_driver()) as driver, connected(url) as admin:
        first = message(unique=Unique("key"))
        await driver.enqueue([first])
        async with admin.transaction():
            [answer] = await _run(admin, driver.plan_enqueue([message(unique=Unique("key"))]))
            assert not answer.created
            [delivery] = await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
            assert await driver.settle([Complete(delivery.lease)]) == [Settled.DONE]


async def _run(connection: Any, plan: Any) -> Any:
    """Run a plan as an adapter does."""
    answer: Any = None
    try:
        while True:
            statement = plan.send(answer)
            text, parameters = statement.render("numeric_dollar")
            answer = await connection.fetch(text, *parameters)
    except StopIteration as end:
        return end.value


@pytest.mark.parametrize("commits", [True, False])
async def test_messages_of_a_transaction_appear_at_its_commit(
    commits: bool, make_driver: MakeDriver, url: str
) -> None:
    async with opened(make_driver()) as driver, connected(url) as admin:
        messages = [message(), message(unique=Unique("key")), Message(new_id(), "p", "t", b"")]
        transaction = admin.transaction()
        await transaction.start()
        answers = await _run(admin, driver.plan_enqueue(messages))
        assert [answer.created for answer in answers] == [True] * 3
        assert await driver.reserve({"q": 9}, limit=9, owner="w", lease=60.0) == []
        await (transaction.commit() if commits else transaction.rollback())
        await driver.committed(["q", "p"])
        found = await driver.find([each.id for each in messages])
        assert [snapshot is not None for snapshot in found] == [commits] * 3


@pytest.fixture
def other_url(empty_url: str) -> Iterator[str]:
    """Yield the URL of another database with tables."""
    with own_database(empty_url) as found:
        asyncio.run(PostgresDriver(found).migrate())
        yield found


async def test_a_transaction_of_another_database_is_refused(
    make_driver: MakeDriver, other_url: str
) -> None:
    async with opened(make_driver()) as driver, connected(other_url) as stranger:
        with pytest.raises(TransactionError, match="of the driver's database"):
            await _run(stranger, driver.plan_enqueue([message()]))


async def test_terminated_backends_lose_nothing(make_driver: MakeDriver, url: str) -> None:
    async with opened(make_driver()) as driver, connected(url) as admin:

        async def terminate() -> None:
            while True:
                await admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                    " AND datname = current_database() AND random() < 0.5"
                )
                await asyncio.sleep(0.05)

        async def repeated(call: Any) -> Any:
            while True:
                try:
                    return await call()
                except DriverUnavailable:
                    await asyncio.sleep(0.005)

        chaos = asyncio.create_task(terminate())
        messages = [message(max_lost=99) for _ in range(200)]
        for at in range(0, 200, 10):
            chunk = messages[at : at + 10]
            await repeated(lambda chunk=chunk: driver.enqueue(chunk))
        done: set[bytes] = set()
        while len(done) < len(messages):
            deliveries = await repeated(
                lambda: driver.reserve({"q": 10}, limit=10, owner="w", lease=60.0)
            )
            if not deliveries:  # the answer of a reserve was lost
                driver.clock_offset += 61.0
                await repeated(lambda: driver.extend("w", [], lease=60.0))
                continue
            completions = [Complete(each.lease) for each in deliveries]
            await repeated(lambda completions=completions: driver.settle(completions))
            done |= {each.message.id for each in deliveries}
        chaos.cancel()
        await asyncio.gather(chaos, return_exceptions=True)
        await repeated(lambda: driver.count("q"))
        outcomes = await repeated(lambda: driver.results([each.id for each in messages]))
        assert all(outcome is not None for outcome in outcomes)


async def test_calls_work_without_prepared_statements(make_driver: MakeDriver) -> None:
    async with opened(make_driver(statement_cache_size=0, synchronous_commit="off")) as driver:
        await driver.enqueue([message()])
        [delivery] = await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
        assert await driver.settle([Complete(delivery.lease)]) == [Settled.DONE]


async def test_call_that_is_cancelled_while_it_connects_reports_nothing(
    make_driver: MakeDriver,
) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    for turns in range(12):
        async with opened(make_driver()) as driver:
            for _ in range(3):
                call = asyncio.create_task(driver.paused())
                for _ in range(turns):
                    await asyncio.sleep(0)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
            assert await driver.paused() == frozenset()
    gc.collect()
    await asyncio.sleep(0)
    assert reported == []
