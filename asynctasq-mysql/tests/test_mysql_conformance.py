"""The driver keeps every rule of the contract."""

from uuid import uuid4

import pytest

from asynctasq.conformance import DriverConformance
from asynctasq.contracts.driver import Driver
from asynctasq_mysql import MySQLDriver
from tests.servers.databases import mysql_connection


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
