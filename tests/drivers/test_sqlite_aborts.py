"""An error at each statement of each call: nothing is lost or stranded."""

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from asynctasq.conformance.aborts import OPERATIONS, Operation, Scene, check_aborts
from asynctasq.conformance.follow_ups import FOLLOW_UPS, check_follow_up
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.errors import DriverError
from asynctasq.message import Delivery

pytestmark = pytest.mark.sampled(5)

NEVER = 1 << 30
STEP = 3
"""The step between statements that fail, if the tests do not run in full."""
FOLLOW_UP_STEP = 10
"""The step between pairs of calls. A transaction that fails leaves nothing that a further call could meet."""


class Saboteur:
    """Lets the statement with a certain number fail, before or after SQLite has run it."""

    def __init__(self) -> None:
        self.after, self.code = False, "SQLITE_IOERR"
        self.arm(NEVER)

    def disarm(self) -> bool:
        reached = self.count >= self.statement
        self.arm(NEVER)
        return reached

    def arm(self, statement: int) -> None:
        self.count = 0
        self.statement = statement

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


async def damage(driver: Driver, message_id: bytes) -> None:
    with closing(sqlite3.connect(driver.description)) as database, database:
        database.execute("UPDATE messages SET profile = x'c1' WHERE id = ?", [message_id])


@pytest.mark.parametrize(
    ("after", "code"), [(False, "SQLITE_IOERR"), (True, "SQLITE_FULL")], ids=["not run", "run"]
)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
async def test_an_error_at_any_statement_loses_nothing(
    operation: Operation,
    after: bool,
    code: str,
    saboteur: Saboteur,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    saboteur.after, saboteur.code = after, code
    path = tmp_path / "work.db"
    await check_aborts(
        operation,
        lambda name: SqliteDriver(path, namespace=name, synchronous="normal"),
        saboteur,
        damage=damage,
        every=1 if request.config.getoption("full") else STEP,
    )


@pytest.mark.parametrize(
    ("operation", "then"), FOLLOW_UPS[::FOLLOW_UP_STEP], ids=lambda operation: operation.__name__
)
async def test_another_call_after_a_statement_that_failed_leaves_no_stray_row(
    operation: Operation, then: Operation, saboteur: Saboteur, tmp_path: Path
) -> None:
    path = tmp_path / "work.db"
    await check_follow_up(
        operation,
        then,
        lambda name: SqliteDriver(path, namespace=name, synchronous="off"),
        saboteur,
        damage=damage,
        every=STEP,
    )


@pytest.mark.parametrize("after", [False, True], ids=["not run", "run"])
async def test_an_error_at_any_statement_of_a_migration_leaves_the_file_usable(
    after: bool, saboteur: Saboteur, tmp_path: Path
) -> None:
    dump = Path(__file__).with_name("sqlite_schema_1.sql").read_text()
    saboteur.after = after
    statement = 0
    reached = True
    while reached:
        statement += 1
        path = tmp_path / f"{statement}.db"
        with closing(sqlite3.connect(path)) as database:
            database.executescript(dump)
        driver = SqliteDriver(path)
        saboteur.arm(statement)
        with suppress(DriverError):
            await driver.open()
        reached = saboteur.disarm()
        await driver.open()
        counts = await driver.count("emails")
        assert (counts.ready, counts.scheduled, counts.leased) == (6, 1, 3)
        assert (await driver.schema()).current == 2
        await driver.close()
    assert statement > 15


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
    saboteur.arm(statement)
    got: list[Delivery] = []
    with suppress(DriverError):
        got = await scene.reserve()
    saboteur.disarm()
    got += await scene.reserve()
    assert [each.message.id for each in got] == [scene.first.id]
    await driver.close()
