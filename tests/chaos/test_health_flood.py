"""Many slow clients of the health port: tasks and health go on."""

import resource
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from asynctasq import App
from tests.cli.conftest import app as app
from tests.cli.conftest import start_worker as start_worker
from tests.cli.processes import WorkerProcess, until
from tests.cli.test_worker_command import result_of
from tests.supervision.conftest import tasks as tasks
from tests.supervision.probes import ask, port_of

DESCRIPTORS = 64
CLIENTS = 90
GARBAGE = [
    b"\0" * 3000,
    b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"GET /status HTTP/9.9\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\n\r\n",
    b"\r\n" * 100,
    b"GET /livez HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
]


def _send_garbage(port: int) -> None:
    for each in GARBAGE * 5:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5.0) as client:
            client.sendall(each)


def _is_live(port: int) -> bool:
    with suppress(OSError):
        return ask(port, "/livez")[0] == 200
    return False


async def test_slow_clients_of_the_health_port_take_no_descriptors_from_tasks(
    app: App, tasks: Any, start_worker: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    worker = start_worker("--app", "shop", "--health-port", "0", "--process-pool-size", "1")
    port = await port_of(worker)
    await until(lambda: ask(port, "/readyz")[0] == 200, "it is ready")
    _, most = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, most))
    _send_garbage(port)
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            with suppress(OSError):
                client = socket.create_connection(("127.0.0.1", port), 0.2)
                stack.enter_context(client)
                client.send(b"G")
        for each in (tasks.held, tasks.held_in_thread):  # each opens a file
            assert await result_of(await app.dispatch(each("go"))) == worker.pid
    await until(lambda: _is_live(port), "health is served again")
    assert worker.code is None
