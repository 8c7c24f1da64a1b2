"""One stand-in for SQS for all tests of a run, and a check after each test that it leaves nothing behind."""

from collections.abc import Callable
from typing import Any

import pytest

from asynctasq_sqs import SQSDriver
from tests.conftest import loopback_only as loopback_only
from tests.conftest import no_children_in_advance as no_children_in_advance
from tests.conftest import no_task_left_behind as no_task_left_behind
from tests.conftest import nothing_left_behind as nothing_left_behind
from tests.conftest import own_folder_and_settings as own_folder_and_settings
from tests.servers.moto_driver import SETTINGS, new_namespace
from tests.servers.shared import shared_url

SLOW = frozenset(
    {
        "concurrency.concurrent_promotion_makes_no_copies",
        "concurrency.concurrent_reclaim_makes_no_copies",
        "concurrency.producers_and_consumers_at_once",
        "due.many_due_messages_are_not_held_back",
        "enqueue.chunk_of_a_thousand",
        "enqueue.queue_names_are_kept_apart",
        "wait.several_waits_at_once",
        "wait.wait_does_not_hold_up_other_calls",
        "wait.wait_ends_at_its_timeout",
        "wait.wait_on_several_queues_wakes_for_any",
        "wait.wait_wakes_for_a_short_delay",
        "wait.wait_wakes_on_an_enqueue_by_the_same_instance",
        "wait.wait_wakes_on_retry_and_release",
        "wait.wait_wakes_when_a_lease_ends",
        "wait.wait_with_nothing_to_do_does_not_spin",
    }
)
"""Checks that take seconds on the stand-in, beside those of outages, which SQS does not know."""

MakeDriver = Callable[..., SQSDriver]


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of the stand-in. Each test uses its own namespaces."""
    return shared_url("sqs", tmp_path_factory)


@pytest.fixture
def namespace() -> str:
    """Return a namespace that no other test uses."""
    return new_namespace()


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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow checks of the suite with `--full` only."""
    for item in items:
        _, _, check = item.name.partition("[")
        if check.removesuffix("]") in SLOW or check.startswith("outage."):
            item.add_marker(pytest.mark.full)
