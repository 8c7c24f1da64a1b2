"""The settings of the sqlite driver, as arguments and as a URL."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asynctasq.drivers.sqlite import SqliteDriver, SqliteSettings
from asynctasq.errors import ConfigurationError


def test_relative_path_counts_from_the_folder_of_its_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = SqliteSettings(path="work.db")
    driver = SqliteDriver("work.db")
    monkeypatch.chdir("/")
    assert settings.path == driver.description == str(tmp_path / "work.db")


def test_home_folder_is_expanded() -> None:
    assert SqliteSettings(path="~/work.db").path == str(Path("~/work.db").expanduser())


def test_default_is_a_file_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert SqliteDriver().description == str(tmp_path / "asynctasq.db")


@pytest.mark.parametrize(
    "path",
    ["", ":memory:", "file:work.db?mode=memory", "a\0b"],
    ids=["empty", "memory", "uri", "zero byte"],
)
def test_path_that_is_not_a_file_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"sqlite\.path"):
        SqliteDriver(path)


@pytest.mark.parametrize(
    "query",
    [
        "namespace=",
        "synchronous=sometimes",
        "busy_timeout=-1",
        "dead_letter_ttl=nan",
        "dead_letter_limit=-5",
        "poll_interval=0",
    ],
)
def test_impossible_setting_is_refused_by_name(query: str) -> None:
    values: dict[str, Any] = SqliteSettings.from_url(f"sqlite://?{query}")
    (name,) = values
    with pytest.raises(ConfigurationError, match=rf"sqlite\.{name}"):
        SqliteSettings(**values)


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("sqlite:///work.db", {"path": "work.db"}),
        ("sqlite:///some/work.db", {"path": "some/work.db"}),
        ("sqlite:////var/lib/work.db", {"path": "/var/lib/work.db"}),
        ("sqlite:///~/work.db", {"path": "~/work.db"}),
        ("sqlite:///with%20space%23%3F%25.db", {"path": "with space#?%.db"}),
        ("sqlite://", {}),
        ("sqlite://?namespace=shop", {"namespace": "shop"}),
        (
            "sqlite:///w.db?synchronous=normal&busy_timeout=2.5&dead_letter_limit=7",
            {
                "path": "w.db",
                "synchronous": "normal",
                "busy_timeout": 2.5,
                "dead_letter_limit": 7,
            },
        ),
    ],
)
def test_url_becomes_settings(url: str, settings: dict[str, object]) -> None:
    assert SqliteSettings.from_url(url) == settings


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("sqlite://server/work.db", "server"),
        ("sqlite:///work.db#two", "two"),
        ("sqlite:///work.db?namespce=shop", "namespace"),
        ("sqlite:///work.db?colour=red", "colour"),
        ("sqlite:///work.db?busy_timeout=soon", "'busy_timeout' that must be a number"),
    ],
)
def test_bad_part_of_a_url_is_named(url: str, part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        SqliteSettings.from_url(url)


def test_plugin_module_imports_sqlite3_only_when_asked_for_a_driver() -> None:
    program = (
        "import sys; from asynctasq.drivers.sqlite import plugin;"
        "assert 'sqlite3' not in sys.modules;"
        "driver = plugin.create_driver('sqlite', plugin.settings_class('sqlite')());"
        "assert 'sqlite3' in sys.modules; print(driver.description)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip().endswith("asynctasq.db")
