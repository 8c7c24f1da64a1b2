"""The logs of a worker have fields about the task, and never its arguments."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from asynctasq import App
from tests.cli.processes import WorkerProcess

pytestmark = pytest.mark.sampled(2)

StartWorker = Callable[..., WorkerProcess]


async def logged(worker: WorkerProcess) -> list[dict[str, Any]]:
    """Every line that it has printed until its end."""
    assert await worker.ended() == 0, worker.output
    return [json.loads(line) for line in worker.output.splitlines()]


async def test_only_lines_of_a_task_have_its_fields(
    app: App, tasks: Any, start_worker: StartWorker
) -> None:
    modes = [tasks.add, tasks.add_in_thread, tasks.add_elsewhere]
    handles = [await app.dispatch(each(1, 2)) for each in modes]
    worker = start_worker("--app", "shop", "--burst", "--log-format", "json", "--worker-id", "w1")
    lines = await logged(worker)
    assert {line["worker_id"] for line in lines} == {"w1"}
    adding = {line["task_id"]: line for line in lines if line["message"] == "adding"}
    assert adding.keys() == set(handles)
    for handle, each in zip(handles, modes, strict=True):
        line = adding[handle]
        assert (line["task"], line["queue"]) == (f"shop:{each.fn.__name__}", "default")
        assert (line["attempt"], line["level"], line["logger"]) == (0, "info", "shop")
    assert adding[handles[0]]["terms"] == 2
    [started] = [line for line in lines if " started (" in line["message"]]
    assert "task_id" not in started
    assert started["concurrency"] == 100


async def test_attempts_have_their_number(app: App, tasks: Any, start_worker: StartWorker) -> None:
    handle = await app.dispatch(tasks.flaky("hunter2"))
    lines = await logged(start_worker("--app", "shop", "--burst", "--log-format", "json"))
    tries = [line for line in lines if line["message"] == "trying"]
    assert [(line["task_id"], line["attempt"]) for line in tries] == [(handle, 0), (handle, 1)]
    assert any(line.get("attempt") == 0 and "ConnectionError" in line["message"] for line in lines)


async def test_arguments_are_logged_on_request_only(
    app: App, tasks: Any, start_worker: StartWorker
) -> None:
    for asked in (False, True):
        await app.dispatch(tasks.flaky(secret="hunter2"))
        options = ["--log-arguments"] if asked else []
        worker = start_worker("--app", "shop", "--burst", "--log-level", "debug", *options)
        assert await worker.ended() == 0
        assert ("secret='hunter2'" in worker.output) is asked
        assert ("hunter2" in worker.output) is asked


async def test_a_line_with_an_exception_is_still_one_line(
    app: App, tasks: Any, start_worker: StartWorker
) -> None:
    from asynctasq.message import Message, new_id

    driver = await app.driver()
    await driver.enqueue([Message(new_id(), "default", "shop:add", b"\x00nonsense")])
    lines = await logged(start_worker("--app", "shop", "--burst", "--log-format", "json"))
    [dead] = [line for line in lines if line["level"] == "error"]
    assert "undecodable" in dead["message"]
    assert (dead["task"], dead["queue"], dead["reason"]) == ("shop:add", "default", "undecodable")
