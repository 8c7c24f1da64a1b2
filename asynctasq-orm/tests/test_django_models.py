import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import OperationalError, connections, models, transaction

from asynctasq import App, Worker, task
from asynctasq.conformance import ResolverConformance
from asynctasq.contracts.resolver import Reference, Resolver
from asynctasq.errors import ArgumentsMismatch, NotSerializable, TaskFailed
from asynctasq_orm.django import connections as connections_module
from asynctasq_orm.django.resolver import DjangoResolver
from tests import django_setup as django_setup  # makes the settings


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
    orders: Any
    passport: Any


class Order(models.Model):  # type: ignore[misc]  # Django has no types
    objects: Any
    customer: Any = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="orders")
    note = models.CharField(max_length=20, default="")

    class Meta:
        app_label = "shop"


class Passport(models.Model):  # type: ignore[misc]  # Django has no types
    objects: Any
    holder: Any = models.OneToOneField(Customer, on_delete=models.CASCADE, related_name="passport")

    class Meta:
        app_label = "shop"


class Seat(models.Model):  # type: ignore[misc]  # Django has no types
    objects: Any
    pk = models.CompositePrimaryKey("row", "number")
    row = models.CharField(max_length=1)
    number = models.IntegerField()

    class Meta:
        app_label = "shop"


class Country(models.Model):  # type: ignore[misc]  # Django has no types
    objects: Any
    code = models.CharField(max_length=2, primary_key=True)

    class Meta:
        app_label = "shop"


class Vip(Customer):  # its own table, beside the parent's
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


ALL = (Customer, Order, Passport, Seat, Country, Vip, Device)


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


async def test_string_and_composite_keys() -> None:
    seats = [await Seat.objects.acreate(row=row, number=n) for row in "ab" for n in (1, 2)]
    country = await Country.objects.acreate(code="no")
    *found, there = await there_and_back(*seats, country)
    assert [each.pk for each in found] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert there.code == "no"


async def test_connections_are_not_kept() -> None:
    customer = await Customer.objects.acreate(name="Ada")
    await sync_to_async(connections.close_all)()
    before = {each for each in threading.enumerate() if each.name.startswith("asynctasq")}
    await there_and_back(customer)
    assert await sync_to_async(lambda: connections["default"].connection)() is None
    after = {each for each in threading.enumerate() if each.name.startswith("asynctasq")}
    assert after == before


async def test_several_databases_are_asked_at_the_same_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [
        await Customer.objects.using(name).acreate(id=1, name=name)
        for name in ("default", "archive")
    ]
    both = threading.Barrier(2)
    load = Customer.from_db

    def load_together(*args: Any) -> Any:
        both.wait(30)  # broken if the other comes only afterwards
        return load(*args)

    monkeypatch.setattr(Customer, "from_db", load_together)
    assert [row.name for row in await there_and_back(*rows)] == ["default", "archive"]


@task(relations=["customer.passport", "customer.orders"])
async def summary(order: Order) -> list[Any]:
    customer = order.customer
    return [customer.name, customer.passport.pk, [each.note for each in customer.orders.all()]]


@task(max_attempts=1)
async def wander(order: Order, customer: Customer, where: str) -> None:
    if where == "orders":
        list(customer.orders.all())
    else:
        getattr(order if where == "customer" else customer, where)


@task
def wander_in_thread(order: Order) -> list[Any]:
    return [order.customer.name, order.customer.orders.count()]


async def shop() -> Order:
    customer = await Customer.objects.acreate(name="Ada")
    await Passport.objects.acreate(id=7, holder=customer)
    order: Order = await Order.objects.acreate(customer=customer, note="first")
    return order


async def test_relations_that_a_task_names_are_there(run_task: Any) -> None:
    order = await shop()
    assert await run_task(summary(order)) == ["Ada", 7, ["first"]]
    assert await run_task(wander_in_thread(order)) == ["Ada", 1]  # as Django does
    await sync_to_async(connections.close_all)()


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("customer", "Order.customer"),
        ("passport", "Customer.passport"),
        ("orders", "Customer.orders"),
    ],
)
async def test_relation_that_was_not_named_is_named_by_the_error(
    run_task: Any, where: str, named: str
) -> None:
    order = await shop()
    with pytest.raises(TaskFailed) as raised:
        await run_task(wander(order, order.customer, where))
    assert f"{named} was not loaded with the model." in raised.value.traceback
    await sync_to_async(connections.close_all)()


@task(result_ttl=60)
async def newest() -> Customer | None:
    customer: Customer | None = await Customer.objects.order_by("-id").afirst()
    return customer


async def test_result_is_a_model(run_task: Any) -> None:
    await Customer.objects.acreate(name="Ada")
    found = await run_task(newest())
    assert (type(found), found.name) == (Customer, "Ada")
    await sync_to_async(connections.close_all)()


def open_databases() -> list[str]:
    names = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            names.append(str(each.readlink()))
    return [name for name in names if name.endswith(("default.db", "archive.db"))]


@task(max_attempts=1)
def write(customer: Customer | None, fail: bool) -> None:
    Customer.objects.create(name="another")
    if fail:
        raise ValueError("not today")


@task(max_attempts=1)
async def write_async(customer: Customer | None, fail: bool) -> None:
    await Customer.objects.acreate(name="another")
    if fail:
        raise ValueError("not today")


async def test_nothing_is_left_open_failed_tasks_or_not(app: App) -> None:
    customer = await Customer.objects.acreate(name="Ada")
    kinds: list[Any] = [write, write_async]
    for kind in kinds:
        await app.dispatch_many(kind(customer, n % 2 == 0) for n in range(50))
        await app.dispatch_many(kind(None, n % 2 == 0) for n in range(10))
    await Worker(app=app, burst=True, handle_signals=False, concurrency=4).start()
    # CONN_MAX_AGE is 0: nothing is open as soon as no task runs, before the app is closed.
    assert open_databases() == []
    assert await Customer.objects.acount() == 121
    await sync_to_async(connections.close_all)()


@task(max_attempts=1)
def break_connection() -> None:
    connections["default"].ensure_connection()
    raise OperationalError("server closed the connection unexpectedly")


async def test_in_threads_connections_are_closed_before_and_after_each_attempt(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(
        connections_module,
        "close_old_connections",
        lambda: seen.append(threading.current_thread().name),
    )
    await app.dispatch(break_connection())
    await Worker(app=app, burst=True, handle_signals=False).start()
    # execute, should_retry and failed
    assert len([name for name in seen if name.startswith("asynctasq-task")]) == 6
    await app.close()


@pytest.fixture(params=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the alias of a database on a server, with tables."""
    alias: str = request.param
    url = urlsplit(request.getfixturevalue(alias))
    known: Any = connections.settings
    known[alias].update(NAME=url.path[1:], HOST=url.hostname, PORT=url.port, USER=url.username)
    with connections[alias].schema_editor() as editor:
        for model in ALL:
            editor.create_model(model)
    connections[alias].close()
    yield alias
    with connections[alias].schema_editor() as editor:
        for model in reversed(ALL):
            editor.delete_model(model)
    connections[alias].close()


async def test_models_arrive_from_a_server(server: str, app: App, run_task: Any) -> None:
    people = [
        await Customer.objects.using(server).acreate(name="Ada"),
        await Vip.objects.using(server).acreate(name="Bob", level=3),
        await Customer.objects.acreate(name="Cyd"),
    ]
    seat = await Seat.objects.using(server).acreate(row="a", number=1)
    device = await Device.every.using(server).acreate(key=UUID(int=9))
    assert await run_task(greet(people)) == ["Customer Ada", "Vip Bob", "Customer Cyd"]
    assert await run_task(greet_in_thread(people[0])) == "Hello Ada"
    assert [each.pk for each in await there_and_back(seat, device)] == [("a", 1), UUID(int=9)]
    await app.close()  # CONN_MAX_AGE is None there: connections stay open until now
    assert await asyncio.to_thread(connections_to, server) == 1  # this one


def connections_to(alias: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_stat_activity where datname = current_database()"
            if alias == "postgres"
            else "select count(*) from information_schema.processlist where db = database()"
        )
        [count] = cursor.fetchone()
    connections[alias].close()
    return int(count)


def test_below_sync_code_the_rows_of_its_transaction_are_seen() -> None:
    block: Any = transaction.atomic()
    with block:
        customer = Customer.objects.create(name="not committed")
        [found] = async_to_sync(there_and_back)(customer)
        assert found.name == "not committed"
        transaction.set_rollback(True)
    connections.close_all()


MODELS = """
from django.db import models

class Customer(models.Model):
    name = models.CharField(max_length=20)
"""
PROJECT = """
import os
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["store"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "models.db",
                           "CONN_MAX_AGE": None}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()
from django.db import connection
import asynctasq
from store.models import Customer

@asynctasq.task(process=True)
def rename(customer: Customer, name: str) -> Customer:
    customer.name = f"{customer.name} {name}"
    customer.save()
    return customer

@asynctasq.task(process=True)
async def arename(customer: Customer, name: str) -> Customer:
    customer.name = f"{customer.name} {name}"
    await customer.asave()
    return customer

@asynctasq.task(process=True, on_missing="none")
def here(customer: Customer | None) -> tuple[bool, int]:
    return customer is None, os.getpid()

async def main():
    ada, bob, eve = [await Customer.objects.acreate(name=name) for name in ("Ada", "Bob", "Eve")]
    tasks = [rename(ada, "Smith"), arename(bob, "Jones"), here(eve)]
    handles = [await each.options(result_ttl=60).dispatch() for each in tasks]
    await eve.adelete()
    await asynctasq.Worker(burst=True, process_pool_size=1).start()
    print((await handles[0].result()).name, (await handles[1].result()).name)
    gone, pid = await handles[2].result()
    print(gone, pid != os.getpid())

if __name__ == "__main__":
    with connection.schema_editor() as editor:
        editor.create_model(Customer)
    connection.close()
    asynctasq.run(main())
"""


def test_process_tasks_have_connections_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PROJECT)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "__init__.py").touch()
    (tmp_path / "store" / "models.py").write_text(MODELS)
    done = subprocess.run(
        [sys.executable, "-W", "error", "shop.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = "Ada Smith Bob Jones\nTrue True\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


async def test_missing_row_and_unsaved_model() -> None:
    resolver = DjangoResolver()
    with pytest.raises(NotSerializable, match=r"shop\.Customer without a row: save it"):
        resolver.reference(Customer(id=3, name="Eve"))
    assert await resolver.resolve([Reference("django", "shop.Customer@default", 3)]) == [None]
    with pytest.raises(ArgumentsMismatch, match=r"shop\.Nobody"):
        await resolver.resolve([Reference("django", "shop.Nobody@default", 3)])
    await resolver.close()
    assert resolver.reference(sys) is None


ONLY_IMPORTED = """
import django.db

import asynctasq
from asynctasq import App, Worker, task


@task
async def on_the_loop() -> str:
    return "ran"


@task
def in_a_thread() -> str:
    return "ran"


async def main() -> None:
    async with App({"driver": "memory"}) as app:
        handles = [await on_the_loop().dispatch(), await in_a_thread().dispatch()]
        await Worker(app=app, burst=True, handle_signals=False).start()
        print(*[await handle.result(timeout=30) for handle in handles])


if __name__ == "__main__":
    asynctasq.run(main())
"""


def test_tasks_run_where_django_is_imported_and_not_configured(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(ONLY_IMPORTED)
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("ran ran\n", "")


class TestConformance(ResolverConformance):
    name = "django"

    def make_resolver(self) -> Resolver:
        return DjangoResolver()

    async def tear_down(self) -> None:
        await sync_to_async(connections.close_all)()

    async def make_models(self, count: int) -> Sequence[object]:
        return [await Customer.objects.acreate(name=f"customer {n}") for n in range(count)]

    def make_unsaved(self) -> object:
        return Customer(name="unsaved")

    async def delete(self, model: object) -> None:
        assert isinstance(model, Customer)
        await Customer.objects.filter(pk=model.pk).adelete()
