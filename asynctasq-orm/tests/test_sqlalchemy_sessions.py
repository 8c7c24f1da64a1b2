"""`current_session()`, relations that a task names, and models in results."""

import asyncio
import gc
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    sessionmaker,
)

from asynctasq import App, Worker, current_task, task
from asynctasq.errors import ModelNotFound, TaskFailed
from asynctasq_orm.sqlalchemy import current_session


class Base(DeclarativeBase):
    _asynctasq_session_factory: Any


class SyncBase(DeclarativeBase):
    _asynctasq_session_factory: Any


class City(Base):
    __tablename__ = "cities"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Person(Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    notes: Mapped[str] = mapped_column(default="none", deferred=True)
    city_id: Mapped[int | None] = mapped_column(ForeignKey("cities.id"))
    city: Mapped[City | None] = relationship()
    pets: Mapped[list["Pet"]] = relationship(back_populates="owner")


class Pet(Base):
    __tablename__ = "pets"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    owner: Mapped[Person] = relationship(back_populates="pets")


class Thing(SyncBase):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Household(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    head: Person
    others: dict[str, Person]


class Database:
    """Two engines on one file; what is asked and checked out of the async one."""

    def __init__(self, path: Path) -> None:
        self.engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        self.sync_engine = create_engine(f"sqlite:///{path}")
        self.factory = async_sessionmaker(self.engine)
        self.sync_factory = sessionmaker(self.sync_engine)

    @property
    def out(self) -> int:
        pools: list[Any] = [self.engine.sync_engine.pool, self.sync_engine.pool]
        return sum(int(pool.checkedout()) for pool in pools)

    def name_of(self, table: str, key: int) -> Any:
        with self.sync_engine.connect() as connection:
            return connection.scalar(text(f"select name from {table} where id = {key}"))


@pytest_asyncio.fixture
async def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """With a person in a city, her pet, and a thing."""
    made = Database(tmp_path / "people.db")
    monkeypatch.setattr(Base, "_asynctasq_session_factory", made.factory, raising=False)
    monkeypatch.setattr(SyncBase, "_asynctasq_session_factory", made.sync_factory, raising=False)
    Base.metadata.create_all(made.sync_engine)
    SyncBase.metadata.create_all(made.sync_engine)
    with Session(made.sync_engine) as session:
        session.add(Person(id=1, name="Ada", city=City(id=1, name="Oslo"), pets=[Pet(id=1)]))
        session.add(Person(id=2, name="Bob"))
        session.add(Thing(id=1, name="cup"))
        session.commit()
    yield made
    await made.engine.dispose()
    made.sync_engine.dispose()


async def person(database: Database, key: int = 1) -> Person:
    async with database.factory() as session:
        return await session.get_one(Person, key)


def thing(database: Database) -> Thing:
    with database.sync_factory() as session:
        return session.get_one(Thing, 1)


@task(max_attempts=1)
async def rename(person: Person, name: str, fail: bool = False) -> bool:
    person.name = name
    session: AsyncSession = current_session()
    assert person in session
    assert (await asyncio.gather(same_session()))[0] is session
    await session.flush()
    if fail:
        raise ValueError(name)
    await session.commit()
    await session.refresh(person)
    return person.name == name


async def same_session() -> Any:
    return current_session()


@task(max_attempts=1)
def rename_thing(thing: Thing, name: str, fail: bool = False) -> bool:
    thing.name = name
    session: Session = current_session()
    assert thing in session
    session.flush()
    if fail:
        raise ValueError(name)
    session.commit()
    return current_session() is session


async def test_models_are_in_the_session_and_what_is_committed_stays(
    database: Database, run_task: Any
) -> None:
    assert await run_task(rename(await person(database), "Eve"))
    assert database.name_of("people", 1) == "Eve"
    assert await run_task(rename_thing(thing(database), "mug"))
    assert database.name_of("things", 1) == "mug"
    assert database.out == 0


async def test_what_was_not_committed_is_rolled_back_and_the_session_closed(
    database: Database, run_task: Any
) -> None:
    for made in (
        rename(await person(database), "Eve", fail=True),
        rename_thing(thing(database), "mug", fail=True),
    ):
        with pytest.raises(TaskFailed, match="ValueError"):
            await run_task(made)
    assert (database.name_of("people", 1), database.name_of("things", 1)) == ("Ada", "cup")
    assert database.out == 0


@task
async def count(of: str) -> Any:
    base = {"Base": Base, "Person": Person, "": None, "SyncBase": SyncBase}[of]
    session = current_session(base)
    found = session.execute(text("select count(*) from people"))
    return (found if isinstance(session, Session) else await found).scalar()


async def test_session_of_a_task_without_models(database: Database, run_task: Any) -> None:
    assert [await run_task(count(each)) for each in ("Base", "Person", "SyncBase")] == [2, 2, 2]
    with pytest.raises(TaskFailed, match=r"has no model of SQLAlchemy. .*current_session\(Base\)"):
        await run_task(count(""))
    assert database.out == 0


@task
def touch(person: Person | None, thing: Thing | None = None) -> None:
    current_session()


async def test_session_that_cannot_be_is_a_clear_error(
    database: Database, run_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TaskFailed, match="creates async sessions, but this task is sync"):
        await run_task(touch(await person(database)))
    with pytest.raises(TaskFailed, match=r"several session factories \(Person, Thing\)"):
        await run_task(touch(await person(database), thing(database)))

    async def factory() -> AsyncSession:
        return database.factory()

    monkeypatch.setattr(Base, "_asynctasq_session_factory", factory)
    with pytest.raises(TaskFailed, match="is async, but current_session"):
        await run_task(rename(await person(database), "Eve"))
    monkeypatch.setattr(Base, "_asynctasq_session_factory", None)
    with pytest.raises(TaskFailed, match="no session factory is known"):
        await run_task(count("Person"))
    with pytest.raises(LookupError, match="inside a running task"):
        current_session()


@task(relations=["city", "pets.owner", "notes"])
async def visit(person: Person) -> list[Any]:
    assert person.city is not None
    return [person.city.name, [pet.owner.name for pet in person.pets], person.notes]


@task(relations={"person": ["pets"]})
def visit_in_thread(person: Person, pets: list[Pet]) -> int:
    return len(person.pets) + len(pets)


@task(relations=["city.mayor"])
async def visit_wrongly(person: Person) -> None:
    pass


@task(max_attempts=1)
async def forget(person: Person, wanted: str, attach: bool) -> None:
    if attach:
        current_session()
    getattr(person, wanted)


async def test_relations_that_a_task_names_are_there(database: Database, run_task: Any) -> None:
    assert await run_task(visit(await person(database))) == ["Oslo", ["Ada"], "none"]
    async with database.factory() as session:
        pet = await session.get_one(Pet, 1)
    assert await run_task(visit_in_thread(await person(database), [pet])) == 2
    with pytest.raises(TaskFailed, match=r"'city.mayor', and .*City has no relation 'mayor'"):
        await run_task(visit_wrongly(await person(database)))
    assert database.out == 0


@pytest.mark.parametrize("wanted", ["city", "pets", "notes"])
@pytest.mark.parametrize("attach", [False, True], ids=["detached", "attached"])
@pytest.mark.filterwarnings(
    "ignore:coroutine 'Connection.cursor' was never awaited"
)  # SQLAlchemy's
async def test_relation_that_was_not_named_is_named_by_the_error(
    database: Database,
    run_task: Any,
    wanted: str,
    attach: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "asynctasq")  # pytest keeps records, with their tracebacks
    with pytest.raises(TaskFailed) as raised:
        await run_task(forget(await person(database), wanted, attach))
    advice = f"Person.{wanted} was not loaded with the model."
    assert advice in raised.value.traceback
    assert f"@task(relations=['{wanted}'])" in raised.value.traceback
    gc.collect()  # what the warning is about


@task
async def household(people: Household) -> dict[str, Any]:
    return {"people": people, "names": [people.head.name, people.others["first"].name]}


async def test_models_travel_inside_of_pydantic_models_there_and_back(
    database: Database, run_task: Any
) -> None:
    people = Household(head=await person(database), others={"first": await person(database, 2)})
    found = await run_task(household(people))
    assert found["names"] == ["Ada", "Bob"]
    assert (found["people"].head.name, found["people"].others["first"].name) == ("Ada", "Bob")
    assert database.out == 0


@task(result_ttl=60)
async def newcomer(name: str) -> Person:
    session: AsyncSession = current_session(Base)
    session.add(made := Person(id=9, name=name))
    await session.commit()
    return made


async def test_result_is_the_row_as_it_is_when_it_is_read(database: Database, app: App) -> None:
    handle = await app.dispatch(newcomer("Cyd"))
    await Worker(app=app, burst=True, handle_signals=False).start()
    with database.sync_engine.begin() as connection:
        connection.execute(text("update people set name = 'Dan' where id = 9"))
    assert (await handle.result(timeout=30)).name == "Dan"
    with database.sync_engine.begin() as connection:
        connection.execute(text("delete from people where id = 9"))
    with pytest.raises(ModelNotFound, match="Person has no row with the key 9"):
        await handle.result(timeout=30)


@task
async def hold(person: Person) -> list[object]:
    return [each.name for each in current_task().models if isinstance(each, Person)]


async def test_task_may_ask_for_all_its_models(database: Database, run_task: Any) -> None:
    assert await run_task(hold(await person(database))) == ["Ada"]


PROJECT = """
import os
from contextlib import suppress
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
import asynctasq
from asynctasq.errors import TaskFailed
from asynctasq_orm.sqlalchemy import current_session

class Base(DeclarativeBase):
    pass

class SyncBase(DeclarativeBase):
    pass

class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

class Thing(SyncBase):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

engine = create_async_engine("sqlite+aiosqlite:///models.db")
sync_engine = create_engine("sqlite:///models.db")
Base._asynctasq_session_factory = async_sessionmaker(engine)
SyncBase._asynctasq_session_factory = sessionmaker(sync_engine)

@asynctasq.task(process=True, max_attempts=1)
async def rename(user: User, name: str) -> User:
    user.name = name
    await current_session().flush()
    if name == "fail":
        raise ValueError(name)
    await current_session().commit()
    return user

@asynctasq.task(process=True, max_attempts=1)
def rename_thing(thing: Thing, name: str) -> Thing:
    thing.name = name
    current_session().flush()
    if name == "fail":
        raise ValueError(name)
    current_session().commit()
    return thing

@asynctasq.task(process=True, on_missing="skip")
def never(thing: Thing) -> str:
    return "ran"

@asynctasq.task(process=True)
def checked_out() -> list:
    return [engine.sync_engine.pool.checkedout(), sync_engine.pool.checkedout(), os.getpid()]

async def main():
    Base.metadata.create_all(sync_engine)
    SyncBase.metadata.create_all(sync_engine)
    with sync_engine.begin() as connection:
        connection.execute(text("insert into users values (1, 'Ada')"))
        connection.execute(text("insert into things values (1, 'cup'), (2, 'gone')"))
    async with Base._asynctasq_session_factory() as session:
        user = await session.get_one(User, 1)
    with SyncBase._asynctasq_session_factory() as session:
        thing, gone = session.get_one(Thing, 1), session.get_one(Thing, 2)
    with sync_engine.begin() as connection:
        connection.execute(text("delete from things where id = 2"))
    tasks = [rename(user, "fail"), rename_thing(thing, "fail"), rename(user, "Eve"),
             rename_thing(thing, "mug"), never(gone), checked_out()]
    handles = [await each.options(result_ttl=60).dispatch() for each in tasks]
    await asynctasq.Worker(burst=True, process_pool_size=1).start()
    for handle in handles[:2]:
        try:
            await handle.result(timeout=30)
        except TaskFailed as error:
            print(error.error_type)
    print((await handles[2].result()).name, (await handles[3].result()).name)
    print(await handles[4].result(), (await handles[5].result())[:2])
    await engine.dispose()
    sync_engine.dispose()

if __name__ == "__main__":
    asynctasq.run(main())
"""


def test_process_tasks_have_sessions_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PROJECT)
    done = subprocess.run(
        [sys.executable, "-W", "error", "shop.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = "ValueError\nValueError\nEve mug\nNone [0, 0]\n"
    assert (done.returncode, done.stdout) == (0, said), done.stderr


@pytest.mark.full
async def test_nothing_is_left_open_after_a_thousand_tasks(
    database: Database, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the loop and in threads, half of them failing; see `test_process_tasks...` for processes."""
    somebody, something = await person(database), thing(database)
    closed: list[Session] = []
    close = Session.close

    def counted(session: Session) -> None:
        closed.append(session)
        close(session)

    monkeypatch.setattr(Session, "close", counted)
    for number in range(250):
        fail = number % 2 == 0
        kinds: list[Any] = [
            rename(somebody, "Ada", fail),
            rename_thing(something, "cup", fail),
            hold(somebody),
            use_and_cancel(somebody),
        ]
        await app.dispatch_many(kinds)
    await Worker(app=app, burst=True, handle_signals=False).start()
    assert len(closed) >= 1000
    assert database.out == 0
    await app.close()
    gc.collect()
    assert database.engine.sync_engine.pool.checkedin() == 0  # type: ignore[attr-defined]  # of a queue
    assert database.sync_engine.pool.checkedin() == 0  # type: ignore[attr-defined]  # of a queue


@task(max_attempts=1)
async def use_and_cancel(person: Person) -> None:
    await current_session().refresh(person)
    raise asyncio.CancelledError
