"""Runs tasks with models in every mode, half of them failing, and counts what they have left open.

Asked for `tasks` of each mode; answers how they ended, the sessions that hold a connection then, in the
worker and in children, and the files of the database that the worker has open when its app is closed.
"""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

import asynctasq
from asynctasq import App, Worker, task
from asynctasq.errors import TaskFailed
from asynctasq_orm.sqlalchemy import current_session
from benchmarks.programs.protocol import answer, asked

DATABASE = "left_open.db"
engine = create_async_engine(f"sqlite+aiosqlite:///{DATABASE}")
sync_engine = create_engine(f"sqlite:///{DATABASE}")


class Base(DeclarativeBase):
    _asynctasq_session_factory: Any = async_sessionmaker(engine)


class SyncBase(DeclarativeBase):
    _asynctasq_session_factory: Any = sessionmaker(sync_engine)


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)


class Thing(SyncBase):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)


async def use(user: User, fail: bool) -> None:
    await current_session().refresh(user)
    if fail:
        raise ValueError("as asked")


def use_sync(thing: Thing, fail: bool) -> None:
    current_session().refresh(thing)
    if fail:
        raise ValueError("as asked")


OPTIONS: Any = {"max_attempts": 1, "result_ttl": 600}
MODES: Any = {
    "loop": task(**OPTIONS, name="loop")(use),
    "thread": task(**OPTIONS, name="thread")(use_sync),
    "process": task(**OPTIONS, name="process", process=True)(use),
    "process_sync": task(**OPTIONS, name="process_sync", process=True)(use_sync),
}


def checked_out() -> int:
    pools: list[Any] = [engine.sync_engine.pool, sync_engine.pool]
    return sum(int(pool.checkedout()) for pool in pools)


def open_files() -> int:
    names = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            names.append(str(each.readlink()))
    return sum(name.endswith(DATABASE) for name in names)


@task(process=True, result_ttl=600, name="look")
def look() -> int:
    return checked_out()


async def main() -> None:
    count = asked()["tasks"]
    Base.metadata.create_all(sync_engine)
    SyncBase.metadata.create_all(sync_engine)
    with SyncBase._asynctasq_session_factory(expire_on_commit=False) as session:
        session.add(thing := Thing(id=1))
        session.commit()
    async with Base._asynctasq_session_factory(expire_on_commit=False) as session:
        session.add(user := User(id=1))
        await session.commit()
    ends: Counter[str] = Counter()
    in_children = 0
    app = App({"driver": "sqlite", "sqlite": {"path": "queue.db"}})
    async with app:
        for name, kind in MODES.items():
            model = thing if name in {"thread", "process_sync"} else user
            handles = await app.dispatch_many(kind(model, n % 2 == 0) for n in range(count))
            last = await app.dispatch(look())  # in the child of those before it
            await Worker(app=app, burst=True, handle_signals=False, process_pool_size=1).start()
            in_children += await last.result(timeout=60)
            for handle in handles:
                try:
                    await handle.result(timeout=60)
                    ends["returned"] += 1
                except TaskFailed as error:
                    ends[error.error_type] += 1
        in_worker = checked_out()
    answer(ends=ends, sessions_left=in_worker + in_children, files_left=open_files())


if __name__ == "__main__":
    asynctasq.run(main())
