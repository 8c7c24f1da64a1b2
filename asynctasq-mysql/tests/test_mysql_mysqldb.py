"""Transactions of MySQLdb, which the set-up takes from the system's packages."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from asynctasq_mysql import MySQLDriver
from tests.drivers.opening import opened
from tests.servers.packages import extension

MakeDriver = Callable[..., MySQLDriver]

PROGRAM = Path(__file__).with_name("dispatching_with_mysqldb.py")


async def test_only_what_a_transaction_of_mysqldb_commits_is_dispatched(
    make_driver: MakeDriver, url: str, namespace: str
) -> None:
    extension("MySQLdb/_mysql", "python3-mysqldb")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), f"{url}?namespace={namespace}"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert not process.returncode
    committed, rolled_back, error = output.decode().splitlines()
    assert "must be in a transaction, but none is open" in error
    async with opened(make_driver()) as driver:
        deliveries = await driver.reserve({"default": 9}, limit=9, owner="w", lease=60.0)
        assert [each.message.id for each in deliveries] == [UUID(committed).bytes]
        assert await driver.find([UUID(rolled_back).bytes]) == [None]
