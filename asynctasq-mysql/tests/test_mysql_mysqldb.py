"""Transactions of MySQLdb, where its package `mysqlclient` is installed: it needs a C library to build."""

import asyncio
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from uuid import UUID

import pytest

from asynctasq_mysql import MySQLDriver
from tests.drivers.opening import opened

MakeDriver = Callable[..., MySQLDriver]

PROGRAM = Path(__file__).with_name("dispatching_with_mysqldb.py")


def is_installed() -> bool:
    try:
        return bool(version("mysqlclient"))
    except PackageNotFoundError:
        return False


@pytest.mark.skipif(not is_installed(), reason="mysqlclient is not installed")
async def test_only_what_a_transaction_of_mysqldb_commits_is_dispatched(
    make_driver: MakeDriver, url: str, namespace: str
) -> None:
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
