"""`asynctasq migrate` brings tables up to date, and says what it did."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from asynctasq.cli import main


@pytest.fixture(autouse=True)
def no_default_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process."""
    monkeypatch.setattr("asynctasq.runtime.default", None)


def migrate(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["migrate", *arguments])
    return result.exit_code, result.output


def test_a_driver_without_tables_has_nothing_to_do() -> None:
    code, output = migrate("--driver", "memory")
    assert code == 0
    assert "no tables: nothing to do" in output


def test_a_new_store_is_made_and_up_to_date(tmp_path: Path, sqlite_url: str) -> None:
    code, output = migrate("--driver", sqlite_url)
    assert code == 0
    assert str(tmp_path / "store.db") in output
    assert "Up to date: version " in output
    assert migrate("--driver", sqlite_url, "--check") == (0, output)


def test_the_driver_of_the_settings_is_the_default(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"ASYNCTASQ_DRIVER=sqlite:///{tmp_path}/shop.db\n")
    code, output = migrate()
    assert code == 0
    assert f"{tmp_path}/shop.db" in output


def test_the_store_of_an_application_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "migrated_shop.py").write_text(
        "import asynctasq\napp = asynctasq.App({'driver': 'sqlite:///of_the_app.db'})\n"
    )
    code, output = migrate("--app", "migrated_shop:app")
    assert code == 0, output
    assert f"{tmp_path}/of_the_app.db" in output


def test_to_check_a_store_that_is_not_there_makes_none(tmp_path: Path) -> None:
    code, output = migrate("--check", "--driver", f"sqlite:///{tmp_path}/none.db")
    assert code == 3
    assert "There is no store at" in output
    assert not list(tmp_path.glob("none.db*"))


def test_what_is_no_store_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, no database\n" * 100)
    code, output = migrate("--driver", f"sqlite:///{tmp_path}/notes.txt")
    assert code == 1
    *_, error = output.splitlines()
    assert error.startswith("Error: ")
    assert "notes.txt" in error
    assert "Traceback" not in output


def test_a_misspelt_driver_is_one_clear_line() -> None:
    code, output = migrate("--driver", "sqlte")
    assert code == 1
    assert "Did you mean 'sqlite'?" in output


def test_a_store_of_a_newer_release_is_left_alone(tmp_path: Path, sqlite_url: str) -> None:
    assert migrate("--driver", sqlite_url)[0] == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    for arguments in ((), ("--check",)):
        code, output = migrate("--driver", sqlite_url, *arguments)
        assert code == 1
        assert "Upgrade asynctasq" in output
