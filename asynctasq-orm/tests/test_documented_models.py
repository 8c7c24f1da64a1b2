"""The fragments of docs/models.md run, with models such as they speak of."""

import ast
import inspect
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

import asynctasq
from asynctasq import App, Worker

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "models.md"
FRAGMENT = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(default="Oslo")


class Seller(Base):
    __tablename__ = "sellers"
    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(default="Rome")


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="Ada")


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    customer: Mapped[Customer] = relationship()
    lines: Mapped[list["Line"]] = relationship()


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))


@asynctasq.task
async def send_welcome_email(user: User) -> None:
    assert user.name == "Ada"


@pytest_asyncio.fixture
async def names(tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    """Yield the names that the fragments use; they share them, as they are read in order."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'models.db'}")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with async_sessionmaker(engine)() as session:
        session.add_all([User(id=1), Seller(id=1), Order(id=1, customer=Customer(id=1))])
        await session.commit()
    async with async_sessionmaker(engine)() as session:
        user, order, seller = [await session.get_one(each, 1) for each in (User, Order, Seller)]
    yield {
        **{each.__name__: each for each in (Base, Seller, User, Order, AsyncSession)},
        "async_sessionmaker": async_sessionmaker,
        "task": asynctasq.task,
        "asynctasq": asynctasq,
        "engine": engine,
        "user": user,
        "order": order,
        "seller": seller,
        "send_welcome_email": send_welcome_email,
    }
    await engine.dispose()


async def test_fragments_run_and_their_tasks_do_too(
    names: dict[str, Any], app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ModuleType("shop.settings")
    monkeypatch.setitem(sys.modules, "shop", ModuleType("shop"))
    monkeypatch.setitem(sys.modules, "shop.settings", settings)
    monkeypatch.setattr(asynctasq, "init", lambda given: App({"driver": "memory", **given}))
    module = ModuleType("documented")
    monkeypatch.setitem(sys.modules, "documented", module)
    vars(module).update(names)
    fragments = FRAGMENT.findall(DOCUMENT.read_text())
    # The factory first: the very first fragment dispatches.
    for fragment in sorted(fragments, key=lambda text: "_session_factory" not in text):
        if "django" not in fragment:  # set up by the tests of Django, in a process of theirs
            code = compile(fragment, str(DOCUMENT), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            answer = eval(code, vars(module))
            if inspect.isawaitable(answer):
                await answer
    shown = vars(module)
    await app.dispatch(shown["ship"](names["order"]))
    await app.dispatch(shown["settle"](names["order"], names["seller"]))
    await app.dispatch(shown["remind"](names["user"]).options(on_missing="fail"))
    await app.dispatch(shown["rename"](names["user"], "Eve").options(priority=9))
    await Worker(app=app, burst=True, handle_signals=False).start()
    async with async_sessionmaker(names["engine"])() as session:
        assert (await session.get_one(User, 1)).name == "Eve"
    counts = await (await app.driver()).count("default")
    assert (counts.dead, counts.scheduled, counts.ready) == (0, 0, 0)
