"""The checks of conftest.py for left-overs do find them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import asyncio, socket, subprocess, threading
import tests.conftest

tests.conftest.JOIN_SECONDS = tests.conftest.GRACE_SECONDS = 0.1
kept = []

def test_thread():
    thread = threading.Thread(
        target=threading.Event().wait, args=(60,), name="asynctasq-left", daemon=True
    )
    thread.start()

def test_process():
    kept.append(subprocess.Popen(["sleep", "60"]))

def test_process_is_ended_later():
    kept[0].kill()
    kept[0].wait()

async def test_task():
    kept.append(asyncio.create_task(asyncio.sleep(60), name="left"))

def test_connection():
    socket.create_connection(("192.0.2.1", 80), timeout=1)

async def test_tidy():
    kept.append(asyncio.create_task(asyncio.sleep(0)))
    thread = threading.Thread(target=int, name="asynctasq-ended")
    thread.start()
    subprocess.run(["true"], check=True)
"""


@pytest.fixture(scope="module")
def report(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("leaky") / "test_leaky.py"
    path.write_text(MODULE)
    options = ["-p", "tests.conftest", "-p", "no:randomly", "-p", "no:cacheprovider", "-rA", "-q"]
    command = [sys.executable, "-m", "pytest", *options, "-c", str(repository / "pyproject.toml")]
    done = subprocess.run(
        [*command, "--rootdir", str(path.parent), path.name],
        cwd=path.parent,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    "outcome",
    [
        "ERROR test_leaky.py::test_thread - Failed: left running: thread asynctasq-left",
        "ERROR test_leaky.py::test_process - Failed: left running: process",
        "ERROR test_leaky.py::test_task - Failed: left running: <Task",
        "FAILED test_leaky.py::test_connection - PermissionError",
        "PASSED test_leaky.py::test_tidy",
    ],
)
def test_left_overs_are_found(report: str, outcome: str) -> None:
    # pytest cuts the reasons to the width of a terminal.
    name, _, reason = outcome.partition(" - ")
    assert name in report
    assert reason.partition(": <")[0] in report
