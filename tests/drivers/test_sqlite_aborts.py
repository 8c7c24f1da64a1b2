"""An error at each statement of each operation: nothing is lost or stranded when the call is repeated."""

import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from asynctasq.conformance.harness import MOMENT
from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.errors import DriverError
from asynctasq.message import (
    Delivery,
    Lease,
    Message,
    OnConflict,
    State,
    Unique,
    UniqueUntil,
    new_id,
)
from asynctasq.settlement import Cancelled, Complete, ErrorInfo, Fail, Reason, Release, Retry

ERROR = ErrorInfo("shop.OutOfStock", "no more", "Traceback")
SECONDS = 30.0
NEVER = 1 << 30


class Saboteur:
    """Lets the statement with a certain number fail, before or after SQLite has run it."""

    def __init__(self) -> None:
        self.disarm()

    def disarm(self) -> None:
        self.arm(NEVER, after=False, code="SQLITE_IOERR")

    def arm(self, statement: int, *, after: bool, code: str) -> None:
        self.count = 0
        self.statement, self.after, self.code = statement, after, code

    def run(self, execute: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self.count += 1
        if self.count != self.statement:
            return execute(*arguments)
        if self.after:
            execute(*arguments)
        error = sqlite3.OperationalError("sabotage")
        error.sqlite_errorname = self.code
        raise error


@pytest.fixture
def saboteur(monkeypatch: pytest.MonkeyPatch) -> Saboteur:
    """Owns every connection that drivers open during the test."""
    saboteur = Saboteur()

    class Connection(sqlite3.Connection):
        def execute(self, *arguments: Any) -> Any:
            return saboteur.run(super().execute, arguments)

        def executemany(self, *arguments: Any) -> Any:
            return saboteur.run(super().executemany, arguments)

        def executescript(self, *arguments: Any) -> Any:
            return saboteur.run(super().executescript, arguments)

    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *args, **kwargs: connect(*args, factory=Connection, **kwargs)
    )
    return saboteur


class Scene:
    """A store with messages in every state, and an owner that has leases."""

    def __init__(self, driver: SqliteDriver) -> None:
        self.driver = driver
        self.ids: set[bytes] = set()
        """All that was accepted, or may have been."""
        self.leases: list[Lease] = []
        self.dead: list[bytes] = []
        self.gone: set[bytes] = set()
        """That may have been deleted."""
        self.first, self.second = self.message(), self.message()
        """For the operation."""

    def message(self, **fields: Any) -> Message:
        message = Message(new_id(), "emails", "app.send", b"body", **fields)
        self.ids.add(message.id)
        return message

    async def reserve(self, limit: int = 100, *, owner: str = "w") -> list[Delivery]:
        return await self.driver.reserve({"emails": limit}, limit=limit, owner=owner, lease=SECONDS)

    async def prepare(self) -> None:
        driver = self.driver
        self.ids -= {self.first.id, self.second.id}
        waiting = [self.message(max_lost=99) for _ in range(14)]
        await driver.enqueue(waiting)
        self.leases = [delivery.lease for delivery in await self.reserve(12)]
        self.leases.pop()  # the answer of its reserve was lost
        await driver.cancel([self.leases[0].id])
        self.dead = [lease.id for lease in self.leases[8:]]
        await driver.settle([Fail(lease, Reason.FAILED, ERROR) for lease in self.leases[8:]])
        self.leases = self.leases[:8]
        self.unique = self.message(delay=500.0, unique=Unique("key"))
        self.period = self.message(
            delay=500.0, unique=Unique("period", UniqueUntil.PERIOD, period=900.0)
        )
        self.expiring = self.message(expires=50.0)
        await driver.enqueue([self.unique, self.period, self.expiring])

    async def expect_all_accounted_for(self) -> None:
        """Each message is in one state, and the counts are those of the states."""
        ids = sorted(self.ids - self.gone)
        snapshots = await self.driver.find(ids)
        outcomes = await self.driver.results(ids)
        lost = [
            one
            for one, snapshot, outcome in zip(ids, snapshots, outcomes, strict=True)
            if snapshot is None and outcome is None
        ]
        assert not lost
        counts = await self.driver.count("emails")
        all_found = await self.driver.find(sorted(self.ids))
        states = [snapshot.state for snapshot in all_found if snapshot is not None]
        for state in (State.READY, State.SCHEDULED, State.LEASED, State.DEAD):
            assert getattr(counts, state.value) == states.count(state), state

    async def expect_nothing_stranded(self) -> None:
        """Once all leases have ended, every message that is not dead can be run to its end."""
        await self.driver.resume("emails")
        self.driver.clock_offset += 1000.0
        for lease in (MOMENT, SECONDS):
            await self.driver.reserve({"none": 1}, limit=1, owner="other", lease=lease)
        while deliveries := await self.reserve(owner="last"):
            await self.driver.settle([Complete(delivery.lease) for delivery in deliveries])
        counts = await self.driver.count("emails")
        assert (counts.ready, counts.scheduled, counts.leased) == (0, 0, 0)
        outcomes = await self.driver.results(sorted(self.ids - self.gone))
        assert all(outcome is not None for outcome in outcomes)
        keys = [Unique("key"), Unique("period", UniqueUntil.PERIOD, period=900.0)]
        answers = await self.driver.enqueue([self.message(unique=unique) for unique in keys])
        assert [answer.created for answer in answers] == [True, True], "a unique key is stranded"


Operation: TypeAlias = Callable[[Scene], Coroutine[Any, Any, Any]]
"""Each is called twice: it makes its messages with the ids that it made the first time."""


async def enqueue_plain(scene: Scene) -> Any:
    return await scene.driver.enqueue([scene.first, scene.second])


async def enqueue_unique(scene: Scene) -> Any:
    return await scene.driver.enqueue(
        [
            scene.first,
            Message(scene.second.id, "emails", "t", b"", unique=Unique("other key")),
        ]
    )


async def enqueue_replacing(scene: Scene) -> Any:
    unique = Unique("key", on_conflict=OnConflict.REPLACE)
    scene.ids.discard(scene.second.id)
    return await scene.driver.enqueue([Message(scene.first.id, "emails", "t", b"", unique=unique)])


async def enqueue_extending(scene: Scene) -> Any:
    unique = Unique("period", UniqueUntil.PERIOD, OnConflict.EXTEND, 800.0)
    newcomer = Message(scene.first.id, "emails", "t", b"", delay=100.0, unique=unique)
    scene.ids -= {scene.first.id, scene.second.id}
    return await scene.driver.enqueue([newcomer])


async def enqueue_to_a_new_queue(scene: Scene) -> Any:
    scene.ids -= {scene.first.id, scene.second.id}
    return await scene.driver.enqueue([Message(scene.first.id, "new", "t", b"")])


async def reserve_ready(scene: Scene) -> Any:
    return await scene.reserve()


async def reserve_what_must_not_run_twice(scene: Scene) -> Any:
    await scene.driver.enqueue([Message(scene.first.id, "emails", "t", b"", max_lost=0)])
    return await scene.reserve()


async def reserve_after_a_while(scene: Scene) -> Any:
    """Promotes, expires, and finds an outage."""
    return await scene.reserve(owner="another")


async def reserve_after_the_pause(scene: Scene) -> Any:
    """Reclaims."""
    for lease in (MOMENT, SECONDS):
        await scene.driver.reserve({"none": 1}, limit=1, owner="other", lease=lease)


async def reserve_damaged(scene: Scene) -> Any:
    return await scene.reserve()


async def extend(scene: Scene) -> Any:
    return await scene.driver.extend("w", scene.leases, lease=SECONDS)


async def end_owner(scene: Scene) -> Any:
    return await scene.driver.end_owner("w")


async def settle_completions(scene: Scene) -> Any:
    return await scene.driver.settle(
        [Complete(lease, b"result", about=b"about") for lease in scene.leases]
    )


async def settle_every_kind(scene: Scene) -> Any:
    first, *rest = scene.leases
    return await scene.driver.settle(
        [
            Release(first),  # flagged
            Complete(rest[0], b"result"),
            Retry(rest[1], 0.0, ERROR),
            Retry(rest[2], 5.0, ERROR),
            Fail(rest[3], Reason.FAILED, ERROR, about=b"about"),
            Release(rest[4], 5.0, mismatched=True),
            Cancelled(rest[5], about=b"about"),
            Complete(rest[5]),  # lost
        ]
    )


async def cancel(scene: Scene) -> Any:
    return await scene.driver.cancel([scene.unique.id, scene.leases[1].id, new_id()])


async def requeue(scene: Scene) -> Any:
    return await scene.driver.requeue(scene.dead)


async def requeue_edited(scene: Scene) -> Any:
    message = Message(scene.dead[0], "emails", "t", b"new", unique=Unique("a key"), priority=9)
    return await scene.driver.requeue_edited(message)


async def delete_dead(scene: Scene) -> Any:
    scene.gone |= set(scene.dead)
    return await scene.driver.delete_dead(scene.dead)


async def purge(scene: Scene) -> Any:
    found = await scene.driver.find(sorted(scene.ids))
    scene.gone |= {s.message.id for s in found if s and s.state is not State.LEASED}
    return await scene.driver.purge("emails", states=[State.READY, State.SCHEDULED, State.DEAD])


async def pause_and_resume(scene: Scene) -> Any:
    await scene.driver.pause("emails")
    assert "emails" in await scene.driver.paused()
    await scene.driver.resume("emails")


async def tell_of_workers_and_progress(scene: Scene) -> Any:
    worker = WorkerInfo("w", "host", 1, 0.0, ("emails",), 1, 0, "1")
    await scene.driver.record_worker(worker, ttl=60.0)
    await scene.driver.set_progress([(lease, b"half") for lease in scene.leases])
    assert await scene.driver.workers() == [worker]
    await scene.driver.forget_worker("w")


async def look(scene: Scene) -> Any:
    for state in (State.READY, State.SCHEDULED, State.RUNNING, State.DEAD):
        await scene.driver.browse(state, task="app.*", limit=3)
    await scene.driver.dead_letters(task="app.send", error="OutOfStock", limit=3)
    await scene.driver.queues(bound=5)
    await scene.driver.known(sorted(scene.ids))
    await scene.driver.cancel_requests("w")
    return await scene.driver.results(sorted(scene.ids))


async def open_again(scene: Scene) -> Any:
    await scene.driver.close()
    await scene.driver.open()


OPERATIONS: tuple[Operation, ...] = (
    enqueue_plain, enqueue_unique, enqueue_replacing, enqueue_extending, enqueue_to_a_new_queue,
    reserve_ready, reserve_what_must_not_run_twice, reserve_after_a_while, reserve_after_the_pause,
    reserve_damaged, extend, end_owner, settle_completions, settle_every_kind, cancel, requeue,
    requeue_edited, delete_dead, purge, pause_and_resume, tell_of_workers_and_progress, look, open_again,
)  # fmt: skip
LATE: dict[Operation, float] = {
    reserve_after_a_while: 600.0,
    reserve_after_the_pause: 100.0,
    extend: SECONDS + 1.0,
}
"""Seconds by which the clock is moved before an operation."""


async def stage(path: Path, operation: Operation, name: str) -> Scene:
    """Prepare a store in a namespace of its own."""
    driver = SqliteDriver(path, namespace=name, synchronous="normal")
    await driver.open()
    scene = Scene(driver)
    await scene.prepare()
    if operation.__name__.startswith("enqueue"):
        scene.ids |= {scene.first.id, scene.second.id}
    if operation is reserve_what_must_not_run_twice:
        scene.ids.add(scene.first.id)
        await driver.enqueue([Message(scene.first.id, "emails", "t", b"", max_lost=0)])
    if operation is reserve_damaged:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(
                "UPDATE messages SET profile = x'c1' WHERE state = 3 AND namespace ="
                " (SELECT key FROM namespaces WHERE name = ?)",
                [name],
            )
    driver.clock_offset += LATE.get(operation, 0.0)
    return scene


@pytest.mark.parametrize(
    ("after", "code"), [(False, "SQLITE_IOERR"), (True, "SQLITE_FULL")], ids=["not run", "run"]
)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
async def test_an_error_at_any_statement_loses_nothing(
    operation: Operation, after: bool, code: str, saboteur: Saboteur, tmp_path: Path
) -> None:
    path = tmp_path / "work.db"
    statement = 0
    while True:
        statement += 1
        scene = await stage(path, operation, f"{statement}")
        saboteur.arm(statement, after=after, code=code)
        try:
            await operation(scene)
        except DriverError:
            failed = True
        else:
            failed = False
        reached = saboteur.count >= statement
        saboteur.disarm()
        try:
            if failed:
                await scene.driver.open()
                if not operation.__name__.startswith("enqueue"):
                    await scene.expect_all_accounted_for()
                await operation(scene)
            await scene.expect_all_accounted_for()
            await scene.expect_nothing_stranded()
        except Exception as error:
            error.add_note(f"{operation.__name__}, statement {statement}")
            raise
        finally:
            await scene.driver.close()
        if not reached:
            return


@pytest.mark.parametrize("after", [False, True], ids=["not run", "run"])
async def test_an_error_at_any_statement_of_a_migration_leaves_the_file_usable(
    after: bool, saboteur: Saboteur, tmp_path: Path
) -> None:
    dump = Path(__file__).with_name("sqlite_schema_1.sql").read_text()
    statement = 0
    while True:
        statement += 1
        path = tmp_path / f"{statement}.db"
        saboteur.disarm()
        with closing(sqlite3.connect(path)) as database:
            database.executescript(dump)
        driver = SqliteDriver(path)
        saboteur.arm(statement, after=after, code="SQLITE_IOERR")
        with suppress(DriverError):
            await driver.open()
        reached = saboteur.count >= statement
        saboteur.disarm()
        await driver.open()
        counts = await driver.count("emails")
        assert (counts.ready, counts.scheduled, counts.leased) == (6, 1, 3)
        assert (await driver.schema()).current == 2
        await driver.close()
        if not reached:
            return


@pytest.mark.parametrize("statement", range(1, 7))
async def test_an_error_beside_a_locked_file_ends_no_driver(
    tmp_path: Path, saboteur: Saboteur, statement: int
) -> None:
    driver = SqliteDriver(path=tmp_path / "queue.db", busy_timeout=0.01)
    await driver.open()
    scene = Scene(driver)
    await driver.enqueue([scene.first])
    with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DriverError):
            await driver.enqueue([scene.second])
        other.execute("ROLLBACK")
    saboteur.arm(statement, after=False, code="SQLITE_IOERR")
    got: list[Delivery] = []
    with suppress(DriverError):
        got = await scene.reserve()
    saboteur.disarm()
    got += await scene.reserve()
    assert [each.message.id for each in got] == [scene.first.id]
    await driver.close()
