"""One server for all tests of a run, and a check after each test that it leaves nothing behind."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from asynctasq_rabbitmq import RabbitMQDriver
from tests.conftest import loopback_only as loopback_only
from tests.conftest import no_children_in_advance as no_children_in_advance
from tests.conftest import no_task_left_behind as no_task_left_behind
from tests.conftest import nothing_left_behind as nothing_left_behind
from tests.conftest import own_folder_and_settings as own_folder_and_settings
from tests.servers.shared import shared_url

MakeDriver = Callable[..., RabbitMQDriver]


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of the server that tests share."""
    return shared_url("rabbitmq", tmp_path_factory)


@pytest.fixture
def namespace() -> str:
    """Return a namespace that no other test uses."""
    return f"test-{uuid4().hex}"


@pytest.fixture
def make_driver(url: str, namespace: str) -> MakeDriver:
    """Return a function that makes unopened drivers on the shared server, in one namespace."""

    def make(**settings: Any) -> RabbitMQDriver:
        settings.setdefault("namespace", namespace)
        settings.setdefault("queue_type", "classic")
        return RabbitMQDriver(url, **settings)

    return make


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run most of the checks that wait in real time with `--full` only."""
    for item in items:
        if "[real_time." in item.name:
            item.add_marker(pytest.mark.sampled(4))
