"""One server for all tests of a run, and a check after each test that it leaves nothing behind."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from asynctasq_mysql import MySQLDriver
from tests.conftest import loopback_only as loopback_only
from tests.conftest import no_children_in_advance as no_children_in_advance
from tests.conftest import no_task_left_behind as no_task_left_behind
from tests.conftest import nothing_left_behind as nothing_left_behind
from tests.conftest import own_folder_and_settings as own_folder_and_settings
from tests.servers.shared import shared_url
from tests.stores import store_kinds

MakeDriver = Callable[..., MySQLDriver]


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a database with tables that tests share; each test uses its own namespaces."""
    [kind] = [kind for kind in store_kinds() if kind.name == "mysql"]
    with kind.open(tmp_path_factory.getbasetemp(), tmp_path_factory) as store:
        yield store.url.partition("?")[0]


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of the server that tests share."""
    return shared_url("mysql", tmp_path_factory)


@pytest.fixture
def namespace() -> str:
    """Return a namespace that no other test uses."""
    return f"test-{uuid4().hex}"


@pytest.fixture
def make_driver(url: str, namespace: str) -> MakeDriver:
    """Return a function that makes unopened drivers on the shared server, in one namespace."""

    def make(**settings: Any) -> MySQLDriver:
        settings.setdefault("namespace", namespace)
        return MySQLDriver(url, **settings)

    return make
