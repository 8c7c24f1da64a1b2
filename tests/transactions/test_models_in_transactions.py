"""Models as arguments, with the queue in the same database: one transaction has the row and the message."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, models
from django.db import transaction as django_transaction
from sqlalchemy import NullPool, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tortoise import Tortoise
from tortoise.context import TortoiseContext
from tortoise.transactions import in_transaction

from asynctasq import Worker, task
from tests import django_setup as django_setup  # makes the settings
from tests.transactions.clients import (
    AsyncSessionClient,
    DjangoClient,
    RollBack,
    SessionClient,
    TortoiseClient,
)
from tests.transactions.conftest import Shop, in_full
from tests.transactions.tortoise_models import Parcel

SUFFIX = f"{os.getpid()}"
"""Processes of one run share a server."""


class Base(DeclarativeBase):
    _asynctasq_session_factory: Any


class Purchase(Base):
    __tablename__ = f"purchases_{SUFFIX}"
    number: Mapped[int] = mapped_column(primary_key=True)


class Booking(models.Model):  # type: ignore[misc]  # Django has no types
    objects: Any
    number = models.IntegerField(primary_key=True)

    class Meta:
        app_label = "shop"
        db_table = f"bookings_{SUFFIX}"


@task
async def number_of(model: Any) -> int:
    found: int = model.number
    return found


async def _result_of(shop: Shop, dispatched: list[Any]) -> None:
    """Run the tasks; the one of the transaction that was rolled back is not there."""
    assert await shop.waiting() == 1
    await Worker(app=shop.app, burst=True, handle_signals=False).start()
    assert await dispatched[-1].result(timeout=30) == 7


@pytest.mark.parametrize(
    "client_name",
    [in_full("sqlite: async session"), "postgres: async session", "mysql: async session"],
)
async def test_sqlalchemy_model(shop: Shop) -> None:
    assert isinstance(shop.client, AsyncSessionClient)
    url = shop.client.url()
    sync_engine = create_engine(SessionClient(shop.client.place).url(), poolclass=NullPool)
    engine = create_async_engine(url, poolclass=NullPool)
    Base._asynctasq_session_factory = async_sessionmaker(engine)
    Base.metadata.create_all(sync_engine)
    dispatched: list[Any] = []
    try:
        for number, rolls_back in ((6, True), (7, False)):
            with suppress(RollBack):
                async with AsyncSession(engine) as session, session.begin():
                    purchase = Purchase(number=number)
                    session.add(purchase)
                    await session.flush()
                    dispatched.append(await number_of(purchase).dispatch(transaction=session))
                    if rolls_back:
                        raise RollBack
        await _result_of(shop, dispatched)
    finally:
        Base.metadata.drop_all(sync_engine)
        sync_engine.dispose()
        await engine.dispose()


@pytest.mark.parametrize(
    "client_name", ["sqlite: django", "postgres: django", in_full("mysql: django")]
)
async def test_django_model(shop: Shop) -> None:
    client = shop.client
    assert isinstance(client, DjangoClient)
    dispatched: list[Any] = []

    def with_tables(change: Callable[[Any], None]) -> None:
        with connections[client.alias].schema_editor() as editor:
            change(editor)

    def book(number: int, *, rolls_back: bool) -> None:
        block: Any = django_transaction.atomic(using=client.alias)
        with suppress(RollBack), block:
            booking = Booking.objects.using(client.alias).create(number=number)
            dispatched.append(number_of(booking).dispatch_sync(transaction=client.alias))
            if rolls_back:
                raise RollBack

    async with client.idle():
        await sync_to_async(with_tables)(lambda editor: editor.create_model(Booking))
        try:
            await sync_to_async(book)(6, rolls_back=True)
            await sync_to_async(book)(7, rolls_back=False)
            await _result_of(shop, dispatched)
        finally:
            await sync_to_async(with_tables)(lambda editor: editor.delete_model(Booking))
    await sync_to_async(connections.close_all)()


@pytest.mark.parametrize(
    "client_name", ["sqlite: tortoise", in_full("postgres: tortoise"), in_full("mysql: tortoise")]
)
async def test_tortoise_model(shop: Shop, client_name: str) -> None:
    assert isinstance(shop.client, TortoiseClient)
    dispatched: list[Any] = []
    async with TortoiseContext() as made:
        name = client_name.partition(":")[
            0
        ]  # Tortoise caches statements by name, and databases differ
        app = {"models": ["tests.transactions.tortoise_models"], "default_connection": name}
        await made.init(config={"connections": {name: shop.client.url()}, "apps": {"models": app}})
        connection = Tortoise.get_connection(name)
        table = Parcel._meta.db_table
        await connection.execute_script(f"CREATE TABLE {table} (number INTEGER PRIMARY KEY)")
        try:
            for number, rolls_back in ((6, True), (7, False)):
                with suppress(RollBack):
                    async with in_transaction(name) as transaction:
                        parcel = await Parcel.create(number=number, using_db=transaction)
                        dispatched.append(await number_of(parcel).dispatch(transaction=transaction))
                        if rolls_back:
                            raise RollBack
            await _result_of(shop, dispatched)
        finally:
            await connection.execute_script(f"DROP TABLE {table}")
