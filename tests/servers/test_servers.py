"""Servers for tests: each starts, answers to this machine only, and is gone when its user is."""

import asyncio
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import aio_pika
import asyncpg
import pymysql
import pytest
import redis

from tests.servers.keeper import SERVERS
from tests.servers.processes import is_free
from tests.servers.shared import Kind, address_of, start_keeper

SLEEP = (sys.executable, "-c", "import sys; sys.stdin.read()")
PATIENCE = 60.0


def asks_redis(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        assert client.ping()


def asks_postgres(url: str) -> None:
    async def ask() -> None:
        connection = await asyncpg.connect(url)
        try:
            assert await connection.fetchval("SELECT 6 * 7") == 42
        finally:
            await connection.close()

    asyncio.run(ask())


def asks_mysql(url: str) -> None:
    parts = urlsplit(url)
    assert parts.port is not None
    with (
        pymysql.connect(host=parts.hostname, port=parts.port, user=parts.username) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT 6 * 7, @@character_set_server")
        assert cursor.fetchone() == (42, "utf8mb4")


def asks_rabbitmq(url: str) -> None:
    async def ask() -> None:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("questions")
            message = aio_pika.Message(b"6 * 7")
            await channel.default_exchange.publish(message, routing_key="questions")
            received = await queue.get(timeout=PATIENCE)
            assert received is not None
            assert received.body == b"6 * 7"

    asyncio.run(ask())


def asks_sqs(url: str) -> None:
    """Send a request in the old form, which needs a few lines. The server ignores the signature."""
    scope = "Credential=tester/20260101/eu-central-1/sqs/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}

    def ask(action: str, **parameters: str) -> str:
        body = urlencode({"Action": action, "Version": "2012-11-05", **parameters}).encode()
        request = urllib.request.Request(url, data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    queue = f"{url}/123456789012/questions"
    assert "/questions</QueueUrl>" in ask("CreateQueue", QueueName="questions")
    ask("SendMessage", QueueUrl=queue, MessageBody="6 * 7")
    assert "<Body>6 * 7</Body>" in ask("ReceiveMessage", QueueUrl=queue)


ASKS: dict[Kind, Callable[[str], None]] = {
    "mysql": asks_mysql,
    "postgres": asks_postgres,
    "rabbitmq": asks_rabbitmq,
    "redis": asks_redis,
    "sqs": asks_sqs,
}


@pytest.fixture
def run() -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a process that acts as pytest."""
    with subprocess.Popen(SLEEP, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_every_server_is_tested() -> None:
    assert set(ASKS) == set(SERVERS)


@pytest.mark.full
@pytest.mark.parametrize("kind", sorted(ASKS))
async def test_server_answers_here_only_and_ends_with_a_run_that_is_killed(
    kind: Kind, run: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    start_keeper(kind, tmp_path, run.pid)
    url = await asyncio.to_thread(address_of, kind, tmp_path)
    await asyncio.to_thread(ASKS[kind], url)
    port = urlsplit(url).port
    assert port is not None
    assert listens_on(port) == {"127.0.0.1"}

    run.kill()
    await gone(port)
    async with asyncio.timeout(PATIENCE):
        while keepers(tmp_path):
            await asyncio.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@pytest.mark.parametrize("kind", ["postgres", "redis"])
async def test_server_ends_with_a_keeper_that_is_killed(
    kind: Kind, run: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    """Also one that runs as another user: Linux forgets the wish where the user changes."""
    start_keeper(kind, tmp_path, run.pid)
    url = await asyncio.to_thread(address_of, kind, tmp_path)
    (keeper,) = keepers(tmp_path)
    os.kill(keeper, signal.SIGKILL)
    port = urlsplit(url).port
    assert port is not None
    await gone(port)


async def gone(port: int) -> None:
    """Wait until no process listens."""
    async with asyncio.timeout(PATIENCE):
        while not is_free(port):
            await asyncio.sleep(0.02)


def listens_on(port: int) -> set[str]:
    """Return the addresses of this machine that accept connections to the port."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            address, number = line.split()[1].split(":")
            if line.split()[3] == "0A" and int(number, 16) == port:
                four = bytes.fromhex(address)[::-1] if table == "tcp" else b""
                found.add(".".join(map(str, four)) or "IPv6")
    return found


def keepers(folder: Path) -> list[int]:
    """Return the processes that keep servers of a folder running."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(folder).encode() in words and b"tests.servers.keeper" in words:
            found.append(int(entry.parent.name))
    return found
