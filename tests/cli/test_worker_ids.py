"""IDs of workers on the command line."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click
import pytest
from click.testing import Result

from asynctasq import App
from asynctasq.cli.worker_ids import NoSuchWorker, select_workers
from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
from tests.cli.stores import with_store
from tests.cli.test_top_command import WORKER

IDS = ("web-1-4711-a1b2", "web-2-4712-c3d4", "w1")
WORKERS = [replace(WORKER, id=each, queues=(each[:3],)) for each in IDS]


def select(*given: str, queue: str | None = None) -> list[str]:
    return select_workers(WORKERS, given, queue=queue, place="here")


def test_workers_are_selected_by_id_part_and_queue() -> None:
    assert select("w1") == ["w1"]
    assert select("a1b2", "web-2", "web-1-4711-a1b2") == [IDS[0], IDS[1]]
    assert select(queue="web") == [IDS[0], IDS[1]]
    assert select() == list(IDS)


@pytest.mark.parametrize("part", ["b2", "none", ""])
def test_short_and_unknown_parts_name_the_workers(part: str) -> None:
    with pytest.raises(NoSuchWorker, match="Workers: web-1-4711-a1b2, web-2-4712-c3d4, w1"):
        select(part)


def test_ambiguous_parts_are_refused() -> None:
    with pytest.raises(click.UsageError, match=r"ambiguous\. It matches: web-1-.*, web-2-"):
        select("web-")


def test_unknown_workers_and_wrong_usage_are_errors(invoke: Callable[..., Result]) -> None:
    with_store(lambda app: app.driver())
    done = invoke("workers", "stop", "w1")
    assert done.exit_code == 5
    assert "begins or ends with 'w1'. Workers: none." in done.stderr
    assert invoke("workers", "stop").exit_code == 2
    assert invoke("workers", "stop", "w1", "--all").exit_code == 2
    assert invoke("workers", "stop", "--all").stdout == "No workers.\n"


def test_the_answers_of_several_workers_are_printed(invoke: Callable[..., Result]) -> None:
    async def some(app: App) -> None:
        driver: Any = await app.driver()
        for each in WORKERS:
            owner = "" if each.id == "w1" else f"{each.id}/1"
            await driver.record_worker(replace(each, owner=owner), ttl=600.0)
        await app.request_workers([IDS[0]], WorkerRequest.STOP)

    with_store(some)
    done = invoke("workers", "quiet", "--all")
    assert done.exit_code == 2
    assert "Make 3 workers quiet? Cannot ask" in done.stderr
    done = invoke("workers", "quiet", "--all", "--yes")
    assert done.exit_code == 1
    assert sorted(done.stdout.splitlines()) == [
        "w1: it is gone, or its release takes no requests",
        "web-1-4711-a1b2: stopping already",
        "web-2-4712-c3d4: quiet",
    ]
    done = invoke("workers", "resume", "c3d4", "--json")
    assert json.loads(done.stdout) == [{"id": IDS[1], "request": "run"}]
