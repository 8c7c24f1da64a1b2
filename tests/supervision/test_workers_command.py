"""`asynctasq workers`."""

import json
from collections.abc import Callable
from typing import Any

from asynctasq import App
from asynctasq.contracts.capabilities import WorkerInfo
from tests.cli.processes import WorkerProcess, asynctasq, until
from tests.cli.test_worker_command import result_of


async def test_workers_are_listed_with_their_heartbeat(
    app: App, tasks: Any, start_worker: Callable[..., WorkerProcess]
) -> None:
    handle = await app.dispatch(tasks.add(1, 1))
    worker = start_worker("--app", "shop", "--worker-id", "w1", "--concurrency", "7")
    assert await result_of(handle) == 2
    found: list[dict[str, Any]] = []

    def listed() -> bool:
        found[:] = json.loads(asynctasq("workers", "--json").stdout)
        return bool(found)

    await until(listed, "the worker is listed")
    [shown] = found
    assert (shown["id"], shown["pid"], shown["concurrency"]) == ("w1", worker.pid, 7)
    assert shown["queues"] == ["default"]
    assert 0 <= shown["heartbeat_age"] < 60
    table = asynctasq("workers", "--app", "shop").stdout
    assert "w1" in table
    assert "of 7" in table


async def test_no_workers_are_no_error(app: App) -> None:
    await app.driver()
    assert asynctasq("workers").stdout == "No workers.\n"
    assert json.loads(asynctasq("workers", "--json").stdout) == []


async def test_a_worker_that_has_not_reported_for_long_has_an_old_heartbeat(app: App) -> None:
    driver: Any = await app.driver()
    await driver.record_worker(
        WorkerInfo("w1", "host", 1, 100.0, ("a", "b"), 5, 2, "1.0", seen_at=200.0), ttl=1e6
    )
    [shown] = json.loads(asynctasq("workers", "--json").stdout)
    assert shown["heartbeat_age"] > 1e6
    assert " d ago" in asynctasq("workers").stdout


async def test_a_store_without_a_registry_says_so() -> None:
    outcome = asynctasq("workers", "--driver", "nonsense")
    assert outcome.returncode == 1
    assert "nonsense" in outcome.stderr
