import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import django
import pytest
from asgiref.sync import sync_to_async
from django.apps import AppConfig
from django.conf import settings
from django.db import connections

from asynctasq import task
from asynctasq.contracts.resolver import Reference
from asynctasq.errors import ArgumentsMismatch, NotSerializable
from asynctasq_orm.django.resolver import DjangoResolver


class ShopConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    name = __name__
    label = "shop"
    path = str(Path(__file__).parent)


if not settings.configured:
    settings.configure(
        INSTALLED_APPS=[f"{__name__}.ShopConfig"],
        DATABASES={
            name: {"ENGINE": "django.db.backends.sqlite3", "NAME": "replaced by each test"}
            for name in ("default", "archive")
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()

from django.db import models  # noqa: E402  needs the settings


class Hidden(models.Manager):  # type: ignore[misc]  # Django has no types
    def get_queryset(self) -> Any:
        return super().get_queryset().none()


class Named(models.Model):  # type: ignore[misc]  # Django has no types
    name = models.CharField(max_length=20, db_column="label")

    class Meta:
        abstract = True
        app_label = "shop"


class Customer(Named):
    objects = models.Manager()


class Vip(Customer):  # a table of its own, beside its parent's
    level = models.IntegerField()

    class Meta(Named.Meta):
        pass


class Guest(Customer):
    class Meta(Named.Meta):
        proxy = True


class Device(models.Model):  # type: ignore[misc]  # Django has no types
    key = models.UUIDField(primary_key=True, default=uuid4)
    objects = Hidden()
    every = models.Manager()

    class Meta:
        app_label = "shop"


ALL = (Customer, Vip, Device)


@pytest.fixture(autouse=True)
def databases(tmp_path: Path) -> Iterator[None]:
    """Tables in two new files."""

    def make() -> None:
        for name in ("default", "archive"):
            connections[name].close()
            connections[name].settings_dict["NAME"] = tmp_path / f"{name}.db"
            with connections[name].schema_editor() as editor:
                for model in ALL:
                    editor.create_model(model)
            connections[name].close()

    make()
    yield
    connections.close_all()


@task
async def greet(people: list[Customer]) -> list[str]:
    return [f"{type(each).__name__} {each.name}" for each in people]


@task
def greet_in_thread(customer: Customer) -> str:
    return f"Hello {customer.name}"


async def there_and_back(*rows: Any) -> list[Any]:
    resolver = DjangoResolver()
    references = [resolver.reference(row) for row in rows]
    found = await resolver.resolve([each for each in references if each is not None])
    await resolver.close()
    return found


async def test_models_arrive(run_task: Any) -> None:
    people = [
        await Customer.objects.acreate(name="Ada"),
        await Vip.objects.acreate(name="Bob", level=3),
        await Guest.objects.acreate(name="Cyd"),
    ]
    assert await run_task(greet(people)) == ["Customer Ada", "Vip Bob", "Guest Cyd"]
    assert await run_task(greet_in_thread(people[0])) == "Hello Ada"
    await sync_to_async(connections.close_all)()


async def test_rows_come_from_the_database_that_they_are_in() -> None:
    here = await Customer.objects.acreate(id=1, name="here")
    there = await Customer.objects.using("archive").acreate(id=1, name="there")
    assert [row.name for row in await there_and_back(here, there)] == ["here", "there"]


async def test_uuid_key_and_rows_that_the_default_manager_hides() -> None:
    device = await Device.every.acreate(key=UUID(int=7))
    [found] = await there_and_back(device)
    assert found.key == UUID(int=7)


async def test_connections_are_not_kept() -> None:
    await there_and_back(await Customer.objects.acreate(name="Ada"))
    assert await sync_to_async(lambda: connections["default"].connection)() is None


async def test_missing_row_and_unsaved_model() -> None:
    resolver = DjangoResolver()
    with pytest.raises(NotSerializable, match=r"shop\.Customer without a row: save it"):
        resolver.reference(Customer(id=3, name="Eve"))
    assert await resolver.resolve([Reference("django", "shop.Customer@default", 3)]) == [None]
    with pytest.raises(ArgumentsMismatch, match=r"shop\.Nobody"):
        await resolver.resolve([Reference("django", "shop.Nobody@default", 3)])
    await resolver.close()
    assert resolver.reference(sys) is None
