"""`wrap_task` surrounds the code of tasks on the loop, in threads and in child processes."""

import json
import subprocess
import sys

import pytest

PLUGIN = """
import os
from contextlib import contextmanager
from contextvars import ContextVar

from asynctasq import hookimpl

trace = ContextVar("trace", default="none")


@hookimpl
def wrap_dispatch(batch):
    for each in batch.messages:
        each.headers["trace"] = trace.get()


@hookimpl
@contextmanager
def wrap_task(task):
    token = trace.set(task.headers["trace"])
    error = "none"
    try:
        yield
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        trace.reset(token)
        with open("seen", "a") as file:
            print(task.name.partition(":")[2], error, os.getpid(), file=file)
"""
PROGRAM = """
import asyncio, json, os, threading
from contextlib import contextmanager

from asynctasq import App, Worker, hookimpl, task
from asynctasq.message import State
from trace_hooks import trace

app = App({"driver": "sqlite:///queue.db"})
entered = 0


class Local:
    @hookimpl
    @contextmanager
    def wrap_task(self, task):
        global entered
        entered += 1
        yield
        raise LookupError("changes nothing")


app.plugins.register(Local())


def facts():
    return [trace.get(), entered > 0, os.getpid(), threading.get_ident()]


@task
async def on_loop():
    return facts()


@task
def in_thread():
    return facts()


@task(process=True)
def in_process():
    return facts()


@task(process=True)
async def in_process_async():
    return facts()


@task(process=True, max_attempts=1)
def fails():
    raise ZeroDivisionError


async def main():
    trace.set("4bf92f35")
    async with app:
        tasks = [on_loop, in_thread, in_process, in_process_async]
        handles = [await each.dispatch() for each in tasks]
        failing = await fails().dispatch()
        trace.set("of the worker")
        await Worker(app=app, burst=True).start()
        found = {each.name: await handle.result(timeout=60) for each, handle in zip(tasks, handles)}
        assert await failing.status() is State.DEAD
        print(json.dumps({"pid": os.getpid(), "loop": threading.get_ident(), "found": found}))


if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], list[list[str]]]:
    """Run the program, and return what it printed and the lines of its plugin."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "trace_hooks.py").write_text(PLUGIN)
    (folder / "traced.py").write_text(PROGRAM)
    info = folder / "oak_trace-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: oak-trace\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[asynctasq.hooks]\ntrace = trace_hooks\n")
    done = subprocess.run(
        [sys.executable, "traced.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("changes nothing") >= 4  # logged, and no attempt failed
    seen = [line.split() for line in (folder / "seen").read_text().splitlines()]
    return json.loads(done.stdout), seen


def test_the_context_of_the_caller_reaches_the_task_everywhere(
    output: tuple[dict[str, object], list[list[str]]],
) -> None:
    printed, _ = output
    found = printed["found"]
    assert isinstance(found, dict)
    for name, (trace, entered, pid, thread) in found.items():
        assert (trace, entered) == ("4bf92f35", True), name
        assert (pid == printed["pid"]) is ("in_process" not in name)
        if "in_process" not in name:
            assert (thread == printed["loop"]) is name.endswith("on_loop")


def test_the_error_of_a_task_is_seen_in_its_child(
    output: tuple[dict[str, object], list[list[str]]],
) -> None:
    printed, seen = output
    [(_, error, pid)] = [line for line in seen if line[0] == "fails"]
    assert error == "ZeroDivisionError"
    assert int(pid) != printed["pid"]
    assert {line[1] for line in seen if line[0] != "fails"} == {"none"}
