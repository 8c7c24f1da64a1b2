"""`asynctasq workers quiet`, `resume` and `stop`, with worker processes."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asynctasq import App, State
from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
from tests.cli.processes import WorkerProcess, asynctasq, until
from tests.cli.test_worker_command import result_of
from tests.worker.stage import eventually

pytestmark = pytest.mark.sampled(2)

StartWorker = Callable[..., WorkerProcess]
Runs = Callable[[], list[list[str]]]


async def until_phases(app: App, **expected: str) -> None:
    async def reached() -> bool:
        found = {each.id.replace("-", "_"): each.phase for each in await app.workers()}
        return found == expected

    await eventually(reached)


async def test_a_worker_is_made_quiet_resumed_and_stopped(
    app: App, tasks: Any, start_worker: StartWorker
) -> None:
    worker = start_worker("--app", "shop", "--worker-id", "web-1-4711")
    await until_phases(app, web_1_4711="running")
    done = asynctasq("workers", "quiet", "4711")
    assert (done.returncode, done.stdout) == (0, "web-1-4711: quiet\n")
    await until_phases(app, web_1_4711="quiet")
    handle = await app.dispatch(tasks.add(1, 1))
    assert asynctasq("workers", "resume", "--queue", "default", "--yes").returncode == 0
    assert await result_of(handle) == 2
    done = asynctasq("workers", "stop", "web-", "--json")
    assert json.loads(done.stdout) == [{"id": "web-1-4711", "request": "stop"}]
    assert await worker.ended() == 0
    assert "Stopping worker web-1-4711 as requested" in worker.output
    await until_phases(app)


async def test_a_worker_whose_loop_is_blocked_is_shown_as_quiet_and_follows_later(
    app: App, tasks: Any, start_worker: StartWorker, tmp_path: Path, runs: Runs
) -> None:
    worker = start_worker("--app", "shop", "--worker-id", "w1", "--concurrency", "1")
    blocking = await app.dispatch(tasks.block("go"))
    await until(runs, "the loop is blocked")
    waiting = await app.dispatch(tasks.add(1, 1))
    await app.request_workers(["w1"], WorkerRequest.QUIET)
    await until_phases(app, w1="quiet")
    await app.request_workers(["w1"], WorkerRequest.STOP)
    await until_phases(app, w1="stopping")
    assert "w1: stopping already" in asynctasq("workers", "resume", "w1").stdout
    (tmp_path / "go").touch()
    assert await worker.ended() == 0
    await result_of(blocking)
    assert await waiting.status() is State.READY


@pytest.mark.full
async def test_processes_of_a_supervisor_are_stopped_one_by_one_and_not_replaced(
    app: App, tasks: Any, start_worker: StartWorker
) -> None:
    pool = start_worker("--app", "shop", "--processes", "2", "--worker-id", "w")
    await until_phases(app, w_1="running", w_2="running")
    await app.request_workers(["w-1"], WorkerRequest.STOP)
    await pool.told("was stopped by an operator; not starting another")
    await until_phases(app, w_2="running")
    assert await result_of(await app.dispatch(tasks.add(2, 2))) == 4
    assert asynctasq("workers", "stop", "--all", "--yes").returncode == 0
    assert await pool.ended() == 0


async def test_a_process_that_dies_instead_of_stopping_is_replaced(
    app: App, tasks: Any, start_worker: StartWorker, tmp_path: Path, runs: Runs
) -> None:
    pool = start_worker("--app", "shop", "--processes", "1", "--worker-id", "w")
    await app.dispatch(tasks.held("go"))
    await until(runs, "a task runs")
    await app.request_workers(["w-1"], WorkerRequest.STOP)
    await until_phases(app, w_1="stopping")
    [[_, pid, _]] = runs()
    os.kill(int(pid), signal.SIGKILL)
    await pool.told("starting another")
    await until(lambda: len(runs()) == 2, "the task runs again")
    await until_phases(app, w_1="running")
    (tmp_path / "go").touch()
    pool.send(signal.SIGTERM)
    assert await pool.ended() == 0
