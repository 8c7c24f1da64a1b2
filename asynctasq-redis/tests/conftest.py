"""One server for all tests of a process, and a check after each test that it leaves nothing behind."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis

from asynctasq_redis import RedisDriver
from tests.conftest import loopback_only as loopback_only
from tests.conftest import no_children_in_advance as no_children_in_advance
from tests.conftest import no_task_left_behind as no_task_left_behind
from tests.conftest import nothing_left_behind as nothing_left_behind
from tests.conftest import own_folder_and_settings as own_folder_and_settings
from tests.servers.redis import redis_url

MakeDriver = Callable[..., RedisDriver]


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of the server that tests share; each test uses its own namespaces."""
    with redis_url(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
def namespace() -> str:
    """Return a namespace that no other test uses."""
    return f"test-{uuid4().hex}"


@pytest.fixture
def client(url: str) -> Iterator["redis.Redis"]:
    """Yield a client of the shared server."""
    with redis.Redis.from_url(url) as made:
        yield made


@pytest.fixture
def make_driver(url: str, namespace: str) -> MakeDriver:
    """Return a function that makes unopened drivers on the shared server, in one namespace."""

    def make(**settings: Any) -> RedisDriver:
        settings.setdefault("namespace", namespace)
        return RedisDriver(url, **settings)

    return make
