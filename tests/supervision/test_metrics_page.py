"""Metrics of workers over HTTP, alone and of several processes together."""

import http.client
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asynctasq import App
from tests.cli.processes import WorkerProcess, until
from tests.cli.test_worker_command import result_of
from tests.supervision.probes import ask, port_of

StartWorker = Callable[..., WorkerProcess]
Samples = dict[tuple[str, tuple[str, ...]], float]


def page(port: int, *, method: str = "GET", accept: str = "") -> tuple[str, str]:
    """Return the content type and the text of `/metrics`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, "/metrics", headers={"Accept": accept} if accept else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, text
    return str(answer.getheader("Content-Type")), text


def scraped(port: int) -> Samples:
    """Return the samples by name and values of the labels, which the library sorts by their names."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page(port)[1])
        for sample in family.samples
    }


def attempts(port: int, outcome: str = "completed", *, task: str = "shop:add") -> float:
    """Return how many attempts of a task had an outcome."""
    key = ("asynctasq_attempts_total", (outcome, "default", task))
    return scraped(port).get(key, 0.0)


async def test_a_worker_serves_what_it_has_counted(
    app: App, tasks: Any, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker("--app", "shop", "--health-port", "0", "--concurrency", "7")
    port = await port_of(worker)
    held = await app.dispatch(tasks.held("go"))
    for handle in await app.dispatch_many([tasks.add(1, number) for number in range(20)]):
        await result_of(handle)
    await result_of(await app.dispatch(tasks.flaky("secret")))
    await until(lambda: attempts(port) == 20, "all are counted")
    await until(lambda: attempts(port, task="shop:flaky") == 1, "the second run is counted")
    found = scraped(port)
    assert found["asynctasq_attempts_total", ("retried", "default", "shop:flaky")] == 1
    assert found["asynctasq_attempt_seconds_count", ("default", "shop:add")] == 20
    assert found["asynctasq_attempt_seconds_bucket", ("+Inf", "default", "shop:add")] == 20
    assert found["asynctasq_start_latency_seconds_count", ("default", "shop:add")] == 20
    assert found["asynctasq_attempt_seconds_sum", ("default", "shop:add")] > 0
    bounds = [value for (name, labels), value in found.items() if "shop:add" in labels
              and name == "asynctasq_start_latency_seconds_bucket"]  # fmt: skip
    assert len(bounds) == 16
    assert bounds == sorted(bounds)
    assert found["asynctasq_running", ()] == 1
    assert found["asynctasq_slots", ()] == 7
    assert found["asynctasq_processes", ()] == 1
    assert "secret" not in page(port)[1]
    (tmp_path / "go").touch()
    await result_of(held)


@pytest.mark.usefixtures("tasks")
async def test_the_client_chooses_the_format(start_worker: StartWorker) -> None:
    port = await port_of(start_worker("--app", "shop", "--health-port", "0"))
    await until(lambda: ask(port, "/readyz")[0] == 200, "it is ready")
    kind, text = page(port)
    assert kind.startswith("text/plain")
    assert "# TYPE asynctasq_slots gauge" in text
    kind, text = page(port, accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")
    assert page(port, method="HEAD")[1] == ""


@pytest.mark.full
async def test_counts_of_several_processes_never_decrease(
    app: App, tasks: Any, start_worker: StartWorker
) -> None:
    """They go on through processes that are replaced after some tasks, and through one that is killed."""
    worker = start_worker(
        "--app", "shop", "--processes", "2", "--health-port", "0", "--max-tasks", "6"
    )
    port = await port_of(worker)
    seen = [0.0]
    for number in range(2):
        for handle in await app.dispatch_many([tasks.add(number, each) for each in range(8)]):
            await result_of(handle)
        seen.append(attempts(port))
        assert seen[-1] >= seen[-2]
    await until(lambda: attempts(port) == 16, "all are counted")

    def processes() -> list[dict[str, Any]]:
        return [each for each in ask(port, "/status")[1]["processes"] if each["status"]]

    await until(lambda: len(processes()) == 2, "both run")
    os.kill(processes()[0]["pid"], signal.SIGKILL)
    await until(lambda: len(processes()) == 1, "one is seen dead")
    assert attempts(port) == 16
    await until(lambda: len(processes()) == 2, "it is replaced")
    await result_of(await app.dispatch(tasks.add(1, 1)))
    await until(lambda: attempts(port) == 17, "the new process counts on")
