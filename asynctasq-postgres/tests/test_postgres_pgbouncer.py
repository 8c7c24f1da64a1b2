"""A PgBouncer in transaction mode between the driver and the server."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from asynctasq.settlement import Complete, Settled
from asynctasq_postgres import PostgresDriver
from tests.drivers.opening import message, opened
from tests.servers.packages import program
from tests.servers.processes import ServerProcess, free_port, private_folder, unprivileged

CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
"""


@pytest.fixture
def pooler(url: str) -> Iterator[str]:
    """Yield the URL of the pooler."""
    parts, port = urlsplit(url), free_port()
    user = unprivileged()
    with private_folder("pgbouncer", user) as folder:
        file = folder / "pgbouncer.ini"
        file.write_text(
            CONFIGURATION.format(
                host=parts.hostname, port=parts.port, user=parts.username, own_port=port
            )
        )
        if user:
            shutil.chown(file, user)
        process = ServerProcess([_pgbouncer(), str(file)], folder, user=user)
        process.start(lambda: "process up" in process.output())
        try:
            yield parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
        finally:
            process.stop()


def _pgbouncer() -> str:
    found = Path("/usr/sbin/pgbouncer")
    return str(found) if found.exists() else program("pgbouncer", package="pgbouncer")


async def test_the_driver_works_in_transaction_mode(pooler: str, url: str) -> None:
    driver = PostgresDriver(
        pooler, namespace=uuid4().hex, statement_cache_size=0, listen_url=url, poll_interval=60.0
    )
    async with opened(driver), opened(driver.clone()) as other:
        messages = [message() for _ in range(50)]
        await asyncio.gather(*(other.enqueue([each]) for each in messages))
        done = 0
        while done < 50:
            deliveries = await driver.reserve({"q": 7}, limit=7, owner="w", lease=60.0)
            answers = await driver.settle([Complete(each.lease) for each in deliveries])
            assert answers == [Settled.DONE] * len(deliveries)
            done += len(deliveries)
        waiter = asyncio.create_task(driver.wait(["q"], timeout=60.0))
        while not waiter.done():
            await other.enqueue([message()])
            await asyncio.sleep(0.01)
        await waiter
