"""The driver keeps every rule of the contract, on each type of queues."""

from uuid import uuid4

import pytest

from asynctasq.conformance import DriverConformance
from asynctasq.contracts.driver import Driver
from asynctasq_rabbitmq import RabbitMQDriver
from asynctasq_rabbitmq.settings import QueueType


class OnServer:
    """The namespace of one check."""

    queue_type: QueueType = "classic"
    priorities = False
    url = "amqp://localhost"
    namespace = "test"

    @pytest.fixture(autouse=True)
    def _server(self, url: str) -> None:
        self.url = url
        self.namespace = f"test-{uuid4().hex}"

    def make_driver(self) -> Driver:
        return RabbitMQDriver(
            self.url,
            namespace=self.namespace,
            queue_type=self.queue_type,
            priorities=self.priorities,
        )


@pytest.mark.sampled(2)
class TestClassic(OnServer, DriverConformance):
    durable = True


@pytest.mark.full
class TestPriorities(OnServer, DriverConformance):
    durable = True
    priorities = True


@pytest.mark.full
class TestQuorum(OnServer, DriverConformance):
    durable = True
    queue_type: QueueType = "quorum"
