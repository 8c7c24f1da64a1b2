"""An error at each statement of each call: nothing is lost or stranded, whether the call is repeated or not."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4
from zlib import crc32

import pymysql
import pytest
from aiomysql.cursors import Cursor

from asynctasq.conformance.aborts import OPERATIONS, Operation, check_aborts
from asynctasq.conformance.follow_ups import FOLLOW_UPS, check_follow_up
from asynctasq.contracts.driver import Driver
from asynctasq_mysql import MySQLDriver
from tests.servers.databases import mysql_connection

pytestmark = pytest.mark.sampled(2)

NEVER = 1 << 30
EVERY = 3
"""The step between scripts that fail without `--full`. Each operation begins with another one."""
STEP = 16
"""The step between pairs of calls without `--full`. A transaction that fails leaves nothing that a further call
could meet."""
SERVER_ERROR, LOST_CONNECTION = 1105, 2013


WAYS = ((SERVER_ERROR, False), (LOST_CONNECTION, True))
"""The errors of scripts that fail, and whether all of their statements are executed before."""
NAMES = ("half a script", "lost answer")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each operation in one way, and a few pairs of calls; with `--full` all of them."""
    full = metafunc.config.getoption("full")
    if "then" in metafunc.fixturenames:
        pairs = FOLLOW_UPS if full else FOLLOW_UPS[::STEP]
        metafunc.parametrize(("operation", "then"), pairs, ids=lambda each: each.__name__)
    elif "operation" in metafunc.fixturenames:
        chosen = [
            pytest.param(operation, *way, id=f"{operation.__name__}-{name}")
            for operation in OPERATIONS
            for number, (way, name) in enumerate(zip(WAYS, NAMES, strict=True))
            if full or crc32(operation.__name__.encode()) % len(WAYS) == number
        ]
        metafunc.parametrize(("operation", "code", "whole"), chosen)


class Saboteur:
    """Lets the script with a certain number fail: half of its statements are executed, or all of them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.code, self.whole = SERVER_ERROR, False
        self.arm(NEVER)

    def arm(self, statement: int) -> None:
        self.count = 0
        self.statement = statement

    def disarm(self) -> bool:
        reached = self.count >= self.statement
        self.arm(NEVER)
        return reached

    def wait_for_end(self, number: int) -> None:
        """Return once the server has undone the transaction of a connection that is closed."""
        with mysql_connection(self.url) as connection, connection.cursor() as client:
            query = f"SELECT 1 FROM information_schema.processlist WHERE id = {number}"
            while client.execute(query):
                client.fetchall()

    async def execute(self, cursor: Any, query: str) -> Any:
        self.count += 1
        if self.count != self.statement:
            return await cursor.run(query)
        statements = query.split(";\n")
        some = statements if self.whole else statements[: len(statements) // 2]
        if some:
            await cursor.run(";\n".join(some))
            while await cursor.nextset():
                pass
        if self.code == LOST_CONNECTION:
            number = cursor.connection.thread_id()
            cursor.connection.close()
            await asyncio.to_thread(self.wait_for_end, number)
        raise pymysql.OperationalError(self.code, "sabotage")


@pytest.fixture
def saboteur(monkeypatch: pytest.MonkeyPatch, url: str) -> Iterator[Saboteur]:
    """Yield the saboteur of every connection that drivers open during the test."""
    saboteur = Saboteur(url)
    execute = Cursor.execute

    class Sabotaged:
        def __init__(self, cursor: Any) -> None:
            self._cursor = cursor
            self.connection = cursor.connection
            self.nextset = cursor.nextset

        async def run(self, query: str) -> Any:
            return await execute(self._cursor, query)

    async def sabotaged(cursor: Any, query: str, args: object = None) -> Any:
        return await saboteur.execute(Sabotaged(cursor), query)

    monkeypatch.setattr(Cursor, "execute", sabotaged)
    yield saboteur
    saboteur.disarm()


async def damage(driver: Driver, message_id: bytes) -> None:
    assert isinstance(driver, MySQLDriver)
    with mysql_connection(driver.settings.url) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE asynctasq_messages SET profile = x'c1' WHERE id = x'{message_id.hex()}'"
        )


async def test_an_error_at_any_statement_loses_nothing(
    operation: Operation,
    code: int,
    whole: bool,
    saboteur: Saboteur,
    url: str,
    pytestconfig: pytest.Config,
) -> None:
    saboteur.code, saboteur.whole = code, whole
    store = uuid4().hex
    await check_aborts(
        operation,
        lambda name: MySQLDriver(url, namespace=name + store),
        saboteur,
        damage=damage,
        every=1 if pytestconfig.getoption("full") else EVERY,
    )


@pytest.mark.parametrize("whole", [False, True], ids=NAMES)
async def test_another_call_after_a_script_that_failed_leaves_no_stray_row(
    operation: Operation,
    then: Operation,
    whole: bool,
    saboteur: Saboteur,
    url: str,
) -> None:
    saboteur.code, saboteur.whole = LOST_CONNECTION if whole else SERVER_ERROR, whole
    store = uuid4().hex
    await check_follow_up(
        operation,
        then,
        lambda name: MySQLDriver(url, namespace=name + store),
        saboteur,
        damage=damage,
    )
