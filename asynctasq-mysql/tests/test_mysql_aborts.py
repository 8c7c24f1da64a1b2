"""An error at each statement of each call: nothing is lost or stranded, whether the call is repeated or not."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pymysql.err
import pytest
from aiomysql.cursors import Cursor

from asynctasq.conformance.aborts import OPERATIONS, Operation, check_aborts
from asynctasq.contracts.driver import Driver
from asynctasq_mysql import MySQLDriver

NEVER = 1 << 30
SERVER_ERROR, LOST_CONNECTION = 1105, 2013


class Saboteur:
    """Lets the script with a certain number fail: half of its statements are executed, or all of them."""

    def __init__(self) -> None:
        self.code, self.whole = SERVER_ERROR, False
        self.arm(NEVER)

    def arm(self, statement: int) -> None:
        self.count = 0
        self.statement = statement

    def disarm(self) -> bool:
        reached = self.count >= self.statement
        self.arm(NEVER)
        return reached

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
            cursor.connection.close()
        raise pymysql.err.OperationalError(self.code, "sabotage")


@pytest.fixture
def saboteur(monkeypatch: pytest.MonkeyPatch) -> Iterator[Saboteur]:
    """Yield the saboteur of every connection that drivers open during the test."""
    saboteur = Saboteur()
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
    address = driver.settings.address()
    with (
        pymysql.connect(
            host=address.host,
            port=address.port,
            user=address.username,
            database=address.database,
            autocommit=True,
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            f"UPDATE asynctasq_messages SET profile = x'c1' WHERE id = x'{message_id.hex()}'"
        )


@pytest.mark.parametrize(
    ("code", "whole"),
    [(SERVER_ERROR, False), (LOST_CONNECTION, True)],
    ids=["half a script", "lost answer"],
)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
async def test_an_error_at_any_statement_loses_nothing(
    operation: Operation, code: int, whole: bool, saboteur: Saboteur, url: str
) -> None:
    saboteur.code, saboteur.whole = code, whole
    store = uuid4().hex
    await check_aborts(
        operation, lambda name: MySQLDriver(url, namespace=name + store), saboteur, damage=damage
    )
