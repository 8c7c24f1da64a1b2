"""The health of a worker over HTTP, and its end when it has grown too large."""

import resource
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from asynctasq import App, State
from asynctasq.worker.services.health_server import MOST_CONNECTIONS, HealthServer
from asynctasq.worker.timing import HealthTiming
from tests.cli.processes import WorkerProcess, asynctasq, until
from tests.cli.test_worker_command import result_of
from tests.supervision.probes import ask, port_of

pytestmark = pytest.mark.sampled(5)

StartWorker = Callable[..., WorkerProcess]
HEALTH = ("--app", "shop", "--health-port", "0")


async def test_a_worker_reports_its_health_and_running_tasks(
    app: App, tasks: Any, start_worker: StartWorker, tmp_path: Path
) -> None:
    handles = [
        await app.dispatch(each("go"))
        for each in (tasks.held, tasks.held_in_thread, tasks.held_elsewhere)
    ]
    worker = start_worker(*HEALTH, "--worker-id", "w1", "--queues", "default:9")
    port = await port_of(worker)
    await until(lambda: ask(port, "/readyz")[0] == 200, "it is ready")
    await until(lambda: len(ask(port, "/status")[1]["running"]) == 3, "all are listed")
    assert ask(port, "/livez")[0] == 200
    code, status = ask(port, "/status")
    assert code == 200
    assert (status["worker_id"], status["pid"], status["phase"]) == ("w1", worker.pid, "running")
    assert status["queues"] == {"default": 9}
    assert {each["id"] for each in status["running"]} == set(handles)
    for each in status["running"]:
        assert each.keys() == {"id", "name", "queue", "attempt", "age"}
        assert (each["queue"], each["attempt"]) == ("default", 0)
        assert each["age"] >= 0
    assert "go" not in {value for each in status["running"] for value in each.values()}
    (tmp_path / "go").touch()
    for handle in handles:
        await result_of(handle)
    await until(lambda: not ask(port, "/status")[1]["running"], "nothing runs")


async def test_the_first_probe_knows_for_how_long_the_loop_has_been_blocked(
    app: App, tasks: Any, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker(*HEALTH)
    port = await port_of(worker)
    await app.dispatch(tasks.block("go"))
    await until(
        lambda: "has been blocked for" in worker.output, "the worker reports the blocked loop"
    )
    assert ask(port, "/readyz")[0] == 503
    (tmp_path / "go").touch()


async def test_a_blocked_loop_still_answers(
    app: App,
    tasks: Any,
    start_worker: StartWorker,
    runs: Callable[[], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ASYNCTASQ_STALL_LIMIT", "3")
    handle = await app.dispatch(tasks.block("go"))
    port = await port_of(start_worker(*HEALTH, "--lease", "2"))
    await until(runs, "the task runs")
    await until(lambda: ask(port, "/readyz")[0] == 503, "it is not ready")
    assert "blocked" in ask(port, "/readyz")[1]["problems"][0]
    assert [each["id"] for each in ask(port, "/status")[1]["running"]] == [handle]
    await until(lambda: ask(port, "/livez")[0] == 503, "it is of no use any more")
    (tmp_path / "go").touch()
    await until(lambda: ask(port, "/livez")[0] == 200, "it runs again")


async def test_a_stopping_worker_is_not_ready_but_live(
    app: App, tasks: Any, start_worker: StartWorker, runs: Callable[[], object], tmp_path: Path
) -> None:
    await app.dispatch(tasks.held("go"))
    worker = start_worker(*HEALTH)
    port = await port_of(worker)
    await until(runs, "the task runs")
    worker.send(signal.SIGTERM)
    await until(lambda: ask(port, "/readyz")[0] == 503, "it is not ready")
    assert ask(port, "/readyz")[1]["problems"] == ["the worker is stopping"]
    assert ask(port, "/livez")[0] == 200
    (tmp_path / "go").touch()
    assert await worker.ended() == 0
    assert ask(port, "/livez")[0] == 0


async def test_other_requests_are_refused_kindly(tasks: Any, start_worker: StartWorker) -> None:
    port = await port_of(start_worker(*HEALTH))
    code, told = ask(port, "/numbers")
    assert (code, "/livez" in told["problems"][0]) == (404, True)
    assert ask(port, "/livez", method="HEAD") == (200, {})
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"\x00\xff nonsense\r\n\r\n")
        assert client.recv(100)
    socket.create_connection(("127.0.0.1", port)).close()
    assert ask(port, "/livez")[0] == 200


async def test_slow_clients_keep_no_other_out(tasks: Any, start_worker: StartWorker) -> None:
    worker = start_worker(*HEALTH)
    port = await port_of(worker)
    await until(lambda: ask(port, "/readyz")[0] == 200, "all its files are open")
    before = open_files(worker.pid)
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    try:
        for client in clients:
            with suppress(OSError):
                client.sendall(b"GET /livez HTTP/1.1\r\nSlow: ")
        assert ask(port, "/livez")[0] == 200
        assert open_files(worker.pid) <= before + MOST_CONNECTIONS
    finally:
        for client in clients:
            client.close()


async def test_a_slow_request_has_one_limit_however_often_bytes_arrive() -> None:
    timing = HealthTiming(request=0.5)
    with HealthServer("127.0.0.1", 0, {"/livez": dict}, timing=timing) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.settimeout(0.05)

            def is_closed() -> bool:
                try:
                    client.sendall(b"x")
                    return client.recv(1) == b""
                except TimeoutError:
                    return False
                except OSError:
                    return True

            await until(is_closed, "the server closes it")
        assert ask(server.port, "/livez")[0] == 200


def test_a_long_request_is_refused() -> None:
    with HealthServer("127.0.0.1", 0, {"/livez": dict}) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET /" + b"x" * 9000)
            assert client.recv(100).startswith(b"HTTP/1.1 431 ")
        assert ask(server.port, "/livez")[0] == 200


def test_a_report_that_fails_costs_its_request_only() -> None:
    def fails() -> dict[str, Any]:
        raise RuntimeError("no report")

    with HealthServer("127.0.0.1", 0, {"/livez": dict, "/status": fails}) as server:
        assert ask(server.port, "/status")[0] == 500
        assert ask(server.port, "/livez")[0] == 200


async def test_the_server_goes_on_after_it_was_out_of_descriptors() -> None:
    timing = HealthTiming(error=0.01)
    with HealthServer("127.0.0.1", 0, {"/livez": dict}, timing=timing) as server:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        client = socket.socket()
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        with client:
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")


def open_files(pid: int) -> int:
    """Return the number of files that a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def test_only_this_machine_is_served_by_default(
    tasks: Any, start_worker: StartWorker
) -> None:
    first = start_worker(*HEALTH)
    await first.told("http://127.0.0.1:")
    everywhere = start_worker(*HEALTH, "--health-host", "0.0.0.0")
    await everywhere.told("http://0.0.0.0:")


async def test_a_port_that_is_taken_is_a_clear_error(tasks: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = asynctasq("worker", "--app", "shop", "--health-port", str(port))
    assert outcome.returncode == 1
    assert f"port {port}" in outcome.stderr
    assert "Traceback" not in outcome.stderr


async def test_a_worker_that_has_grown_too_large_ends_after_its_tasks(
    app: App,
    tasks: Any,
    start_worker: StartWorker,
    runs: Callable[[], list[list[str]]],
    tmp_path: Path,
) -> None:
    held = await app.dispatch(tasks.held("go"))
    large = await app.dispatch(tasks.grow(megabytes=400))
    worker = start_worker("--app", "shop", "--max-memory", "300M")
    await worker.told("exceeded max_memory")
    late = await app.dispatch(tasks.add(1, 1))
    (tmp_path / "go").touch()
    assert await worker.ended() == 0
    assert {await held.status(), await large.status()} == {State.COMPLETED}
    assert await late.status() is State.READY


@pytest.mark.parametrize("size", ["0", "lots", "5X", "-1", "M"])
def test_sizes_that_are_none_are_refused(size: str, invoke: Callable[..., Any]) -> None:
    outcome = invoke("worker", "--max-memory", size)
    assert outcome.exit_code == 2
    assert "max-memory" in outcome.output
