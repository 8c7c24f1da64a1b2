"""The driver keeps every rule of the contract."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from asynctasq.conformance import DriverConformance
from asynctasq.conformance.harness import RunPlan
from asynctasq.contracts.capabilities.transactions import Plan
from asynctasq.contracts.driver import Driver
from asynctasq_mysql import MySQLDriver
from asynctasq_mysql.adapters.blocking import BlockingAdapter
from tests.servers.databases import mysql_connection


@asynccontextmanager
async def transaction_in_mysql(url: str) -> AsyncIterator[RunPlan]:
    """Begin a transaction of an application with `pymysql`."""
    with mysql_connection(url) as connection:
        connection.begin()

        async def run(plan: Plan[Any]) -> Any:
            return BlockingAdapter("pymysql").run(connection, plan, None)

        try:
            yield run
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


@pytest.mark.sampled(2)
class TestMySQL(DriverConformance):
    durable = True
    capabilities = MySQLDriver.capabilities

    url: str

    @pytest.fixture(autouse=True)
    def _server(self, url: str) -> None:
        self.url = url
        self.namespace = f"test-{uuid4().hex}"

    def make_driver(self) -> Driver:
        return MySQLDriver(self.url, namespace=self.namespace)

    async def damage(self, driver: Driver, message_id: bytes) -> None:
        with mysql_connection(self.url) as connection, connection.cursor() as cursor:
            cursor.execute(
                "UPDATE asynctasq_messages SET profile = x'ffffffff', payload = x'ff00ff' "
                f"WHERE id = x'{message_id.hex()}'"
            )
            cursor.execute(
                f"UPDATE asynctasq_timetable SET definition = '' WHERE id = x'{message_id.hex()}'"
            )

    def transaction(self, driver: Driver) -> AbstractAsyncContextManager[RunPlan]:
        return transaction_in_mysql(self.url)
