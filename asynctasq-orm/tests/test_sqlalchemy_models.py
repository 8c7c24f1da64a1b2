import dataclasses
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import CHAR, Column, Engine, ForeignKey, Integer, String, create_engine, event, text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    DeclarativeMeta,
    Mapped,
    MappedAsDataclass,
    Session,
    make_transient,
    mapped_column,
    registry,
    relationship,
    sessionmaker,
)
from sqlmodel import Field, SQLModel

from asynctasq import App, Worker, task
from asynctasq.app import runtime_of
from asynctasq.conformance import ResolverConformance
from asynctasq.contracts.resolver import Reference, Resolver
from asynctasq.errors import (
    ArgumentsMismatch,
    ConfigurationError,
    ModelNotFound,
    NotSerializable,
    TaskFailed,
)
from asynctasq.retry import RunPolicy
from asynctasq_orm.sqlalchemy import create_worker_session_factory
from asynctasq_orm.sqlalchemy.resolver import SqlalchemyResolver


class Base(DeclarativeBase):
    _asynctasq_session_factory: Any
    type_annotation_map = {str: String(40)}  # noqa: RUF012  as SQLAlchemy wants it


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Order(Base):
    __tablename__ = "orders"
    number: Mapped[int] = mapped_column("order_no", primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    lines: Mapped[list["Line"]] = relationship()


class Line(Base):
    __tablename__ = "lines"
    order: Mapped[int] = mapped_column("order_id", ForeignKey("orders.order_no"), primary_key=True)
    code: Mapped[str] = mapped_column("line_code", primary_key=True)
    amount: Mapped[int]


class Device(Base):
    __tablename__ = "devices"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)


class Animal(Base):
    __tablename__ = "animals"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012  as SQLAlchemy wants it


class Dog(Animal):  # joined
    __tablename__ = "dogs"
    id: Mapped[int] = mapped_column("dog_id", ForeignKey("animals.id"), primary_key=True)
    tricks: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012  as SQLAlchemy wants it


class Cat(Animal):  # single table
    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012  as SQLAlchemy wants it


class Code(Base):
    __tablename__ = "codes"
    code: Mapped[str] = mapped_column(CHAR(5), primary_key=True)


class Point(MappedAsDataclass, Base):
    __tablename__ = "points"
    id: Mapped[int] = mapped_column(primary_key=True)
    x: Mapped[int]


class OldBase(metaclass=DeclarativeMeta):
    __abstract__ = True
    registry = registry()
    metadata = registry.metadata

    def __init__(self, **columns: Any) -> None:
        for name, value in columns.items():
            setattr(self, name, value)


class Old(OldBase):
    __tablename__ = "olds"
    code = Column(String(10), primary_key=True)
    size = Column(Integer)


class Hero(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=40)


class Orphan(DeclarativeBase):
    pass


class Forgotten(Orphan):
    __tablename__ = "forgotten"
    id: Mapped[int] = mapped_column(primary_key=True)


@dataclasses.dataclass
class Basket:
    owner: User
    lines: list[Line]


class Queries:
    """The statements that the engine has run, and its open connections."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.asked: list[str] = []
        event.listen(engine.sync_engine, "before_cursor_execute", self._hear)

    def _hear(self, _c: object, _u: object, statement: str, *_: object) -> None:
        self.asked.append(statement)

    @property
    def out(self) -> int:
        pool: Any = self.engine.sync_engine.pool
        return int(pool.checkedout())


@pytest.fixture(scope="session", params=["sqlite", "postgres", "mariadb"])
def server_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of the server, or an empty string for SQLite."""
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue(request.param)
    return url.replace("postgresql:", "postgresql+asyncpg:").replace("mysql:", "mysql+aiomysql:")


@pytest.fixture
def database_url(server_url: str, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    return server_url or f"sqlite+aiosqlite:///{tmp_path / 'models.db'}"


@pytest_asyncio.fixture
async def engine(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(database_url)
    factory = async_sessionmaker(made)  # expires on commit
    for base in (Base, OldBase, SQLModel):
        monkeypatch.setattr(base, "_asynctasq_session_factory", factory, raising=False)
        async with made.begin() as connection:
            await connection.run_sync(base.metadata.create_all)
    yield made
    for base in (Base, OldBase, SQLModel):
        async with made.begin() as connection:
            await connection.run_sync(base.metadata.drop_all)
    await made.dispose()


@pytest_asyncio.fixture
async def session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    async with async_sessionmaker(engine)() as made:
        yield made


@pytest.fixture
def queries(engine: AsyncEngine) -> Queries:
    return Queries(engine)


async def saved(session: AsyncSession, *models: Any) -> None:
    session.add_all(models)
    await session.commit()


async def there_and_back(*models: object) -> list[Any]:
    resolver = SqlalchemyResolver()
    references = [resolver.reference(model) for model in models]
    found = await resolver.resolve([each for each in references if each is not None])
    await resolver.close()
    return found


@task
async def describe(basket: Basket, by_name: dict[str, Any], old: Old) -> list[Any]:
    return [
        basket.owner.name,
        [line.amount for line in basket.lines],
        basket.owner is by_name["again"],
        old.size,
    ]


async def test_models_arrive_wherever_they_stand(
    session: AsyncSession, app: App, run_task: Any, queries: Queries
) -> None:
    user, old = User(id=7, name="Ada"), Old(code="a", size=3)
    order = Order(number=1, lines=[Line(code="x", amount=1), Line(code="y", amount=2)])
    await saved(session, user, old, order)
    await session.refresh(order, ["lines"])
    basket = Basket(user, list(order.lines))
    await session.commit()

    assert await run_task(describe(basket, {"again": user}, old=old)) == ["Ada", [1, 2], True, 3]
    assert queries.out == 0


async def test_dispatch_asks_the_database_nothing(
    session: AsyncSession, app: App, queries: Queries
) -> None:
    user = User(id=7, name="Ada")
    await saved(session, user)  # expired now
    queries.asked.clear()
    body = runtime_of(app).codec.encode_call((user,), {}, RunPolicy(), task="t")
    assert queries.asked == []
    assert b"Ada" not in body


async def test_there_is_one_query_for_each_class(session: AsyncSession, queries: Queries) -> None:
    users = [User(id=n, name=str(n)) for n in range(1, 6)]
    orders = [Order(number=n) for n in range(1, 6)]
    await saved(session, *users, *orders)
    queries.asked.clear()

    found = await there_and_back(
        *(each for pair in zip(users, orders, strict=True) for each in pair)
    )

    assert [getattr(each, "id", None) for each in found[::2]] == [1, 2, 3, 4, 5]
    assert [each.number for each in found[1::2]] == [1, 2, 3, 4, 5]
    assert len([each for each in queries.asked if each.startswith("SELECT")]) == 2
    assert queries.out == 0  # the test's own session has committed


async def test_every_kind_of_key_and_inheritance(
    session: AsyncSession, engine: AsyncEngine
) -> None:
    await saved(session, Order(number=3))
    models: list[Any] = [
        Line(order=3, code="b", amount=5),
        Device(id=UUID(int=5)),
        Dog(id=1, tricks=4),
        Cat(id=2),
        Animal(id=3, kind="animal"),
        Point(id=1, x=9),
        Hero(id=1, name="Joan"),
    ]
    await saved(session, *models)

    line, device, dog, cat, animal, point, hero = await there_and_back(*models)

    assert (line.order, line.code, line.amount) == (3, "b", 5)
    assert device.id == UUID(int=5)
    assert (type(dog), dog.tricks) == (Dog, 4)
    assert (type(cat), type(animal)) == (Cat, Animal)
    assert (point.x, hero.name) == (9, "Joan")


async def test_key_that_the_database_spells_otherwise_is_found(
    session: AsyncSession, engine: AsyncEngine
) -> None:
    if engine.dialect.name == "sqlite":  # pads nothing, but may ignore case
        async with engine.begin() as connection:
            await connection.execute(text("drop table codes"))
            await connection.execute(
                text("create table codes (code text collate nocase primary key)")
            )
    await saved(session, Code(code="ab"), Code(code="cd"))
    other = "ab" if engine.dialect.name == "postgresql" else "AB"  # padded, or in any case
    references = [Reference("sqlalchemy", f"{__name__}:Code", key) for key in (other, "cd")]
    ab, cd = await SqlalchemyResolver().resolve(references)
    assert isinstance(ab, Code)
    assert isinstance(cd, Code)
    assert (ab.code.strip(), cd.code.strip()) == ("ab", "cd")
    wanted = [Reference("sqlalchemy", f"{__name__}:Code", "xy")]
    assert await SqlalchemyResolver().resolve(wanted) == [None]


async def test_detached_model_has_its_key(session: AsyncSession) -> None:
    user = User(id=7, name="Ada")
    await saved(session, user)
    session.expunge(user)
    [found] = await there_and_back(user)
    assert found.name == "Ada"


async def test_models_without_a_row_are_refused(session: AsyncSession, app: App) -> None:
    user = User(id=7, name="Ada")
    with pytest.raises(NotSerializable, match=r"basket.*neither saved nor attached.*commit it"):
        await describe(basket=user, by_name={}, old=user).dispatch()  # type: ignore[arg-type]  # refused
    session.add(user)
    with pytest.raises(NotSerializable, match="flush the session"):
        await describe(user, {}, user).dispatch()  # type: ignore[arg-type]  # refused
    await session.commit()
    await session.delete(user)
    await session.commit()
    with pytest.raises(NotSerializable, match="a deleted"):
        SqlalchemyResolver().reference(user)
    make_transient(user)
    with pytest.raises(NotSerializable, match="neither saved"):
        SqlalchemyResolver().reference(user)


async def test_model_without_a_session_factory_is_refused() -> None:
    with pytest.raises(NotSerializable, match=r"Forgotten.*_asynctasq_session_factory = async"):
        SqlalchemyResolver().reference(Forgotten(id=1))


def test_class_that_no_worker_would_find_is_refused() -> None:
    class Local(DeclarativeBase):
        _asynctasq_session_factory = dict

    class Row(Local):
        __tablename__ = "locals"
        id: Mapped[int] = mapped_column(primary_key=True)

    with pytest.raises(NotSerializable, match="inside a function"):
        SqlalchemyResolver().reference(Row(id=1))


async def test_missing_row_is_named(session: AsyncSession, run_task: Any) -> None:
    user = User(id=7, name="Ada")
    await saved(session, user)
    wanted = [Reference("sqlalchemy", f"{__name__}:User", key) for key in (7, 8, 9)]
    found = await SqlalchemyResolver().resolve(wanted)
    assert [each and type(each) for each in found] == [User, None, None]
    session.expunge(user)
    await session.delete(await session.get_one(User, 7))
    await session.commit()
    with pytest.raises(TaskFailed) as raised:
        await run_task(greet(user))
    assert raised.value.error_type == "asynctasq.errors.ModelNotFound"


@task
async def greet(user: User) -> str:
    return f"Hello {user.name}"


@task(retry_on=lambda error: not isinstance(error, ModelNotFound))
async def greet_if_there(user: User) -> str:
    return f"Hello {user.name}"


async def test_task_may_give_up_at_once_when_the_row_is_gone(
    session: AsyncSession, app: App
) -> None:
    await saved(session, user := User(id=7, name="Ada"))
    made = greet_if_there(user)
    handle = await app.dispatch(made.options(max_attempts=5))
    await session.delete(user)
    await session.commit()
    await Worker(app=app, burst=True, handle_signals=False).start()
    with pytest.raises(TaskFailed, match="User has no row with the key 7"):
        await handle.result(timeout=30)


@task
def greet_in_thread(user: User) -> str:
    return f"Hello {user.name}"


async def test_database_that_is_away_fails_the_attempt(
    session: AsyncSession, engine: AsyncEngine, run_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = User(id=7, name="Ada")
    await saved(session, user)
    away = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    monkeypatch.setattr(Base, "_asynctasq_session_factory", async_sessionmaker(away))
    with pytest.raises(TaskFailed) as raised:
        await run_task(greet(user))
    assert raised.value.error_type == "ConnectionRefusedError"


async def test_references_that_do_not_fit_are_for_another_release(engine: AsyncEngine) -> None:
    resolver = SqlalchemyResolver()
    for model, key, why in (
        (f"{__name__}:Basket", 1, "has not mapped"),
        (f"{__name__}:Nothing", 1, "no class of that name"),
        (f"{__name__}:User", [1, 2], "has 1 columns"),
    ):
        with pytest.raises(ArgumentsMismatch, match=why):
            await resolver.resolve([Reference("sqlalchemy", model, key)])


async def test_sync_task_gets_its_model(session: AsyncSession, run_task: Any) -> None:
    await saved(session, user := User(id=7, name="Ada"))
    assert await run_task(greet_in_thread(user)) == "Hello Ada"


class Left(DeclarativeBase):
    _asynctasq_session_factory: Any


class Right(DeclarativeBase):
    _asynctasq_session_factory: Any


class Here(Left):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class There(Right):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@pytest.fixture
def two_files(tmp_path: Path) -> Iterator[dict[type[DeclarativeBase], Engine]]:
    engines: dict[type[DeclarativeBase], Engine] = {}
    for base, model in ((Left, Here), (Right, There)):
        engines[base] = create_engine(f"sqlite:///{tmp_path / model.__name__}.db")
        base.metadata.create_all(engines[base])
        with Session(engines[base]) as session:
            session.add(model(id=1, name=model.__name__))
            session.commit()
    yield engines
    for engine in engines.values():
        engine.dispose()


async def async_session_of(engine: Engine) -> Session:
    return Session(engine)


@pytest.mark.parametrize("kind", ["sessionmaker", "function", "async function", "binds"])
async def test_each_database_is_asked_whatever_makes_the_sessions(
    kind: str,
    two_files: dict[type[DeclarativeBase], Engine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for base, engine in two_files.items():
        factories: dict[str, Any] = {
            "sessionmaker": sessionmaker(engine),
            "function": partial(Session, engine),
            "async function": partial(async_session_of, engine),
            "binds": sessionmaker(binds=two_files),
        }
        monkeypatch.setattr(base, "_asynctasq_session_factory", factories[kind], raising=False)
    wanted = [Reference("sqlalchemy", f"{__name__}:{name}", 1) for name in ("Here", "There")]

    here, there = await SqlalchemyResolver().resolve([*wanted])

    assert isinstance(here, Here)
    assert isinstance(there, There)
    assert [here.name, there.name] == ["Here", "There"]
    assert [engine.pool.checkedout() for engine in two_files.values()] == [0, 0]  # type: ignore[attr-defined]  # of a QueuePool


async def test_factory_that_makes_no_session_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Left, "_asynctasq_session_factory", dict, raising=False)
    with pytest.raises(ConfigurationError, match="returned a dict"):
        await SqlalchemyResolver().resolve([Reference("sqlalchemy", f"{__name__}:Here", 1)])


async def test_worker_session_factory_needs_only_an_address(
    two_files: dict[type[DeclarativeBase], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    factory = create_worker_session_factory(two_files[Left].url, echo=False)
    monkeypatch.setattr(Left, "_asynctasq_session_factory", factory, raising=False)
    resolver = SqlalchemyResolver()
    [here] = await resolver.resolve([Reference("sqlalchemy", f"{__name__}:Here", 1)])
    assert isinstance(here, Here)
    engine = factory.kw["bind"]
    assert engine.dialect.driver == "aiosqlite"
    assert engine.pool.checkedin() == 1
    await resolver.close()
    assert engine.pool.checkedin() == 0


PROJECT = """
import os, sqlite3
from contextlib import closing
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
import asynctasq

class Base(DeclarativeBase):
    pass

class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

engine = create_async_engine("sqlite+aiosqlite:///models.db")
Base._asynctasq_session_factory = async_sessionmaker(engine)

@asynctasq.task(process=True)
def greet(user: User) -> tuple[str, int]:
    return f"Hello {user.name}", os.getpid()

async def main():
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with Base._asynctasq_session_factory() as session:
        session.add(user := User(id=1, name="Ada"))
        await session.commit()
        handle = await greet(user).options(result_ttl=60).dispatch()
    await asynctasq.Worker(burst=True, process_pool_size=1).start()
    said, pid = await handle.result(timeout=30)
    print(said, pid != os.getpid())
    await engine.dispose()

if __name__ == "__main__":
    asynctasq.run(main())
"""


def test_process_task_loads_its_model_in_the_child(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PROJECT)
    done = subprocess.run(
        [sys.executable, "shop.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello Ada True\n", "")


def test_using_one_orm_imports_no_other() -> None:
    program = (
        "import sys, asynctasq, asynctasq_orm\n"
        "assert not {'sqlalchemy', 'django', 'tortoise'} & set(sys.modules)\n"
        "import sqlalchemy\n"
        "from asynctasq import App\n"
        "from asynctasq.app import runtime_of\n"
        "runtime_of(App({'driver': 'memory'})).resolvers.refer(object())\n"
        "assert 'asynctasq_orm.sqlalchemy.resolver' in sys.modules\n"
        "assert not {'django', 'tortoise'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


def _open_files() -> list[str]:
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            found.append(str(each.readlink()))
    return found


@task
async def fail(user: User) -> None:
    raise ValueError(user.name)


@task
def fail_in_thread(user: User) -> None:
    raise ValueError(user.name)


async def test_nothing_stays_open_after_many_tasks_failed_ones_too(
    tmp_path: Path, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'many.db'}")
    monkeypatch.setattr(Base, "_asynctasq_session_factory", async_sessionmaker(made), raising=False)
    async with made.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with async_sessionmaker(made)() as session:
        users = [User(id=n, name=str(n)) for n in range(25)]
        await saved(session, *users)
        kinds: list[Any] = [greet, greet_in_thread, fail, fail_in_thread]
        for kind in kinds:
            await app.dispatch_many(kind(user).options(max_attempts=1) for user in users)
        await session.delete(users[0])
        await session.commit()

    await Worker(app=app, burst=True, handle_signals=False).start()

    pool: Any = made.sync_engine.pool
    assert pool.checkedout() == 0
    await app.close()
    assert pool is not made.sync_engine.pool  # disposed of
    assert [each for each in threading.enumerate() if "aiosqlite" in repr(each).lower()] == []
    opened = _open_files()
    assert not [name for name in opened if "many.db" in name]


class TestConformance(ResolverConformance):
    name = "sqlalchemy"

    def make_resolver(self) -> Resolver:
        return SqlalchemyResolver()

    async def set_up(self) -> None:
        self.engine = create_async_engine(f"sqlite+aiosqlite:///{self.folder / 'models.db'}")
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        Base._asynctasq_session_factory = self.sessions
        async with self.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

    async def tear_down(self) -> None:
        del Base._asynctasq_session_factory
        await self.engine.dispose()

    async def make_models(self, count: int) -> Sequence[object]:
        users = [User(name=f"user {number}") for number in range(count)]
        async with self.sessions() as session:
            session.add_all(users)
            await session.commit()
        return users

    def make_unsaved(self) -> object:
        return User(name="unsaved")

    async def delete(self, model: object) -> None:
        async with self.sessions() as session:
            await session.delete(model)
            await session.commit()
