"""Opening a driver: it refuses a server without a command, and a user without a right, and names these."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

import pytest

from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq_redis import RedisDriver
from tests.drivers.opening import message, opened
from tests.servers.redis import RedisServer, redis_server

LUA = {file.name: file.read_text() for file in (files("asynctasq_redis") / "lua").iterdir()}
PROBED = re.findall(r"^(?:if not )?try\('([A-Z]+)'", LUA["probe.lua"], re.MULTILINE)
COMMANDS = sorted(set(PROBED))
OPTIONS = {"NX", "XX", "GT", "CH", "PX", "PXAT", "WITHSCORES", "LIMIT", "MATCH", "COUNT"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("probe")) as found:
        yield found


def of_user(server: RedisServer, *rules: str) -> RedisDriver:
    """Make a driver for a new user with these rights, unopened."""
    name = f"user-{uuid4().hex}"
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", name, "reset", "on", ">secret", *rules)
    return RedisDriver(server.url, username=name, password="secret")


def test_probe_tries_what_the_scripts_use() -> None:
    used: set[str] = set()
    options: set[str] = set()
    for name, text in LUA.items():
        if name == "probe.lua":
            continue
        used |= set(re.findall(r"(?:call|spread|drop_where)\((?:[^'()]*, )?'([A-Z]+)'", text))
        options |= OPTIONS & set(re.findall(r"'([A-Z]+)'", text))
    assert used - {"PUBLISH"} == set(COMMANDS), "PUBLISH is optional: waiters poll without it"
    assert options == OPTIONS & set(re.findall(r"'([A-Z]+)'", LUA["probe.lua"]))


@pytest.mark.parametrize("command", COMMANDS)
async def test_user_who_may_not_run_a_command_is_refused(server: RedisServer, command: str) -> None:
    driver = of_user(server, "~*", "&*", "+@all", f"-{command.lower()}")
    with pytest.raises(DriverError, match=rf"\b{command}\b.*ACL SETUSER.*\+{command.lower()}"):
        await driver.open()


@pytest.mark.parametrize("command", ["eval", "evalsha"])
async def test_user_who_may_not_run_scripts_is_refused(server: RedisServer, command: str) -> None:
    driver = of_user(server, "~*", "&*", "+@all", f"-{command}")
    with pytest.raises(DriverError, match=rf"may not run {command.upper()} .*\+{command}"):
        await driver.open()


async def test_user_who_may_not_use_the_keys_is_refused(server: RedisServer) -> None:
    driver = of_user(server, "~other:*", "&*", "+@all")
    with pytest.raises(DriverError, match=r"keys.*~\{asynctasq\}:\*"):
        await driver.open()


async def test_user_of_the_documentation_is_accepted(server: RedisServer) -> None:
    document = Path(__file__).parents[2] / "docs" / "redis.md"
    [rules] = re.findall(
        r"^ACL SETUSER worker on >password (.*)$", document.read_text(), re.MULTILINE
    )
    async with opened(of_user(server, *rules.split())) as driver:
        await driver.enqueue([message()])
        assert await driver.reserve({"q": 1}, limit=1, owner="one", lease=60.0)


async def test_server_without_a_command_is_refused(tmp_path: Path) -> None:
    """The server is older than 6.2, or a command has been renamed."""
    lacking = r"does not support ZRANDMEMBER.*Redis 6\.2 or later"
    with redis_server(tmp_path, "--rename-command", "ZRANDMEMBER", "") as server:
        driver = RedisDriver(server.url)
        with pytest.raises(DriverError, match=lacking):
            await driver.open()


async def test_probe_leaves_nothing_behind(server: RedisServer) -> None:
    with server.client() as client:
        client.flushall()
        async with opened(RedisDriver(server.url)):
            pass
        assert client.keys("*") == [b"{asynctasq}:format"]


async def test_full_server_is_opened(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        async with opened(RedisDriver(server.url)) as driver:
            with pytest.raises(DriverError, match="maxmemory"):
                await driver.enqueue([message()])
        with server.client() as client:
            assert set(client.keys("*")) <= {b"{asynctasq}:format"}


async def test_server_with_too_few_replicas_is_opened(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--min-replicas-to-write", "1") as server:
        async with opened(RedisDriver(server.url)) as driver:
            with pytest.raises(DriverUnavailable, match=r"not ready"):
                await driver.enqueue([message()])


async def test_replica_is_opened(server: RedisServer, tmp_path: Path) -> None:
    follow = ("--replicaof", "127.0.0.1", str(server.port))
    with redis_server(tmp_path, *follow) as replica:
        with replica.client() as client:
            while client.info("replication")["master_link_status"] != "up":
                pass
        async with opened(RedisDriver(replica.url)) as driver:
            with pytest.raises(DriverUnavailable, match="replica"):
                await driver.enqueue([message()])
