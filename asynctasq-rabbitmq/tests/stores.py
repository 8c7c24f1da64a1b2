"""RabbitMQ with a state store as a store on which tests of the worker run: see `tests/stores.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from asynctasq.drivers.composed import compose
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq_rabbitmq import RabbitMQDriver
from tests.servers.shared import shared_url
from tests.stores import Store, StoreKind


@contextmanager
def _namespace(folder: Path, factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a namespace that no other test uses, on the shared server, with its state in a file."""
    url, namespace = shared_url("rabbitmq", factory), f"test-{uuid4().hex}"
    queue = RabbitMQDriver(url, namespace=namespace, queue_type="classic", priorities=True)
    driver = compose(queue, SqliteDriver(folder / "state.db", synchronous="off"))
    yield Store(url, driver.clone, driver.capabilities)


KIND = StoreKind("rabbitmq", _namespace, is_queue=True)
