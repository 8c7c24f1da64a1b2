"""`asynctasq tasks cancel`, `move` and `reprioritize` for all tasks that match a filter."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Callable

import pytest
from click.testing import Result

from asynctasq import App
from tests.cli.processes import COMMAND, DEADLINE_SECONDS
from tests.cli.stores import with_store
from tests.cli.terminals import interrupted_at, on_terminal
from tests.operations.staging import enqueue, message, reserve

Invoke = Callable[..., Result]


async def some(app: App) -> list[str]:
    await enqueue(app, message(app, queue="busy"))
    await reserve(app, "busy")
    ids = await enqueue(app, message(app), message(app, delay=600.0))
    return [*ids, *await enqueue(app, message(app, task="mail:send"))]


async def many(app: App) -> None:
    await enqueue(app, *(message(app) for _ in range(40)))


def queue_of(*task_ids: str) -> list[str | None]:
    async def read(app: App) -> list[str | None]:
        return [(await app.tasks.get(one)).info.queue for one in task_ids]

    return with_store(read)


def test_tasks_are_moved_by_filter(invoke: Invoke) -> None:
    first, second, other = with_store(some)
    dry = invoke(
        "tasks", "move", "--to", "slow", "--task", "shop:*", "--queue", "default", "--dry-run"
    )
    assert dry.exit_code == 0
    assert dry.stdout.startswith("2 tasks would be moved to slow in ")
    done = invoke(
        "tasks", "move", "--to", "slow", "--task", "shop:*", "--queue", "default", "--yes"
    )
    assert (done.exit_code, done.stdout) == (0, "Moved 2 of 2 tasks.\n")
    assert queue_of(first, second, other) == ["slow", "slow", "default"]


def test_tasks_are_reprioritized_and_cancelled_as_json(invoke: Invoke) -> None:
    with_store(some)
    done = invoke("tasks", "reprioritize", "--priority", "9", "--all", "--yes", "--json")
    assert json.loads(done.stdout) == {
        "matched": 3, "reprioritized": 3, "interrupted_runs": 0, "skipped": 0, "failed": 0,
        "stopped": False, "dry_run": False,
    }  # fmt: skip
    done = invoke("tasks", "cancel", "--state", "running", "--all", "--yes")
    assert done.stdout == ("Cancelled 0 of 1 task; 1 running: their workers interrupt them.\n")
    done = invoke("tasks", "cancel", "--older-than", "1d", "--yes", "--json")
    assert json.loads(done.stdout)["matched"] == 0


def test_tasks_are_changed_by_id(invoke: Invoke) -> None:
    first, *_ = with_store(some)
    done = invoke("tasks", "move", first[-6:], "--to", "slow")
    assert (done.exit_code, done.stdout) == (0, f"{first}  moved\n")
    with_store(lambda app: reserve(app, "slow"))
    done = invoke("tasks", "reprioritize", first, "--priority", "1", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (1, [{"id": first, "reprioritized": False}])


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["cancel"], "in one of three ways"),
        (["cancel", "--all", "--queue", "default"], "in one of three ways"),
        (["cancel", "abcdef", "--queue", "default"], "in one of three ways"),
        (["cancel", "abcdef", "--rate", "5"], "require a filter or --all"),
        (["cancel", "--queue", "default"], "Pass --yes"),
        (["move", "--queue", "default"], "Missing option '--to'"),
        (["move", "--queue", "default", "--to", "a b"], "The name of a queue"),
    ],
)
def test_wrong_usage_changes_nothing(invoke: Invoke, arguments: list[str], what: str) -> None:
    ids = with_store(some)
    done = invoke("tasks", *arguments)
    assert done.exit_code == 2
    assert what in done.stderr
    assert queue_of(*ids) == ["default"] * 3


def test_no_match_is_told(invoke: Invoke) -> None:
    with_store(some)
    done = invoke("tasks", "cancel", "--queue", "none", "--yes")
    assert done.exit_code == 0
    assert done.stdout.startswith("No matching tasks in ")


def test_a_question_on_a_terminal() -> None:
    with_store(some)
    assert interrupted_at("[y/N]", "tasks", "cancel", "--queue", "default") == 130
    shown = on_terminal("tasks", "move", "--to", "slow", "--queue", "default", "--yes")
    assert "Move tasks" in shown
    assert "3/3" in shown
    assert "Moved 3 of 3 tasks." in shown


async def test_ctrl_c_ends_after_the_batch_with_a_summary(app: App) -> None:
    await many(app)
    moving = await asyncio.create_subprocess_exec(
        *COMMAND,
        *["tasks", "move", "--to", "slow", "--all", "--yes", "--rate", "2", "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await app.tasks.count(queue="slow"):
                await asyncio.sleep(0.02)
            moving.send_signal(signal.SIGINT)
            output, _ = await moving.communicate()
    finally:
        if moving.returncode is None:
            moving.kill()
            await moving.wait()
    assert moving.returncode == 130
    summary = json.loads(output)
    moved = await app.tasks.count(queue="slow")
    assert summary["stopped"]
    assert summary["moved"] == moved
    assert await app.tasks.count(queue="default") == 40 - moved > 0
