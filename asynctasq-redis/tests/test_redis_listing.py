"""Pages of listings: their cost does not grow with the store, and moving messages keep their place."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import redis

from asynctasq.contracts.driver import Enqueued, EnqueuedPartly
from asynctasq.errors import DriverError
from asynctasq.message import Message, State, Unique, new_id
from asynctasq.settlement import ErrorInfo, Fail, Reason
from asynctasq_redis import RedisDriver
from tests.drivers.opening import opened
from tests.servers.redis import RedisServer, redis_server

LEASE = 60.0
SCANNED = 300
"""Messages that one page of a filtered listing looks at."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Start a server without other clients, so that a test can read its counters."""
    with redis_server(tmp_path_factory.mktemp("listing")) as found:
        yield found


@pytest.fixture
def client(server: RedisServer) -> Iterator["redis.Redis"]:
    with server.client() as made:
        made.flushall()
        yield made


def messages(count: int, task: str = "task", **fields: Any) -> list[Message]:
    queue = fields.pop("queue", "q")
    return [Message(new_id(), queue, task, b"body", **fields) for _ in range(count)]


async def die(
    driver: RedisDriver, some: Sequence[Message], error: str = "builtins.OSError"
) -> None:
    """Enqueue messages, lease them and make dead letters of them."""
    await driver.enqueue(some)
    queues = {message.queue: len(some) for message in some}
    got = await driver.reserve(queues, limit=len(some), owner="one", lease=LEASE)
    failure = ErrorInfo(error, "message", "traceback")
    await driver.settle([Fail(each.lease, Reason.FAILED, failure) for each in got])


async def pages(driver: RedisDriver, state: State, **options: Any) -> list[list[bytes]]:
    """Return the ids on each page of a listing."""
    found: list[list[bytes]] = []
    cursor: str | None = None
    while True:
        page = await driver.browse(state, cursor=cursor, **options)
        found.append([snapshot.message.id for snapshot in page.items])
        cursor = page.cursor
        if cursor is None:
            return found


def flat(found: list[list[bytes]]) -> list[bytes]:
    return [one for page in found for one in page]


def ids_of(some: Sequence[Message]) -> list[bytes]:
    return [message.id for message in some]


def commands(client: "redis.Redis") -> int:
    """Return how many commands the server has executed since the last reset, those of scripts included."""
    stats: Any = client.info("commandstats")
    counted = sum(each["calls"] for name, each in stats.items() if "info" not in name)
    client.config_resetstat()
    return int(counted)


LISTINGS: dict[str, Callable[[RedisDriver], Any]] = {
    "all": lambda driver: driver.browse(State.READY, limit=50),
    "queue": lambda driver: driver.browse(State.READY, queue="q", limit=50),
    "task": lambda driver: driver.browse(State.READY, task="rare", limit=50),
    "prefix": lambda driver: driver.browse(State.READY, task="ta*", limit=50),
    "owner": lambda driver: driver.browse(State.RUNNING, owner="one", limit=50),
    "count": lambda driver: driver.count("q", bound=10),
    "queues": lambda driver: driver.queues(bound=10),
    "dead letters": lambda driver: driver.dead_letters(task="rare", limit=50),
}


async def test_page_takes_as_many_commands_whatever_the_store_holds(
    server: RedisServer, client: "redis.Redis"
) -> None:
    async with opened(RedisDriver(server.url)) as driver:
        await die(driver, messages(600))
        await driver.enqueue(messages(1000))
        await driver.reserve({"q": 600}, limit=600, owner="one", lease=LEASE)
        await driver.enqueue(messages(400))
        counted: dict[int, dict[str, int]] = {}
        for count in (0, 30_000):
            await driver.enqueue(messages(count))
            for listing in LISTINGS.values():
                await listing(driver)  # the server knows the scripts from now on
            client.config_resetstat()
            counted[count] = {}
            for name, listing in LISTINGS.items():
                await listing(driver)
                counted[count][name] = commands(client)
        assert counted[0] == counted[30_000]
        assert max(counted[0].values()) < 4 * SCANNED


async def test_pages_follow_priority_time_and_id(
    server: RedisServer, client: "redis.Redis"
) -> None:
    async with opened(RedisDriver(server.url)) as driver:
        low, high = messages(30, priority=1), messages(30, priority=9)
        later, soon = messages(10, delay=20.0), messages(10, delay=10.0)
        other = messages(10, queue="a")
        for some in (low, later, high, soon, other):
            await driver.enqueue(some)
        found = await pages(driver, State.READY, limit=7)
        assert flat(found) == ids_of([*other, *high, *low])
        assert all(len(page) == 7 for page in found[:-1])
        assert flat(await pages(driver, State.SCHEDULED, limit=3)) == ids_of([*soon, *later])
        assert flat(await pages(driver, State.READY, queue="a", limit=3)) == ids_of(other)


async def test_messages_that_are_promoted_between_pages_are_shown_once(
    server: RedisServer, client: "redis.Redis"
) -> None:
    async with opened(RedisDriver(server.url)) as driver:
        due = messages(60, delay=5.0)
        await driver.enqueue(due)
        ready = messages(60)
        driver.clock_offset = 10.0
        await driver.enqueue(ready)
        first = await driver.browse(State.READY, limit=20)
        assert await driver.reserve({"q": 10}, limit=10, owner="one", lease=LEASE)  # promotes some
        rest = ids_of([])
        cursor = first.cursor
        while cursor is not None:
            page = await driver.browse(State.READY, limit=20, cursor=cursor)
            rest += [snapshot.message.id for snapshot in page.items]
            cursor = page.cursor
        shown = [snapshot.message.id for snapshot in first.items] + rest
        assert shown == ids_of([*due, *ready])


async def test_page_goes_on_where_its_last_message_has_gone(
    server: RedisServer, client: "redis.Redis"
) -> None:
    """All of them have one score, and the place is found by the id alone."""
    async with opened(RedisDriver(server.url)) as driver:
        some = messages(300)
        await driver.enqueue(some)
        first = await driver.browse(State.READY, limit=100)
        await driver.cancel([snapshot.message.id for snapshot in first.items])
        second = await driver.browse(State.READY, limit=100, cursor=first.cursor)
        assert [snapshot.message.id for snapshot in second.items] == ids_of(some[100:200])


@pytest.mark.parametrize("length", [1, 31, 32, 255, 256, 5000])
@pytest.mark.parametrize("fields", [{}, {"unique": True}, {"headers": {"a": "b"}}])
async def test_names_of_any_length_are_filtered(
    server: RedisServer, client: "redis.Redis", length: int, fields: dict[str, Any]
) -> None:
    name = "n" * length
    options = {"unique": Unique("k" * 2000)} if "unique" in fields else fields
    async with opened(RedisDriver(server.url)) as driver:
        [wanted] = messages(1, name, **options)
        await driver.enqueue([*messages(20, "other"), wanted, *messages(20, f"{name}x")])
        assert flat(await pages(driver, State.READY, task=name)) == [wanted.id]
        assert len(flat(await pages(driver, State.READY, task=f"{name}*"))) == 21
        assert len(flat(await pages(driver, State.READY, task="*"))) == 41


async def test_page_that_finds_too_little_is_short_and_goes_on(
    server: RedisServer, client: "redis.Redis"
) -> None:
    async with opened(RedisDriver(server.url)) as driver:
        rare = messages(3, "rare")
        for one in rare:
            await driver.enqueue([*messages(2 * SCANNED), one])
        found = await pages(driver, State.READY, task="rare", limit=50)
        assert flat(found) == ids_of(rare)
        assert len(found) >= 6
        assert [] in found


async def test_leases_of_any_number_are_listed_once(
    server: RedisServer, client: "redis.Redis"
) -> None:
    async with opened(RedisDriver(server.url)) as driver:
        some = messages(11_000)
        await driver.enqueue(some)
        many = await driver.reserve({"q": 10_500}, limit=10_500, owner="many", lease=LEASE)
        few = await driver.reserve({"q": 100}, limit=100, owner="few", lease=LEASE)
        for owner, leased in (("many", many), ("few", few), (None, [*many, *few])):
            found = flat(await pages(driver, State.RUNNING, owner=owner, limit=400))
            assert len(found) == len(set(found))
            assert set(found) == {each.message.id for each in leased}
        assert flat(await pages(driver, State.RUNNING, owner="nobody")) == []
        assert flat(await pages(driver, State.READY, owner="many")) == []
        page = await driver.browse(State.RUNNING, owner="few", limit=1)
        assert page.items[0].owner == "few"
        assert page.items[0].leased_at is not None


async def test_dead_letters_are_filtered(server: RedisServer, client: "redis.Redis") -> None:
    async with opened(RedisDriver(server.url)) as driver:
        await die(driver, messages(5, "a.one"), "package.errors.Missing")
        await die(driver, messages(5, "a.two"), "builtins.OSError")
        expired = messages(5, "b", expires=0.001)
        await driver.enqueue(expired)
        driver.clock_offset = 1.0
        await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)

        async def found(**options: Any) -> set[str]:
            page = await driver.dead_letters(**options)
            return {letter.message.task for letter in page.items}

        assert await found(task="a.*") == {"a.one", "a.two"}
        assert await found(reason=Reason.EXPIRED) == {"b"}
        assert await found(error="Missing") == {"a.one"}
        assert await found(error="package.errors.Missing") == {"a.one"}
        assert await found(error="errors.Missing") == set()
        assert await found(error="OSError", task="a.one") == set()
        newest_first = (await driver.dead_letters()).items
        assert [letter.message.task for letter in newest_first[:5]] == ["b"] * 5


async def test_cursor_of_another_listing_is_refused(
    server: RedisServer, client: "redis.Redis"
) -> None:
    async with opened(RedisDriver(server.url)) as driver:
        await driver.enqueue(messages(5))
        page = await driver.browse(State.READY, limit=1)
        with pytest.raises(DriverError, match="same listing"):
            await driver.browse(State.SCHEDULED, cursor=page.cursor)
        with pytest.raises(DriverError, match="same listing"):
            await driver.browse(State.RUNNING, cursor="running.i1.i2.i3")


@pytest.mark.parametrize("priority", [10, -1, 9 * 10**14])
async def test_cursor_with_a_priority_that_no_message_has_does_not_occupy_the_server(
    server: RedisServer, client: "redis.Redis", priority: int
) -> None:
    async with opened(RedisDriver(server.url, timeout=2.0)) as driver:
        await driver.enqueue(messages(1))
        queue = messages(1)[0].queue.encode().hex()
        with pytest.raises(DriverError, match="same listing"):
            await driver.browse(State.READY, cursor=f"ready.x{queue}.i{priority}.i0.x00")


async def test_chunk_that_is_stored_in_part_is_answered_message_by_message(
    server: RedisServer, client: "redis.Redis"
) -> None:
    async with opened(RedisDriver(server.url)) as driver:
        good, bad = messages(60_000), messages(1, delay=float("nan"))
        with pytest.raises(EnqueuedPartly, match="60000 of 60001 messages") as caught:
            await driver.enqueue([*good, *bad])
        assert all(isinstance(answer, Enqueued) for answer in caught.value.answers[:-1])
        assert isinstance(caught.value.answers[-1], DriverError)
        assert (await driver.count("q", bound=100)).ready == 100
