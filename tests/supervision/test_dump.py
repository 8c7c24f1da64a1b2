"""SIGUSR1 shows the running tasks with their stacks, even if the event loop is blocked."""

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asynctasq import App
from tests.cli.processes import WorkerProcess, until
from tests.cli.test_worker_command import result_of

pytestmark = pytest.mark.sampled(2)

StartWorker = Callable[..., WorkerProcess]
Runs = Callable[[], list[list[str]]]


async def test_tasks_of_all_modes_are_shown_with_their_stacks(
    app: App, tasks: Any, start_worker: StartWorker, runs: Runs, tmp_path: Path
) -> None:
    handles = [
        await app.dispatch(each("secret-name"))
        for each in (tasks.held, tasks.held_in_thread, tasks.held_elsewhere)
    ]
    worker = start_worker("--app", "shop")
    await until(lambda: len(runs()) == 3, "all run")
    worker.send(signal.SIGUSR1)
    [child] = {int(run[1]) for run in runs() if run[0] == "held_elsewhere"}
    line = re.compile(rf"^ +{child} \((sleeping|running)\)", re.MULTILINE)
    await until(lambda: line.search(worker.output), "its child is shown, the last of all")
    shown = worker.output
    for handle in handles:
        assert f"Task {handle} of shop:" in shown
    assert re.search(r"in held\n +await asyncio.sleep\(0.02\)", shown)
    assert "in until_there" in shown, "of the thread"
    assert "secret-name" not in shown
    (tmp_path / "secret-name").touch()
    for handle in handles:
        await result_of(handle)


async def test_a_blocked_loop_is_shown_where_it_is_blocked(
    app: App, tasks: Any, start_worker: StartWorker, runs: Runs, tmp_path: Path
) -> None:
    handle = await app.dispatch(tasks.block("go"))
    worker = start_worker("--app", "shop")
    await until(runs, "the task runs")
    for _ in range(3):
        worker.send(signal.SIGUSR1)
    shown = re.compile(r"^ +Thread MainThread:\n.*in until_there", re.MULTILINE | re.DOTALL)
    await until(lambda: shown.search(worker.output), "the main thread is shown")
    (tmp_path / "go").touch()
    assert await result_of(handle) == worker.pid


async def test_the_supervisor_passes_the_signal_on(tasks: Any, start_worker: StartWorker) -> None:
    worker = start_worker("--app", "shop", "--processes", "2")
    await until(lambda: worker.output.count(" started (") == 2, "both run")
    worker.send(signal.SIGUSR1)
    await until(
        lambda: worker.output.count("Received SIGUSR1; dump") == 2, "both have logged a dump"
    )


async def test_it_ends_no_worker_that_only_starts(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        "pathlib.Path('importing').touch()\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.02)\n"
    )
    worker = start_worker("--app", "slow", "--burst")
    await until((tmp_path / "importing").exists, "it is being imported")
    worker.send(signal.SIGUSR1)
    (tmp_path / "go").touch()
    assert await worker.ended() == 0
