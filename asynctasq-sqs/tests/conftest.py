"""One stand-in for SQS for all tests of a run, and a check after each test that it leaves nothing behind."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from asynctasq_sqs import SQSDriver
from tests.conftest import loopback_only as loopback_only
from tests.conftest import no_children_in_advance as no_children_in_advance
from tests.conftest import no_task_left_behind as no_task_left_behind
from tests.conftest import nothing_left_behind as nothing_left_behind
from tests.conftest import own_folder_and_settings as own_folder_and_settings
from tests.servers.moto_driver import SETTINGS
from tests.servers.shared import shared_url

MakeDriver = Callable[..., SQSDriver]


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of the stand-in. Each test uses its own namespaces."""
    return shared_url("sqs", tmp_path_factory)


@pytest.fixture
def namespace() -> str:
    """Return a namespace that no other test uses."""
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
def make_driver(url: str, namespace: str) -> MakeDriver:
    """Return a function that makes unopened drivers on the stand-in, in one namespace."""

    def make(**settings: Any) -> SQSDriver:
        chosen: dict[str, Any] = {
            **SETTINGS,
            "endpoint_url": url,
            "namespace": namespace,
            **settings,
        }
        return SQSDriver(**chosen)

    return make
