"""RabbitMQ as a queue that state stores complete."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from asynctasq.contracts.driver import Driver
from asynctasq_rabbitmq import RabbitMQDriver
from tests.composed.queue_kinds import QueueKind
from tests.servers.shared import shared_url


@contextmanager
def _rabbitmq(_: Path, factory: pytest.TempPathFactory) -> Iterator[Callable[[], Driver]]:
    url = shared_url("rabbitmq", factory)
    namespace = f"test-{uuid4().hex}"
    yield lambda: RabbitMQDriver(url, namespace=namespace, queue_type="classic")


QUEUE = QueueKind("rabbitmq", _rabbitmq, timeout=60.0, sample=4)
