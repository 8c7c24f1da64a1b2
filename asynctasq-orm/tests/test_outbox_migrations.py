"""Alembic and Django create the tables of the outbox, as `asynctasq migrate` does."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections
from django.test.utils import override_settings
from sqlalchemy import MetaData, create_engine, inspect

from asynctasq.contracts import OutboxEntry
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.message import new_id
from asynctasq_mysql import MySQLDriver
from asynctasq_orm.alembic import create_outbox, include_object
from asynctasq_orm.django.outbox.tables import create_statements
from asynctasq_postgres import PostgresDriver
from tests import django_setup as django_setup  # makes the settings
from tests.servers.databases import own_database
from tests.servers.shared import shared_url


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Yield the path of a new file, or the URL of a new database on a server."""
    if request.param == "sqlite":
        yield str(tmp_path / "application.db")
        return
    with own_database(shared_url(request.param, tmp_path_factory)) as url:
        yield url


def driver_of(place: str) -> Any:
    """Return an unopened driver of the database."""
    drivers: dict[str, Callable[..., Any]] = {"postgresql": PostgresDriver, "mysql": MySQLDriver}
    return drivers.get(urlsplit(place).scheme, SqliteDriver)(place)


def engine_url(place: str) -> str:
    """Return the URL of the database for SQLAlchemy."""
    scheme = urlsplit(place).scheme
    clients = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
    return place.replace(scheme, clients[scheme], 1) if scheme else f"sqlite:///{place}"


async def check_tables(driver: Any) -> None:
    """Check that the outbox works, and that `asynctasq migrate` has nothing to do."""
    outbox = driver.outbox()
    await outbox.open()
    try:
        assert await outbox.migrate() == []
        entry = OutboxEntry(new_id(), "", b"message")
        assert await outbox.add([entry]) == [True]
        [row] = await outbox.take("", holder=b"relay" * 3, lease=10.0, limit=10)
        assert (row.id, row.message) == (entry.id, entry.message)
    finally:
        await outbox.close()


async def test_alembic_creates_the_tables(place: str) -> None:
    engine = create_engine(engine_url(place))
    with engine.begin() as connection:
        operations = Operations(MigrationContext.configure(connection))
        create_outbox(operations, driver_of(place))
    engine.dispose()
    await check_tables(driver_of(place))


def test_alembic_leaves_the_tables_alone(tmp_path: Path) -> None:
    place = str(tmp_path / "application.db")
    engine = create_engine(engine_url(place))
    with engine.begin() as connection:
        create_outbox(Operations(MigrationContext.configure(connection)), driver_of(place))
        assert "asynctasq_outbox" in inspect(connection).get_table_names()
        options = {"include_object": include_object}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, MetaData()) == []
    engine.dispose()


@pytest.fixture
def alias(place: str) -> Iterator[str]:
    """Yield the alias of the database in Django."""
    parts = urlsplit(place)
    name = {"postgresql": "postgres", "mysql": "mariadb"}.get(parts.scheme, "default")
    settings = connections[name].settings_dict
    before = dict(settings)
    if parts.scheme:
        settings.update(
            NAME=parts.path[1:], HOST=parts.hostname, PORT=parts.port, USER=parts.username
        )
    else:
        settings["NAME"] = place
    yield name
    connections[name].close()
    settings.update(before)


async def test_django_creates_the_tables(place: str, alias: str) -> None:
    def migrate() -> None:
        with override_settings(INSTALLED_APPS=["asynctasq_orm.django.outbox"]):
            call_command("migrate", "asynctasq_outbox", database=alias, verbosity=0)
        connections[alias].close()

    await asyncio.to_thread(migrate)
    await check_tables(driver_of(place))


def test_django_takes_the_driver_of_its_settings() -> None:
    with override_settings(ASYNCTASQ_OUTBOX=PostgresDriver(schema="shop_tasks")):
        assert any('"shop_tasks"."outbox"' in each for each in create_statements("postgresql"))
    with (
        override_settings(ASYNCTASQ_OUTBOX="postgresql://localhost"),
        pytest.raises(ImproperlyConfigured, match="must be a driver instance"),
    ):
        create_statements("postgresql")
    with pytest.raises(ImproperlyConfigured, match="got oracle"):
        create_statements("oracle")
