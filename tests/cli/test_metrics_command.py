"""`asynctasq metrics`: metrics of a store, printed once and served."""

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import Result
from prometheus_client.parser import text_string_to_metric_families

from asynctasq import App, Worker, task
from asynctasq.exposition import rendering
from tests.cli.processes import WorkerProcess
from tests.cli.stores import with_store

Invoke = Callable[..., Result]


@task(queue="sums", name="metrics.adds")
async def adds(number: int) -> int:
    return number + 1


async def ran(app: App) -> None:
    await app.dispatch_many([adds(number) for number in range(12)])
    await Worker(app=app, queues=["sums"], burst=True, handle_signals=False).start()
    await app.dispatch_many([adds(number) for number in range(30)])
    await app.dispatch(adds(1).delay(3600))
    await app.queues.pause("sums")


@pytest.fixture
def filled() -> None:
    with_store(ran)


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.usefixtures("filled")
def test_metrics_are_printed_once(invoke: Invoke) -> None:
    done = invoke("metrics")
    assert done.exit_code == 0, done.output
    found = samples(done.stdout)
    assert found["asynctasq_up",] == 1
    assert found["asynctasq_messages", "sums", "ready"] == 30
    assert found["asynctasq_messages", "sums", "scheduled"] == 1
    assert found["asynctasq_messages", "sums", "running"] == 0
    assert found["asynctasq_queue_paused", "sums"] == 1
    assert 0 <= found["asynctasq_oldest_ready_seconds", "sums"] < 600


def test_without_the_library_the_command_says_what_to_install(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "LIBRARY", "no_such_library")
    done = invoke("metrics")
    assert done.exit_code == 1
    assert "pip install 'asynctasq[prometheus]'" in done.output
    page = rendering.metrics_page([])
    assert page.status == 501
    assert b"pip install" in page.body


def asked(port: int, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    is_json = answer.getheader("Content-Type") == "application/json"
    return answer.status, json.loads(body) if is_json else body


@pytest.fixture
def serving() -> Iterator[WorkerProcess]:
    process = WorkerProcess(["--port", "0"], command="metrics")
    yield process
    process.close()


@pytest.mark.usefixtures("filled")
async def test_metrics_are_served_to_prometheus_and_to_autoscalers(serving: WorkerProcess) -> None:
    process = serving
    await process.told("Serving metrics of ")
    line = next(line for line in process.output.splitlines() if "Serving metrics of " in line)
    port = int(line.rpartition(":")[2].partition("/")[0])
    code, text = asked(port, "/metrics")
    assert code == 200
    assert samples(text)["asynctasq_messages", "sums", "ready"] == 30
    code, found = asked(port, "/scale?queue=sums&within=0.001")
    assert code == 200
    assert (found["queue"], found["ready"], found["scheduled"], found["running"]) == (
        "sums",
        30,
        1,
        0,
    )
    assert found["finished_per_second"] == pytest.approx(12 / 330, rel=0.2)
    assert found["wanted_slots"] >= 30 * found["mean_run_seconds"] / 0.001
    assert found["seconds_to_empty"] > 0
    assert asked(port, "/scale?queue=nothing")[1]["wanted_slots"] == 0
    for wrong in (
        "/scale",
        "/scale?queue=sums&within=0",
        "/scale?queue=sums&within=x",
        "/scale?queue=",
    ):
        code, problem = asked(port, wrong)
        assert code == 400, wrong
        assert problem["problems"]
    assert asked(port, "/other")[0] == 404
