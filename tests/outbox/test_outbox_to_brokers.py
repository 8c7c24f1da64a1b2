"""The relay forwards committed tasks to brokers, which do not know the IDs of messages."""

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import pytest
import pytest_asyncio

from asynctasq import App, Worker
from asynctasq.app import stores_of
from asynctasq.contracts.capabilities.outbox import Outbox, OutboxState
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.message import id_to_text
from asynctasq.records import record
from asynctasq.settlement import Complete
from tests.outbox.shop_process import TIMING, ship
from tests.servers.moto_driver import SETTINGS
from tests.servers.shared import shared_url
from tests.stores import ROOT, store_kinds
from tests.transactions.clients import AsyncpgClient, Client, RollBack, SqliteClient
from tests.worker.stage import PATIENCE, eventually

BROKERS = ("rabbitmq", "sqs")
TASKS = 20
KILLS = 6
PROGRAM = Path(__file__).with_name("shop_process.py")


@record
class Shop:
    """An application whose tasks go from its database to a broker."""

    broker: str
    """The URL of the broker."""
    database: str
    """The URL of the database."""
    outbox: Outbox
    client: Client
    state: str
    """The URL of a state store, for apps that use one."""

    def app(self, *, has_state: bool = False) -> App:
        settings = {"driver": self.broker, "outbox": self.database}
        return App({**settings, "state": self.state} if has_state else settings)

    @contextmanager
    def process(self, mode: str, *more: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the shop in a process, and kill it at the end."""
        database = self.database if mode != "sell" else self.outbox.description
        command = [sys.executable, str(PROGRAM), mode, self.broker, database, *more]
        with subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}) as running:
            try:
                yield running
            finally:
                running.kill()

    async def commit(self, app: App, count: int) -> list[str]:
        """Commit a transaction with tasks, and return their IDs."""
        async with self.client.transaction() as transaction:
            handles = await app.dispatch_many(map(ship, range(count)), transaction=transaction)
        return [str(each) for each in handles]

    async def emptied(self) -> None:
        async def is_empty() -> bool:
            return await self.outbox.state() == OutboxState()

        await eventually(is_empty)

    async def is_killed_after_sending(self, *more: str) -> None:
        """Run a relay that is killed when the broker has accepted its messages."""
        with self.process("die", *more) as relay:
            assert await asyncio.to_thread(relay.wait, PATIENCE) == -signal.SIGKILL


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with both brokers, and with `--full` from PostgreSQL, too."""
    if "broker" in metafunc.fixturenames:
        metafunc.parametrize("broker", BROKERS)
    if "database" in metafunc.fixturenames and not metafunc.definition.get_closest_marker(
        "parametrize"
    ):
        full = metafunc.config.getoption("full")
        metafunc.parametrize("database", ["sqlite", "postgres"] if full else ["sqlite"])


@pytest.fixture
def broker_url(broker: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a URL of the broker with a namespace of its own."""
    namespace = f"t{uuid4().hex[:12]}"
    if broker == "rabbitmq":
        url = shared_url("rabbitmq", tmp_path_factory)
        return f"{url}?{urlencode({'namespace': namespace, 'queue_type': 'classic'})}"
    address = shared_url("sqs", tmp_path_factory)
    settings = {**SETTINGS, "endpoint_url": address, "namespace": namespace}
    return f"sqs://?{urlencode(settings)}"


@pytest.fixture
def database_url(
    database: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Yield the URL of the application's database."""
    if database == "sqlite":
        yield f"sqlite:///{tmp_path / 'shop.db'}"
        return
    [kind] = [each for each in store_kinds() if each.name == database]
    with kind.open(tmp_path, tmp_path_factory) as store:
        yield store.url


@pytest_asyncio.fixture
async def shop(broker_url: str, database_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """Yield a shop with an empty outbox."""
    found = stores_of(App({"driver": MemoryDriver(), "outbox": database_url})).outbox
    assert found is not None
    outbox = found.new()
    await outbox.open()
    await outbox.migrate()
    client: Client = (
        SqliteClient(outbox.description)
        if database_url.startswith("sqlite")
        else AsyncpgClient(database_url.partition("?")[0])
    )
    [namespace] = parse_qs(urlsplit(broker_url).query)["namespace"]
    state = f"sqlite:///{tmp_path / 'state.db'}?namespace={namespace}"
    yield Shop(broker_url, database_url, outbox, client, state)
    await outbox.close()


@asynccontextmanager
async def working(app: App, *queues: str) -> AsyncIterator[None]:
    """Run a worker with a relay."""
    worker = Worker(app=app, queues=list(queues), handle_signals=False, timing=TIMING)
    running = asyncio.create_task(worker.start())
    try:
        yield
    finally:
        worker.stop()
        await running


async def drain(driver: Driver, wanted: int) -> Counter[str]:
    """Receive messages until `wanted` have come, and no more do; return how often each ID came."""
    found: Counter[str] = Counter()

    async def is_drained() -> bool:
        got = await driver.reserve({"default": 100}, limit=100, owner="w", lease=60.0)
        found.update(id_to_text(each.message.id) for each in got)
        await driver.settle([Complete(each.lease) for each in got])
        return not got and found.total() >= wanted

    await eventually(is_drained)
    return found


async def test_a_relay_that_is_killed_before_it_marks_its_rows_sends_them_twice(
    shop: Shop,
) -> None:
    async with shop.app() as app:
        sent = await shop.commit(app, TASKS)
        await shop.is_killed_after_sending()
        assert (await shop.outbox.state()).waiting == TASKS
        async with working(app, "unused"):
            await shop.emptied()
        assert await drain(await app.driver(), 2 * TASKS) == dict.fromkeys(sent, 2)


async def test_with_a_state_store_each_task_ends_once(shop: Shop) -> None:
    async with shop.app(has_state=True) as app:
        sent = await shop.commit(app, TASKS)
        await shop.is_killed_after_sending(shop.state)
        async with working(app, "default"):
            await shop.emptied()
            results = [await app.handle(each).result(timeout=PATIENCE) for each in sent]

            async def is_drained() -> bool:
                counts = await (await app.driver()).count("default")
                return (counts.ready, counts.leased, counts.dead) == (0, 0, 0)

            await eventually(is_drained)
    assert results == list(range(TASKS))


@pytest.mark.full
async def test_a_rolled_back_transaction_sends_nothing(shop: Shop) -> None:
    async with shop.app() as app:
        with suppress(RollBack):
            async with shop.client.transaction() as transaction:
                await ship(1).dispatch(transaction=transaction)
                raise RollBack
        sent = await shop.commit(app, 1)
        async with working(app, "unused"):
            await shop.emptied()
        assert await drain(await app.driver(), 1) == {sent[0]: 1}


@pytest.mark.full
@pytest.mark.parametrize("database", ["sqlite"])
async def test_killed_shops_and_relays_lose_nothing(shop: Shop) -> None:
    path = shop.outbox.description
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE orders (number INTEGER PRIMARY KEY, task TEXT NOT NULL)")

    def orders() -> set[str]:
        with closing(sqlite3.connect(path, timeout=60.0)) as database:
            return {task for (task,) in database.execute("SELECT task FROM orders")}

    with ExitStack() as stack:
        processes = {mode: stack.enter_context(shop.process(mode)) for mode in ("sell", "relay")}
        for _ in range(KILLS):
            before = len(orders())

            async def has_sold(before: int = before) -> bool:
                return len(orders()) > before + random.randint(1, 60)

            await eventually(has_sold)
            mode = random.choice(["sell", "relay", "relay"])
            processes[mode].kill()
            processes[mode] = stack.enter_context(shop.process(mode))
        processes["sell"].kill()
        processes["sell"].wait()
        await shop.emptied()
    async with shop.app() as app:
        arrived = await drain(await app.driver(), len(orders()))
    assert set(arrived) == orders()
