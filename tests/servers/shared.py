"""Servers that all processes of a test run share. Each starts when a test first asks for it, and a
separate process (see `keeper`) keeps it until the run has ended, even if the run is killed.

`ASYNCTASQ_TEST_<KIND>_URL` names a server to be used instead of one that is started.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import pytest
from filelock import FileLock

from tests.servers.keeper import Told

Kind = Literal["mysql", "postgres", "rabbitmq", "redis", "sqs"]
START_SECONDS = 110.0
IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
ROOT = Path(__file__).resolve().parents[2]


def shared_url(kind: Kind, factory: pytest.TempPathFactory) -> str:
    """Return the URL of the server of this test run.

    If its program is missing and cannot be installed, skip the test; in CI, fail it.
    """
    given = os.environ.get(f"ASYNCTASQ_TEST_{kind.upper()}_URL")
    if given:
        return given
    folder = run_folder(factory)
    folder.mkdir(exist_ok=True)
    with FileLock(folder / f"{kind}.lock"):
        if not (folder / kind).exists():
            # The process that shares out the tests outlives those that run them.
            start_keeper(kind, folder, os.getppid() if IS_WORKER else os.getpid())
        return address_of(kind, folder)


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """Return the folder of servers of this test run, the same for all processes of pytest-xdist."""
    base = factory.getbasetemp()
    return (base.parent if IS_WORKER else base) / "servers"


def start_keeper(kind: Kind, folder: Path, pid: int) -> None:
    """Start the process that starts a server, and keeps it as long as process `pid` lives."""
    with (folder / f"{kind}.output").open("ab") as output:
        subprocess.run(
            [sys.executable, "-m", "tests.servers.keeper", kind, folder, str(pid)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
        )


def address_of(kind: Kind, folder: Path) -> str:
    """Return the URL of the server in this folder, as soon as it is up."""
    file = folder / kind
    deadline = time.monotonic() + START_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            output = (folder / f"{kind}.output").read_text(errors="replace")
            pytest.fail(f"no {kind} server within {START_SECONDS:g} s: {output}")
        time.sleep(0.02)
    told: Told = json.loads(file.read_text())
    if "url" in told:
        return told["url"]
    if "missing" in told:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(told["missing"])
    pytest.fail(f"no {kind} server: {told.get('error')}")
