"""Keeps one server for all processes of a test run.

python -m tests.servers.keeper KIND FOLDER PID

It is not a child of a test process. It runs until the process PID has exited for any reason. It writes a
report (`Told` as JSON) to the file FOLDER/KIND once the server is up or has failed to start. The server exits
with its keeper, even if that is killed (on Linux).
"""

import json
import os
import select
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypedDict

import pytest

from tests.servers.mariadb import mariadb_server
from tests.servers.postgres import postgres_server
from tests.servers.processes import private_folder
from tests.servers.rabbitmq import rabbitmq_server
from tests.servers.redis import redis_server
from tests.servers.sqs import sqs_server

LOOK_SECONDS = 0.2


class Told(TypedDict, total=False):
    """One of three: the address; what is missing on this machine; the error."""

    url: str
    missing: str
    error: str


@contextmanager
def _redis_url() -> Iterator[str]:
    with private_folder("redis") as folder, redis_server(folder) as server:
        yield server.url


SERVERS: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "mysql": mariadb_server,
    "postgres": postgres_server,
    "rabbitmq": rabbitmq_server,
    "redis": _redis_url,
    "sqs": sqs_server,
}


def keep(kind: str, file: Path, pid: int) -> None:
    """Start the server, tell of it in the file, and stop it when that process has ended."""
    try:
        with SERVERS[kind]() as url:
            _tell(file, Told(url=url))
            _wait_for_end(pid)
    except (pytest.skip.Exception, pytest.fail.Exception) as absent:
        _tell(file, Told(missing=str(absent)))
    except Exception:  # noqa: BLE001 - told to those who wait, who fail with it
        _tell(file, Told(error=traceback.format_exc()))


def _tell(file: Path, told: Told) -> None:
    new = file.with_suffix(".new")
    try:
        new.write_text(json.dumps(told))
        new.replace(file)
    except FileNotFoundError:
        return  # the run is over, and its folder is removed: no test asks any more


def _wait_for_end(pid: int) -> None:
    if hasattr(os, "pidfd_open"):
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            select.select([handle], [], [])
        finally:
            os.close(handle)
        return
    while _lives(pid):
        time.sleep(LOOK_SECONDS)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    kind, folder, pid = sys.argv[1:]
    if os.fork():  # the process that starts it keeps no child
        return
    os.setsid()
    keep(kind, Path(folder) / kind, int(pid))


if __name__ == "__main__":
    main()
