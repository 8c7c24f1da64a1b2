"""The driver keeps every rule of the contract, also when processes and the server are killed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from asynctasq.conformance import DriverConformance, run_conformance
from asynctasq.conformance.harness import RunPlan
from asynctasq.conformance.model import run_model
from asynctasq.conformance.processes import check_each_message_once, check_kills, check_stale_owner
from asynctasq.contracts.capabilities.transactions import Plan
from asynctasq.contracts.driver import Driver
from asynctasq.driverkit.packing import ID_BYTES
from asynctasq_postgres import PostgresDriver
from asynctasq_postgres.adapters.asyncpg_connections import AsyncpgAdapter


async def damage_record(url: str, message_id: bytes) -> None:
    """Overwrite what is stored of a message, or of a schedule."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "UPDATE asynctasq.schedules SET definition = '' WHERE id = $1", message_id
        )
        if len(message_id) != ID_BYTES:
            return
        for table in ("messages", "dead"):
            await connection.execute(
                f"UPDATE asynctasq.{table} SET profile = $2, payload = $2 WHERE id = $1",
                UUID(bytes=message_id),
                b"\xff" * 60,
            )
    finally:
        await connection.close()


@pytest.mark.sampled(2)
class TestPostgres(DriverConformance):
    durable = True
    capabilities = PostgresDriver.capabilities

    url: str
    namespace: str

    @pytest.fixture(autouse=True)
    def _server(self, url: str, namespace: str) -> object:
        self.url, self.namespace = url, namespace
        yield
        assert asyncio.run(_rows_left(url, namespace)) == {}, "every check deletes what it made"

    def make_driver(self) -> Driver:
        return PostgresDriver(self.url, namespace=self.namespace)

    async def damage(self, driver: Driver, message_id: bytes) -> None:
        await damage_record(self.url, message_id)

    def transaction(self, driver: Driver) -> AbstractAsyncContextManager[RunPlan]:
        return transaction_in_postgres(driver)


@asynccontextmanager
async def transaction_in_postgres(driver: Driver) -> AsyncIterator[RunPlan]:
    """Begin a transaction of an application with `asyncpg`."""
    assert isinstance(driver, PostgresDriver)
    connection = await asyncpg.connect(driver.settings.url)
    try:
        async with connection.transaction():

            async def run(plan: Plan[Any]) -> Any:
                return await AsyncpgAdapter().run(connection, plan, None)

            yield run
    finally:
        await connection.close()


async def _rows_left(url: str, namespace: str) -> dict[str, int]:
    connection = await asyncpg.connect(url)
    try:
        found = {}
        for table in ("messages", "dead", "unique_keys"):
            found[table] = await connection.fetchval(
                f"SELECT count(*) FROM asynctasq.{table} AS t JOIN asynctasq.namespaces AS n"
                " ON n.key = t.namespace WHERE n.name = $1",
                namespace,
            )
        return {table: count for table, count in found.items() if count}
    finally:
        await connection.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the slow products with `--full` only."""
    is_full = metafunc.config.getoption("full")
    if "crowded" in metafunc.fixturenames:
        metafunc.parametrize("crowded", [False, True] if is_full else [False])
    if "examples" in metafunc.fixturenames:
        metafunc.parametrize("examples", [60 if is_full else 6])


@pytest.mark.full
async def test_checks_may_share_a_namespace(
    url: str, namespace: str, crowded: bool, request: pytest.FixtureRequest
) -> None:
    report = await run_conformance(
        lambda: PostgresDriver(url, namespace=namespace),
        durable=True,
        one_namespace=True,
        only=None if request.config.getoption("full") else ["lease", "unique", "wait"],
        make_neighbour=(lambda: PostgresDriver(url, namespace=uuid4().hex)) if crowded else None,
    )
    assert report.tidy
    assert [result.check.name for result in report.failures] == []


def test_driver_behaves_like_memory(url: str, examples: int) -> None:
    run_model(lambda: PostgresDriver(url, namespace=uuid4().hex), examples=examples)


def test_each_message_goes_to_one_of_several_processes(url: str, tmp_path: Path) -> None:
    check_each_message_once(partial(PostgresDriver, url, namespace=uuid4().hex), tmp_path)


def test_killed_processes_lose_and_duplicate_nothing(url: str, tmp_path: Path) -> None:
    report = check_kills(partial(PostgresDriver, url, namespace=uuid4().hex), tmp_path, kills=5)
    assert report.completed_by_children
    assert report.completed_by_parent, "the messages ended before the kills did"


def test_token_of_a_killed_process_is_rejected(url: str, tmp_path: Path) -> None:
    check_stale_owner(partial(PostgresDriver, url, namespace=uuid4().hex), tmp_path)
