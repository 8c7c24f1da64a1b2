"""Extras, from a folder of wheels: they bring their siblings, and these work together."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Built, Environment
from tests.servers.redis import redis_url

SHOP = """
import sys
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

@asynctasq.task
async def greet(user: User) -> None:
    print("Hello", user.name)

async def main():
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with Base._asynctasq_session_factory() as session:
        session.add(user := User(id=1, name="Ada"))
        await session.commit()
        await greet(user).dispatch()
    await asynctasq.Worker(burst=True).start()

if __name__ == "__main__":
    asynctasq.init({"driver": sys.argv[1]})
    asynctasq.run(main())
"""


@pytest.mark.full
def test_models_on_redis_need_two_extras_and_nothing_else(
    core: Built,
    build: Callable[[Path], Built],
    make_environment: Callable[..., Environment],
    tmp_path: Path,
) -> None:
    siblings = [build(ROOT / f"asynctasq-{name}").wheel for name in ("orm", "redis")]
    folders = [part for wheel in siblings for part in ("--find-links", wheel.parent)]
    wanted = f"asynctasq[redis,sqlalchemy] @ {core.wheel.as_uri()}"
    environment = make_environment(*folders, wanted, "aiosqlite")

    listing = "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions()]))"
    installed = set(json.loads(environment.run("python", "-c", listing, cwd=tmp_path).stdout))
    assert {name for name in installed if name.startswith("asynctasq")} == {
        "asynctasq",
        "asynctasq-orm",
        "asynctasq-redis",
    }
    assert not {"Django", "tortoise-orm"} & installed

    (tmp_path / "shop.py").write_text(SHOP)
    with redis_url(tmp_path / "redis") as url:
        done = environment.run("python", "-W", "error", "shop.py", url, cwd=tmp_path)
    assert done.stdout == "Hello Ada\n"
