"""One server for all tests of a process, and a check after each test that it leaves nothing behind."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from asynctasq_postgres import PostgresDriver
from tests.conftest import loopback_only as loopback_only
from tests.conftest import no_children_in_advance as no_children_in_advance
from tests.conftest import no_task_left_behind as no_task_left_behind
from tests.conftest import nothing_left_behind as nothing_left_behind
from tests.conftest import own_folder_and_settings as own_folder_and_settings
from tests.servers.databases import own_database
from tests.servers.shared import shared_url

MakeDriver = Callable[..., PostgresDriver]


@pytest.fixture(scope="session")
def empty_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of the server that tests share."""
    return shared_url("postgres", tmp_path_factory)


@pytest.fixture(scope="session")
def url(empty_url: str) -> Iterator[str]:
    """Yield the URL of a database with tables; each test uses its own namespaces."""
    with own_database(empty_url) as found:
        asyncio.run(PostgresDriver(found).migrate())
        yield found


@pytest.fixture
def namespace() -> str:
    """Return a namespace that no other test uses."""
    return f"test-{uuid4().hex}"


@pytest.fixture
def make_driver(url: str, namespace: str) -> MakeDriver:
    """Return a function that makes unopened drivers on the shared server, in one namespace."""

    def make(**settings: Any) -> PostgresDriver:
        settings.setdefault("namespace", namespace)
        return PostgresDriver(url, **settings)

    return make
