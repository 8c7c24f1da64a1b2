"""The warning about values of the environment that `init` hides."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import asynctasq


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asynctasq.runtime.default", None)


def hidden(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        each.getMessage() for each in caplog.records if "hide other values" in each.getMessage()
    ]


def test_a_driver_that_hides_another_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCTASQ_DRIVER", "sqlite:////srv/one.db?token=hunter2")
    for _ in range(3):
        asynctasq.init({"driver": "sqlite"})
    [text] = hidden(caplog)
    assert "driver='sqlite' hides ASYNCTASQ_DRIVER='sqlite:////srv/one.db?token=***'" in text
    assert "(environment)" in text
    assert "hunter2" not in caplog.text
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize(
    ("variable", "value", "settings"),
    [
        ("DRIVER", "memory", {"driver": "memory"}),
        ("CONCURRENCY", "7", {"concurrency": 7}),
        ("QUEUES", "a, b", {"queues": ["a", "b"]}),
        ("QUEUES", "a", {"queues": "a"}),
        ("SQLITE_PATH", "a.db", {"sqlite": {"path": "a.db"}}),
        ("LEASE", "5", {"lease": 5}),
        ("LEASE", "5", {"driver": "memory"}),
        ("DRIVER", "memory", None),
    ],
)
def test_equal_values_are_not(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    settings: Any,
) -> None:
    monkeypatch.setenv(f"ASYNCTASQ_{variable}", value)
    asynctasq.init(settings)
    assert hidden(caplog) == []


def test_one_warning_names_them_all(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASYNCTASQ_CONCURRENCY", "11")
    monkeypatch.setenv("ASYNCTASQ_SQLITE_PATH", "hidden.db")
    Path(".env").write_text("ASYNCTASQ_LEASE=13\n")
    asynctasq.init({"concurrency": 12, "lease": 14, "sqlite": {"path": str(tmp_path / "x.db")}})
    [text] = hidden(caplog)
    assert "concurrency=12 hides ASYNCTASQ_CONCURRENCY='11' (environment)" in text
    assert "lease=14 hides ASYNCTASQ_LEASE='13' (.env line 1)" in text
    assert "hides ASYNCTASQ_SQLITE_PATH='hidden.db'" in text


def test_an_app_of_its_own_may_differ(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCTASQ_DRIVER", "memory")
    asynctasq.App({"driver": "sqlite"})
    assert hidden(caplog) == []


def test_a_worker_says_so_in_its_log(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text('import asynctasq\nasynctasq.init({"driver": "sqlite"})\n')
    command = [sys.executable, "-m", "asynctasq.cli", "worker", "--app", "shop", "--burst"]
    environment = {**os.environ, "ASYNCTASQ_DRIVER": "sqlite:///other.db"}
    for options, count in (((), 1), (("--driver", "sqlite:///third.db"), 0)):
        done = subprocess.run(
            [*command, *options, "--log-format", "json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        warnings = [line for line in lines if "hide other values" in line["message"]]
        assert len(warnings) == count
