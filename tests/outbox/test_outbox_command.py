"""`asynctasq outbox` and `asynctasq migrate`, with a database of the application."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from asynctasq.cli import main
from asynctasq.contracts.capabilities.outbox import OutboxEntry, Refusal
from asynctasq.driverkit.packing import pack_message
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.message import Message, id_to_text, new_id


@pytest.fixture(autouse=True)
def no_default_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as in a new process."""
    monkeypatch.setattr("asynctasq.runtime.default", None)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the database of an application, which is the outbox of the settings."""
    path = tmp_path / "application.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE orders (number INTEGER PRIMARY KEY)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASYNCTASQ_DRIVER", "memory")
    monkeypatch.setenv("ASYNCTASQ_OUTBOX", f"sqlite:///{path}")
    return path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


def fill(path: Path) -> list[str]:
    """Add a message that waits, one that was refused, one that was set aside, and a damaged one."""
    messages = [Message(new_id(), "emails", "shop:send", b"") for _ in range(3)]
    entries = [OutboxEntry(each.id, "", pack_message(each)) for each in messages]
    damaged = OutboxEntry(new_id(), "redis://cache", b"\xc1")

    async def add() -> None:
        outbox = SqliteDriver(path=path).outbox()
        await outbox.open()
        await outbox.migrate()
        await outbox.add([*entries, damaged])
        await outbox.refuse([Refusal(messages[1].id, "DriverError: too large", 300.0)])
        await outbox.refuse([Refusal(messages[2].id, "DriverError: too large", None)])
        await outbox.close()

    asyncio.run(add())
    return [id_to_text(each.id) for each in [*entries, damaged]]


def test_migrate_adds_the_tables_beside_those_of_the_application(path: Path) -> None:
    code, output = run("migrate", "--check")
    assert code == 1
    assert f"Outbox: {path}\nVersion 0; this release needs 1. Run asynctasq migrate." in output
    code, output = run("migrate", "--dry-run")
    assert code == 0
    assert "CREATE TABLE asynctasq_outbox (" in output
    with closing(sqlite3.connect(path.with_name("copy.db"))) as database:
        database.executescript(output)
    code, output = run("migrate")
    assert code == 0
    assert output.endswith("- outbox_1\nUp to date: version 1.\n")
    assert run("migrate", "--check")[0] == 0
    with closing(sqlite3.connect(path)) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert {"orders", "asynctasq_outbox"} <= names
    assert "messages" not in names


def test_statements_for_other_tools_create_the_tables(path: Path) -> None:
    code, output = run("outbox", "sql")
    assert code == 0
    with closing(sqlite3.connect(path)) as database:
        database.executescript(output)
    assert run("migrate", "--check")[0] == 0


def test_list_shows_what_waits_and_why(path: Path) -> None:
    ids = fill(path)
    code, output = run("outbox", "--json")
    assert code == 0
    rows = json.loads(output)["outbox"]
    assert [row["id"] for row in rows] == ids
    assert [(row["task"], row["attempts"], row["set_aside"]) for row in rows] == [
        ("shop:send", 0, False),
        ("shop:send", 1, False),
        ("shop:send", 1, True),
        (None, 0, False),
    ]
    assert 290 < rows[1]["retry_in"] <= 300
    assert rows[2]["error"] == "DriverError: too large"
    assert rows[3]["store"] == "redis://cache"
    code, output = run("outbox", "--wide")
    assert "in 5 min" in output
    assert "(unreadable)" in output
    code, output = run("outbox", "list", "--set-aside", "--json")
    assert [row["id"] for row in json.loads(output)["outbox"]] == [ids[2]]


def test_rows_are_retried_by_id_and_all_together(path: Path) -> None:
    ids = fill(path)
    assert run("outbox", "retry", "--all", "--yes") == (0, "Retried 1 of 1 message.\n")
    assert run("outbox", "retry", ids[1][-8:]) == (0, "Retried 1 of 1 message.\n")
    rows = json.loads(run("outbox", "--json")[1])["outbox"]
    assert [(row["attempts"], row["retry_in"]) for row in rows] == [(0, 0.0)] * 4
    assert run("outbox", "retry", "--all", "--yes") == (0, "No matching messages.\n")
    unknown = id_to_text(new_id())
    code, output = run("outbox", "retry", unknown)
    assert (code, output.splitlines()[0]) == (1, f"{unknown}  not retried: no such message")


def test_rows_are_deleted(path: Path) -> None:
    ids = fill(path)
    assert run("outbox", "delete", ids[0])[0] == 2  # there is no terminal to ask
    assert run("outbox", "delete", *ids, "--yes") == (0, "Deleted 4 of 4 messages.\n")
    code, output = run("outbox")
    assert (code, output) == (0, f"No messages in the outbox of {path}.\n")
    assert run("outbox", "delete", "--yes")[0] == 2


def test_another_database_is_chosen_on_the_command_line(path: Path, tmp_path: Path) -> None:
    fill(path)
    code, output = run("outbox", "--outbox", f"sqlite:///{tmp_path}/none.db")
    assert code == 3
    assert "There is no store at" in output
    assert "pass --outbox URL" in output


@pytest.mark.parametrize(
    ("outbox", "problem"),
    [
        ("none", "Set `outbox` to the database"),
        ("memory", "outbox must be a database of the application, got"),
        ("no such thing", "outbox (environment) must be a plugin's name, a URL"),
    ],
)
def test_missing_or_wrong_outbox_is_an_error(
    outbox: str, problem: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCTASQ_OUTBOX", outbox)
    code, output = run("outbox")
    assert code == 1
    assert problem in output.replace("ASYNCTASQ_OUTBOX", "outbox")
