"""Counts of workers on Redis: scripts that fail half-way, damaged keys, and bounds."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
import redis

from asynctasq.contracts.capabilities.metrics import MetricCounts, MetricFlush, MetricRow
from asynctasq.counts import RUN, Count, add_to, pack_counts, sum_counts, unpack_counts
from asynctasq.errors import DriverError
from asynctasq_redis import RedisDriver
from tests.servers.redis import redis_server
from tests.servers.redis_faults import Faults

DAY = 86_400.0


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a server that may be full for a while."""
    with redis_server(tmp_path_factory.mktemp("metrics")) as server:
        yield server.url


@pytest.fixture
async def driver(redis_url: str) -> AsyncIterator[RedisDriver]:
    made = RedisDriver(redis_url, namespace=f"metrics-{uuid4().hex}")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    found = Faults()
    monkeypatch.setattr("asynctasq_redis.server.script", found.script)
    return found


def minute_of(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        seconds: int = client.time()[0]
    return seconds // 60


def flush_of(minute: int, *, number: int = 1, tasks: int = 3) -> MetricFlush:
    counts = pack_counts({Count.COMPLETED: 1, RUN + 3: 1, Count.RUN_MICROS: 1 << 41})
    rows = [
        MetricCounts(each, "q", f"task {name}", counts)
        for each in (minute, minute - 1)
        for name in range(tasks)
    ]
    return MetricFlush("source", number, rows, {"q": b"latest"})


async def rows_of(driver: RedisDriver) -> list[MetricRow]:
    found: list[MetricRow] = []
    cursor: str | None = None
    while True:
        page = await driver.metrics(since=0.0, until=1e10, queue="q", cursor=cursor)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found


async def completed(driver: RedisDriver) -> dict[str, int]:
    sums: dict[str, dict[int, int]] = {}
    for row in await rows_of(driver):
        add_to(sums.setdefault(row.task, {}), unpack_counts(row.counts) or {})
    return {task: counts[Count.COMPLETED] for task, counts in sums.items()}


async def fails(
    faults: Faults, name: str, at: int, driver: RedisDriver, flush: MetricFlush
) -> bool:
    """Add a flush whose script fails at its k-th command; return False if it has fewer."""
    faults.name, faults.at, faults.lasting = name, at, at % 2 == 0
    try:
        await driver.add_metrics(flush)
    except DriverError as error:
        if "injected" not in str(error):
            raise
        return True
    finally:
        faults.name = None
    return False


async def test_flush_that_fails_at_any_command_is_counted_once_when_it_is_repeated(
    driver: RedisDriver, faults: Faults, redis_url: str
) -> None:
    minute = minute_of(redis_url)
    at = 0
    for at in range(1, 100):
        flush = flush_of(minute, number=at)
        went_on = await fails(faults, "add_metrics", at, driver, flush)
        await driver.add_metrics(flush)
        expected = {f"task {name}": 2 * at for name in range(3)}
        assert await completed(driver) == expected, f"command {at}"
        if not went_on:
            break
    assert at > 15
    [recent] = (await driver.recent_outcomes(queue="q")).items
    assert recent.data == b"latest"


async def test_upkeep_that_fails_at_any_command_changes_no_sum(
    driver: RedisDriver, faults: Faults, redis_url: str
) -> None:
    minute = minute_of(redis_url)
    at = 0
    for at in range(1, 100):
        driver.clock_offset = 0.0
        await driver.add_metrics(flush_of(minute - at, number=at))
        expected = {f"task {name}": 2 * at for name in range(3)}
        driver.clock_offset = DAY + 7300.0
        empty = MetricFlush("later", at)
        went_on = await fails(faults, "add_up", at, driver, empty)
        assert await completed(driver) == expected, f"command {at}, before the next flush"
        await driver.add_metrics(empty)
        assert await completed(driver) == expected, f"command {at}"
        assert {row.seconds for row in await rows_of(driver)} == {3600.0}
        if not went_on:
            break
    assert at > 15


async def test_server_that_is_full_takes_counts(driver: RedisDriver, redis_url: str) -> None:
    """They are few, and workers report them while they make room."""
    minute = minute_of(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", 1)
        try:
            await driver.add_metrics(flush_of(minute))
        finally:
            client.config_set("maxmemory", 0)
    assert await completed(driver) == {f"task {name}": 2 for name in range(3)}


async def test_keys_of_a_wrong_type_are_replaced(driver: RedisDriver, redis_url: str) -> None:
    minute = minute_of(redis_url)
    await driver.add_metrics(flush_of(minute))
    prefix = f"{{{driver.settings.namespace}}}:2:"
    with redis.Redis.from_url(redis_url) as client:
        for name in (f"tm:{minute}", "ts", "tz", "tr", "tri", "tmi", "thi"):
            client.delete(prefix + name)
            client.set(prefix + name, "damaged")
    await driver.add_metrics(flush_of(minute, number=2))
    found = await completed(driver)
    assert found == {f"task {name}": 2 for name in range(3)} or min(found.values()) >= 2
    [recent] = (await driver.recent_outcomes()).items
    assert recent.data == b"latest"


async def test_fields_that_are_no_names_are_left_out(driver: RedisDriver, redis_url: str) -> None:
    minute = minute_of(redis_url)
    await driver.add_metrics(flush_of(minute))
    prefix = f"{{{driver.settings.namespace}}}:2:"
    with redis.Redis.from_url(redis_url) as client:
        for field in (b"", b"x", b"\x00\x09short", b"\x00\x01\xff\xff"):
            client.hset(f"{prefix}tm:{minute}", field, b"counts")
            client.hset(f"{prefix}tr", field, b"counts")
    assert len(await rows_of(driver)) == 6
    assert len((await driver.recent_outcomes()).items) == 1


async def test_tasks_of_a_minute_are_bounded(driver: RedisDriver, redis_url: str) -> None:
    minute = minute_of(redis_url)
    counts = pack_counts({Count.COMPLETED: 1})

    def many(number: int, count: int) -> list[MetricCounts]:
        return [MetricCounts(minute, "q", f"{number}.{name}", counts) for name in range(count)]

    for number in range(3):
        rows = [MetricCounts(minute, "q", f"{number}.{name}", counts) for name in range(2000)]
        await driver.add_metrics(MetricFlush("source", number, rows))
    found = await completed(driver)
    assert len(found) <= 3001
    assert sum(found.values()) == 6000
    assert found["other"] > 2000
    with pytest.raises(DriverError, match="at most 2000 rows, got 2001"):
        await driver.add_metrics(MetricFlush("source", 9, many(9, 2001)))


async def test_scripts_add_as_core_does(driver: RedisDriver, redis_url: str) -> None:
    minute = minute_of(redis_url)
    parts = [
        pack_counts({}),
        pack_counts({0: 1, 255: (1 << 32) - 1}),
        pack_counts({0: 7, 255: 1, 16: 1 << 50}),
        b"\x01\x02\x00\x00",
        b"\x01\x00\x00\x02ab",
    ]
    for number, part in enumerate(parts):
        rows = [MetricCounts(minute, "q", "t", part)]
        await driver.add_metrics(MetricFlush("source", number, rows))
    [row] = await rows_of(driver)
    assert row.counts == sum_counts(parts)
