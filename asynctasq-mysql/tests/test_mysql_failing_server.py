"""MariaDB servers that crash, refuse, hang and end sessions, and transactions of others in the way."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from tests.chaos.server.check import Check
from tests.chaos.server.checks import CHECKS
from tests.chaos.server.refusals import (
    check_failed_statement,
    check_pool,
    check_undone_statement,
)
from tests.chaos.stores.mysql import MysqlStore

pytestmark = pytest.mark.sampled(3)

UNDONE = ("1213", "1205")
"""Dead-lock, lock time-out."""
FAILED = ("1021", "1317", "1105", "1644")
"""Disk full, interrupted, unknown error, raised by a trigger of the application."""
CONNECTIONS = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MysqlStore]:
    """Yield a server that the tests of this module disturb."""
    store = MysqlStore(tmp_path_factory.mktemp("faults") / "store")
    try:
        store.start()
        yield store
    finally:
        store.stop()


@pytest.fixture
def make_driver(server: MysqlStore) -> Callable[..., Any]:
    """Return a function that makes drivers in a namespace of the test."""
    return partial(server.make_driver, namespace=uuid4().hex)


@pytest.mark.parametrize("check", CHECKS, ids=lambda each: each.__name__)
async def test_driver_survives_a_failing_server(
    server: MysqlStore, make_driver: Callable[..., Any], check: Check
) -> None:
    await check(server, make_driver)


@pytest.mark.parametrize("code", UNDONE)
async def test_statement_that_another_transaction_undid_is_repeated(
    server: MysqlStore, make_driver: Callable[..., Any], code: str
) -> None:
    await check_undone_statement(server, make_driver, code)


@pytest.mark.parametrize("code", FAILED)
async def test_statement_that_fails_half_way_leaves_nothing(
    server: MysqlStore, make_driver: Callable[..., Any], code: str
) -> None:
    await check_failed_statement(server, make_driver, code)


async def test_calls_wait_for_one_of_few_connections(
    server: MysqlStore, make_driver: Callable[..., Any]
) -> None:
    await check_pool(server, make_driver, sessions=CONNECTIONS)
