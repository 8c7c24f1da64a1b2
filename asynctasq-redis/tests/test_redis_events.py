"""Events on Redis: scripts that fail half-way, keys that expire or are damaged, and lost data."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
import redis

from asynctasq.errors import DriverError
from asynctasq_redis import RedisDriver
from tests.servers.redis import redis_server
from tests.servers.redis_faults import Faults


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("events")) as server:
        yield server.url


@pytest.fixture
async def driver(redis_url: str) -> AsyncIterator[RedisDriver]:
    made = RedisDriver(redis_url, namespace=f"events-{uuid4().hex}")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    found = Faults()
    monkeypatch.setattr("asynctasq_redis.server.script", found.script)
    return found


def key(driver: RedisDriver, name: str) -> str:
    return f"{{{driver.settings.namespace}}}:2:{name}"


@pytest.mark.parametrize("name", ["publish", "events", "events_look"])
async def test_script_that_fails_at_any_command_loses_no_batch(
    driver: RedisDriver, faults: Faults, name: str
) -> None:
    for at in range(1, 30):
        after = (await driver.events(None)).cursor
        await driver.publish(b"before", 1)
        faults.name, faults.at, faults.lasting = name, at, at % 2 == 0
        went_on = False
        try:
            await driver.publish(b"between", 1)
            await driver.listening()
            await driver.events(after, limit=0)
            went_on = True
        except DriverError:
            pass
        finally:
            faults.name = None
        await driver.publish(b"behind", 1)
        page = await driver.events(after)
        found = [each.data for each in page.batches]
        assert not page.gap
        assert found[0] == b"before"
        assert found[-1] == b"behind"
        assert found[1:-1] in ([], [b"between"])
        if went_on:
            return
    raise AssertionError(f"{name} has more commands than expected")


async def test_batch_that_was_evicted_is_a_gap(driver: RedisDriver, redis_url: str) -> None:
    after = (await driver.events(None)).cursor
    for batch in (b"1", b"2", b"3"):
        await driver.publish(batch, 1)
    with redis.Redis.from_url(redis_url) as client:
        client.delete(key(driver, "v:2"))
    page = await driver.events(after)
    assert ([each.data for each in page.batches], page.gap) == ([b"1"], False)
    page = await driver.events(page.cursor)
    assert ([each.data for each in page.batches], page.gap) == ([b"3"], True)


async def test_store_that_lost_its_data_begins_again(driver: RedisDriver, redis_url: str) -> None:
    after = (await driver.events(None)).cursor
    for batch in (b"1", b"2", b"3"):
        await driver.publish(batch, 1)
    last = (await driver.events(after)).cursor
    with redis.Redis.from_url(redis_url) as client:
        client.delete(key(driver, "events"), *(key(driver, f"v:{n}") for n in (1, 2, 3)))
    await driver.events(None)
    await driver.publish(b"new", 1)
    page = await driver.events(last)
    assert ([each.data for each in page.batches], page.gap) == ([b"new"], True)


async def test_damaged_keys_cost_only_themselves(driver: RedisDriver, redis_url: str) -> None:
    after = (await driver.events(None)).cursor
    await driver.publish(b"1", 1)
    await driver.publish(b"2", 1)
    with redis.Redis.from_url(redis_url) as client:
        client.set(key(driver, "v:1"), b"short")
        client.delete(key(driver, "events:awaited"))
        client.set(key(driver, "events:awaited"), b"of another type")
    page = await driver.events(after)
    assert ([each.data for each in page.batches], page.gap) == ([b"2"], True)
    with redis.Redis.from_url(redis_url) as client:
        client.set(key(driver, "events"), b"of another type")
    assert not await driver.listening()
    after = (await driver.events(None)).cursor
    await driver.publish(b"3", 1)
    assert [each.data for each in (await driver.events(after)).batches] == [b"3"]


async def test_everything_expires(driver: RedisDriver, redis_url: str) -> None:
    after = (await driver.events(None)).cursor
    await driver.publish(b"1", 1)
    await driver.events((await driver.events(after)).cursor, timeout=0.01)
    with redis.Redis.from_url(redis_url) as client:
        for name in ("events", "v:1", "events:awaited"):
            assert client.pttl(key(driver, name)) > 0
