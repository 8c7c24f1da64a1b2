"""The cost of models as arguments: `python benchmarks/orm.py`. It runs on SQLite, a fast database."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack
from sqlalchemy import MetaData, event, select
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from asynctasq.contracts.resolver import Reference
from asynctasq.resolvers import Resolvers
from asynctasq.retry import RunPolicy
from asynctasq.serializers.codec import Codec
from asynctasq.serializers.msgpack_serializer import MsgpackSerializer
from asynctasq_orm.sqlalchemy.resolver import SqlalchemyResolver

COLUMNS = 39
DISPATCHES = 10_000
ROUNDS = 15
LOADS = 60
TASKS = 1000


class Base(DeclarativeBase):
    metadata = MetaData()
    _asynctasq_session_factory: Any


def model(name: str) -> Any:
    """Return a class of 40 columns."""
    columns = {f"column_{n}": mapped_column() for n in range(COLUMNS)}
    annotations = {f"column_{n}": Mapped[str] for n in range(COLUMNS)}
    members = {
        "__tablename__": name.lower(),
        "__module__": __name__,
        "__annotations__": {"id": Mapped[int], **annotations},
        "id": mapped_column(primary_key=True),
        **columns,
    }
    return type(name, (Base,), members)


Order = model("Order")
User = model("User")


def row(cls: Any, key: int) -> Any:
    return cls(id=key, **{f"column_{n}": f"some value {n}" for n in range(COLUMNS)})


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = create_async_engine(f"sqlite+aiosqlite:///{Path(folder) / 'models.db'}")
        factory = Base._asynctasq_session_factory = async_sessionmaker(engine)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with factory(expire_on_commit=False) as session:
            rows = [row(cls, key) for key in range(5) for cls in (Order, User)]
            session.add_all(rows)
            await session.commit()
        resolver = SqlalchemyResolver()
        resolvers = Resolvers(lambda: ["sqlalchemy"], lambda _: resolver)
        serializer = MsgpackSerializer()
        codec = Codec(serializer, find_serializer=lambda _: serializer, resolvers=resolvers)
        size(codec, rows[0])
        dispatch(engine, codec, rows[0])
        await load(engine, resolvers, rows)
        await resolvers.close()
    left_open()


def size(codec: Codec, one: Any) -> None:
    columns = {name: value for name, value in vars(one).items() if not name.startswith("_")}
    dump = len(msgpack.packb(columns))
    empty = len(codec.encode_call((None,), {}, RunPolicy(), task="t"))
    referred = len(codec.encode_call((one,), {}, RunPolicy(), task="t")) - empty
    whole = referred + empty
    print(
        f"a model of 40 columns: {referred} bytes, {1 - referred / dump:.0%} less than {dump}; the whole "
        f"message's payload: {whole} bytes, {1 - whole / dump:.0%} less"
    )


def dispatch(engine: AsyncEngine, codec: Codec, one: Any) -> None:
    asked = queries(engine)

    def encode(argument: object) -> float:
        policy = RunPolicy()
        start = time.process_time()
        for _ in range(DISPATCHES):
            codec.encode_call((argument,), {}, policy, task="t")
        return (time.process_time() - start) / DISPATCHES * 1e6

    extra = statistics.median(encode(one) - encode(one.id) for _ in range(5))
    print(f"a dispatch with a model: {extra:.1f} us more than with its key, {len(asked)} queries")


async def load(engine: AsyncEngine, resolvers: Resolvers, rows: list[Any]) -> None:
    references = [reference for one in rows if (reference := resolvers.refer(one)) is not None]
    asked = queries(engine)
    await resolvers.resolve(references)
    print(f"{len(rows)} models of two classes: {len(asked)} queries")

    async def bare() -> None:
        async with Base._asynctasq_session_factory() as session:
            for cls in (Order, User):
                (await session.scalars(select(cls).where(cls.id.in_(range(5))))).all()

    ratios = [
        await spent(lambda: _resolve(resolvers, references)) / await spent(bare)
        for _ in range(ROUNDS)
    ]
    print(f"loading them costs {statistics.median(ratios):.2f} times a bare session's queries")


def left_open() -> None:
    """Report the resources that a thousand tasks of each mode leave open."""
    program = Path(__file__).parent / "programs" / "models_left_open.py"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(program), json.dumps({"tasks": TASKS})],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(program.parents[2]), *sys.path])},
            capture_output=True,
            text=True,
            check=True,
        )
    told = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{TASKS} tasks of each mode, half of them failing ({told['ends']}): "
        f"{told['sessions_left']} sessions and {told['files_left']} files left open"
    )


async def _resolve(resolvers: Resolvers, references: list[Reference]) -> None:
    await resolvers.resolve(references)


async def spent(work: Callable[[], Awaitable[None]]) -> float:
    """Seconds of processor time."""
    start = time.process_time()
    for _ in range(LOADS):
        await work()
    return time.process_time() - start


def queries(engine: AsyncEngine) -> list[str]:
    """Return a list that collects the statements of the engine from now on."""
    asked: list[str] = []

    def hear(_c: object, _u: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", hear)
    return asked


if __name__ == "__main__":
    asyncio.run(main())
