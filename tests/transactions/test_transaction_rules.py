"""Rules of dispatches in a transaction that do not depend on the client."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

import asynctasq
from asynctasq import App, State, Worker, current_task, task
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.errors import CapabilityMissing, TransactionError
from asynctasq.hookspecs import DispatchContext, hookimpl
from asynctasq.testing import Sandbox


@task
async def bill(number: int) -> int:
    return number


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


async def made(path: Path) -> None:
    """Create the tables of the queue."""
    driver = SqliteDriver(path)
    await driver.open()
    await driver.close()


@pytest.fixture
def app(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """Yield the default app. Its queue file exists, and nothing is open."""
    monkeypatch.setattr("asynctasq.runtime.default", None)
    asyncio.run(made(path))
    found = asynctasq.init({"driver": "sqlite", "sqlite": {"path": str(path)}})
    yield found
    found.close_sync()


@contextmanager
def begun(path: Path | str) -> Iterator[sqlite3.Connection]:
    """Begin a transaction with `sqlite3`, and commit it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")


class Observer:
    """Counts dispatches before and after."""

    def __init__(self) -> None:
        self.before = 0
        self.after = 0

    @hookimpl
    async def before_dispatch(self, context: DispatchContext) -> None:
        context.headers["seen"] = "yes"
        self.before += 1

    @hookimpl
    async def after_dispatch(self, context: DispatchContext) -> None:
        del context
        self.after += 1


def count(path: Path) -> int:
    """Return the number of messages in a queue file."""
    with closing(sqlite3.connect(path)) as connection:
        found: int = connection.execute("SELECT count(*) FROM messages").fetchone()[0]
        return found


def test_sync_code_needs_no_thread_and_opens_no_store(app: App, path: Path) -> None:
    with begun(path) as connection:
        handle = bill(1).dispatch_sync(transaction=connection)
        assert handle.status_sync(transaction=connection) is State.READY
        with asynctasq.transaction(connection):
            assert bill(2).dispatch_sync().cancel_sync().value == "cancelled"
        assert not app.is_open
    assert not app.is_open
    assert handle.status_sync() is State.READY


def test_sync_dispatch_refuses_an_async_client(app: App, path: Path) -> None:
    aiosqlite = pytest.importorskip("aiosqlite")

    async def use() -> None:
        async with aiosqlite.connect(path, isolation_level=None) as connection:
            await connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(TransactionError, match="sync client"):
                bill(1).dispatch_sync(transaction=connection)
            await connection.rollback()

    asyncio.run(use())


def test_other_database_is_refused_before_anything_changes(
    app: App, path: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    asyncio.run(made(other))
    with begun(other) as connection, pytest.raises(TransactionError, match="driver's database"):
        bill(1).dispatch_sync(transaction=connection)
    with begun(":memory:") as connection, pytest.raises(TransactionError, match="in memory"):
        bill(1).dispatch_sync(transaction=connection)
    with begun(other) as connection:
        connection.execute("COMMIT")
        connection.execute("ATTACH ? AS queue", (str(path),))
        connection.execute("BEGIN")
        with pytest.raises(TransactionError, match="driver's database"):
            bill(1).dispatch_sync(transaction=connection)
    assert (count(path), count(other)) == (0, 0)


def test_missing_file_says_how_to_create_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asynctasq.runtime.default", None)
    asynctasq.init({"driver": "sqlite", "sqlite": {"path": str(tmp_path / "none.db")}})
    with (
        begun(":memory:") as connection,
        pytest.raises(TransactionError, match="asynctasq migrate"),
    ):
        bill(1).dispatch_sync(transaction=connection)


def test_driver_without_transactions_names_the_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asynctasq.runtime.default", None)
    asynctasq.init({"driver": MemoryDriver()})
    with begun(":memory:") as connection, pytest.raises(CapabilityMissing, match="`outbox`"):
        bill(1).dispatch_sync(transaction=connection)


async def test_object_that_is_no_transaction_is_refused(app: App) -> None:
    with pytest.raises(TransactionError, match="connection or session of"):
        await bill(1).dispatch(transaction=object())
    await app.close()


def test_observers_are_notified_after_the_commit(app: App, path: Path) -> None:
    observer = Observer()
    app.plugins.register(observer)
    engine = create_engine(f"sqlite:///{path}")

    async def use() -> None:
        async with app:
            with Session(engine) as session:
                with session.begin():
                    session.execute(text("SELECT 1"))
                    await bill(1).dispatch(transaction=session)
                    nested = session.begin_nested()
                    await bill(2).dispatch(transaction=session)
                    nested.rollback()
                    with session.begin_nested():
                        await bill(3).dispatch(transaction=session)
                    assert (observer.before, observer.after) == (3, 0)
                session.begin()
                await bill(4).dispatch(transaction=session)
                session.rollback()
                with session.begin():
                    session.execute(text("SELECT 1"))

    asyncio.run(use())
    engine.dispose()
    assert (observer.before, observer.after) == (4, 2)
    assert count(path) == 2


def test_task_of_a_thread_completes_itself(app: App, path: Path) -> None:
    @task(name="complete_in_thread")
    def complete(number: int) -> str:
        with begun(path) as connection, asynctasq.transaction(connection):
            bill(number).dispatch_sync()
            current_task().complete_sync(result="completed")
        return "ignored"

    async def use() -> None:
        async with app:
            handle = await complete(1).dispatch()
            await Worker(app=app, burst=True, handle_signals=False).start()
            assert await handle.result(timeout=30) == "completed"

    asyncio.run(use())
    assert count(path) == 2


async def test_waiting_worker_is_woken_by_the_commit(app: App, path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    async with app:
        worker = Worker(app=app, handle_signals=False)
        working = asyncio.create_task(worker.start())
        with Session(engine) as session, session.begin():
            session.execute(text("SELECT 1"))
            handle = await bill(1).dispatch(transaction=session)
        assert await handle.result(timeout=30) == 1
        worker.stop()
        await working
    engine.dispose()


async def test_sandbox_records_at_once_and_checks_the_transaction(app: App, path: Path) -> None:
    with Sandbox() as sandbox, closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(TransactionError):
            await bill(1).dispatch(transaction=connection)
        connection.execute("BEGIN")
        handle = await bill(1).dispatch(transaction=connection)
        async with asynctasq.transaction(connection):
            await asynctasq.dispatch_many([bill(2), bill(3)])
        sandbox.assert_dispatched(bill(1))
        assert len(sandbox.dispatched) == 3
        assert await handle.status(transaction=connection) is State.READY
        await sandbox.drain()
        assert await handle.result() == 1
    assert count(path) == 0
    await app.close()


async def test_sandbox_completes_a_task_that_returns(app: App, path: Path) -> None:
    attempts: list[int] = []

    @task(name="complete_in_sandbox", retry_delay=0)
    async def complete() -> str:
        attempts.append(current_task().attempt)
        with begun(path) as connection:
            await current_task().complete(transaction=connection, result="completed")
        if len(attempts) == 1:
            raise ValueError("as if it was rolled back")
        return "ignored"

    with Sandbox() as sandbox:
        handle = await complete().dispatch()
        await sandbox.drain(until=1)
        assert await handle.result() == "completed"
    assert attempts == [0, 1]
    await app.close()


async def test_completion_needs_a_transaction(app: App) -> None:
    @task(name="complete_without")
    async def complete() -> str:
        with pytest.raises(TransactionError, match="must get a transaction"):
            await current_task().complete()
        return "returned"

    async with app:
        handle = await complete().dispatch()
        await Worker(app=app, burst=True, handle_signals=False).start()
        assert await handle.result(timeout=30) == "returned"


async def test_gathered_dispatches_cannot_share_a_connection(app: App, path: Path) -> None:
    aiosqlite: Any = pytest.importorskip("aiosqlite")
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        await connection.execute("BEGIN IMMEDIATE")
        answers = await asyncio.gather(
            *(bill(n).dispatch(transaction=connection) for n in range(2)), return_exceptions=True
        )
        await connection.commit()
    assert [type(each) for each in answers if isinstance(each, Exception)] == [TransactionError]
    assert count(path) == 1
    await app.close()
