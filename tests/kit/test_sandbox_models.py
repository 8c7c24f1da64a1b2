"""Models in a sandbox: references travel, and assertions compare the models themselves."""

from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import asynctasq
from asynctasq.testing import Sandbox


class Base(DeclarativeBase):
    _asynctasq_session_factory: Any


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@asynctasq.task
async def greet(user: User) -> str:
    return user.name


async def test_models_are_compared_and_fetched(asynctasq_sandbox: Sandbox, tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/models.db")
    Base._asynctasq_session_factory = async_sessionmaker(engine, expire_on_commit=False)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with Base._asynctasq_session_factory() as session:
        session.add_all([ada := User(id=1, name="Ada"), bob := User(id=2, name="Bob")])
        await session.commit()
    handle = await greet(ada).dispatch()
    asynctasq_sandbox.assert_dispatched(greet(ada), times=1)
    asynctasq_sandbox.assert_not_dispatched(greet(bob))
    await asynctasq_sandbox.drain()
    assert await handle.result(timeout=30) == "Ada"
    await engine.dispose()
