"""`asynctasq events` prints what happens to tasks until Ctrl-C."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from asynctasq import App, Worker, task
from asynctasq.cli.events import event_object
from asynctasq.operations import Event, EventKind

PATIENCE = 60.0


@task(name="events.adds")
async def adds(number: int) -> int:
    return number + 1


async def lines_of(arguments: list[str], folder: Path, count: int) -> tuple[list[str], str, int]:
    """Run the command beside a task, and interrupt it after some lines."""
    (folder / "asynctasq.db").touch()
    command = [sys.executable, "-m", "asynctasq", "events", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        begun = await process.stderr.readline()
        assert b"Press Ctrl-C" in begun, begun
        async with App({"driver": f"sqlite:///{folder}/asynctasq.db"}) as app:
            await app.dispatch(adds(1))
            await Worker(app=app, worker_id="w1", burst=True, handle_signals=False).start()
        lines = [(await process.stdout.readline()).decode() for _ in range(count)]
        process.send_signal(signal.SIGINT)
        rest, errors = await process.communicate()
    assert rest == b""
    assert process.returncode is not None
    return lines, errors.decode(), process.returncode


async def test_events_are_printed_as_lines(tmp_path: Path) -> None:
    arguments = ["--driver", f"sqlite:///{tmp_path}/asynctasq.db", "--task", "events.*"]
    lines, errors, code = await lines_of(arguments, tmp_path, 3)
    assert [line.split()[1] for line in lines] == ["enqueued", "started", "completed"]
    assert "events.adds" in lines[0]
    assert "queue=default" in lines[0]
    assert "worker=w1" in lines[2]
    assert (errors, code) == ("Interrupted.\n", 130)


async def test_events_are_printed_as_json_and_filtered(tmp_path: Path) -> None:
    arguments = ["--driver", f"sqlite:///{tmp_path}/asynctasq.db", "--json", "--kind", "completed"]
    lines, _, code = await lines_of([*arguments, "--kind", "dead"], tmp_path, 1)
    [event] = map(json.loads, lines)
    assert (event["kind"], event["task"], event["worker"]) == ("completed", "events.adds", "w1")
    assert event["cursor"].startswith("events.")
    assert code == 130


def test_progress_that_json_cannot_hold_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    event = Event(EventKind.PROGRESS, 1.0, "c", progress={1, 2})
    assert event_object(event)["progress"] == "{1, 2}"
    assert event_object(Event(EventKind.PROGRESS, 1.0, "c", progress=[1]))["progress"] == [1]
    assert capsys.readouterr().out == ""
