"""The driver keeps every rule of the contract, also when processes and the server are killed."""

import asyncio
import signal
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from asynctasq.conformance import DriverConformance, run_conformance
from asynctasq.conformance.model import run_model
from asynctasq.conformance.processes import check_each_message_once, check_kills, check_stale_owner
from asynctasq.contracts.driver import Driver
from asynctasq.settlement import Complete, Settled
from asynctasq_redis import RedisDriver
from tests.drivers.opening import message, opened
from tests.servers.redis import lasting_keys, redis_server


class TestRedis(DriverConformance):
    durable = True
    capabilities = RedisDriver.capabilities

    url: str
    namespace: str

    @pytest.fixture(autouse=True)
    def _server(self, url: str, namespace: str, client: "redis.Redis") -> object:
        self.url, self.namespace = url, namespace
        yield
        assert lasting_keys(client, namespace) == [], "every check deletes what it made"

    def make_driver(self) -> Driver:
        return RedisDriver(self.url, namespace=self.namespace)

    async def damage(self, driver: Driver, message_id: bytes) -> None:
        prefix = b"{%s}:2:" % self.namespace.encode()
        with redis.Redis.from_url(self.url) as client:
            if client.exists(prefix + b"a:" + message_id):  # the id of a schedule
                client.hset(prefix + b"a:" + message_id, "s", b"\xff" * 37)
            else:
                client.setrange(prefix + b"m:" + message_id, 0, b"\xff" * 60)


@pytest.mark.full
@pytest.mark.parametrize(
    "crowded",
    [pytest.param(False, id="alone"), pytest.param(True, id="crowded", marks=pytest.mark.full)],
)
async def test_checks_may_share_a_namespace(url: str, namespace: str, crowded: bool) -> None:
    report = await run_conformance(
        lambda: RedisDriver(url, namespace=namespace),
        durable=True,
        one_namespace=True,
        make_neighbour=(lambda: RedisDriver(url, namespace=uuid4().hex)) if crowded else None,
    )
    assert report.tidy
    assert [result.check.name for result in report.failures] == []


@pytest.mark.parametrize("options", [(), ("--appendonly", "yes")], ids=["memory", "file"])
async def test_rules_hold_after_hard_stops(tmp_path: Path, options: tuple[str, ...]) -> None:
    with redis_server(tmp_path, *options) as server:

        async def stop_hard(driver: Driver) -> None:
            await asyncio.to_thread(server.restart, signal.SIGKILL)

        report = await run_conformance(
            lambda: RedisDriver(server.url, namespace=uuid4().hex),
            durable=bool(options),
            stop_hard=stop_hard,
            only=["crash"],
        )
        assert report.results
        assert [result.check.name for result in report.failures] == []


async def test_lease_that_a_hard_stop_has_undone_never_shares_its_token(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--dbfilename", "dump.rdb") as server:
        async with opened(RedisDriver(server.url)) as driver:
            await driver.enqueue([message()])
            with server.client() as client:
                client.save()
            [undone] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=60.0)
            server.restart(signal.SIGKILL)
            [later] = await driver.reserve({"q": 1}, limit=1, owner="two", lease=60.0)
            assert later.message == undone.message
            assert not later.resumed, "the store has lost the first lease"
            assert later.lease.token != undone.lease.token
            settled = await driver.settle([Complete(undone.lease), Complete(later.lease)])
            assert settled == [Settled.LOST, Settled.DONE]


@pytest.mark.full
def test_driver_behaves_like_memory(url: str) -> None:
    run_model(lambda: RedisDriver(url, namespace=uuid4().hex), examples=20)


def test_each_message_goes_to_one_of_several_processes(url: str, tmp_path: Path) -> None:
    check_each_message_once(partial(RedisDriver, url, namespace=uuid4().hex), tmp_path)


def test_killed_processes_lose_and_duplicate_nothing(url: str, tmp_path: Path) -> None:
    make = partial(RedisDriver, url, namespace=uuid4().hex)
    report = check_kills(make, tmp_path, kills=10)
    assert report.completed_by_children
    assert report.completed_by_parent, "the messages ended before the kills did"


def test_token_of_a_killed_process_is_rejected(url: str, tmp_path: Path) -> None:
    check_stale_owner(partial(RedisDriver, url, namespace=uuid4().hex), tmp_path)
