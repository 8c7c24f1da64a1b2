"""The driver keeps every rule of the contract."""

from uuid import uuid4

import pytest

from asynctasq.conformance import DriverConformance
from asynctasq.contracts.driver import Driver
from asynctasq_rabbitmq import RabbitMQDriver


class TestClassic(DriverConformance):
    durable = True

    url: str

    @pytest.fixture(autouse=True)
    def _server(self, url: str) -> None:
        self.url = url
        self.namespace = f"test-{uuid4().hex}"

    def make_driver(self) -> Driver:
        url = getattr(self, "url", "amqp://localhost")
        namespace = getattr(self, "namespace", "test")
        return RabbitMQDriver(url, namespace=namespace, queue_type="classic")
