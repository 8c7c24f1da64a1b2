"""IDs of workers on the command line."""

from dataclasses import replace

import click
import pytest

from asynctasq.cli.worker_ids import NoSuchWorker, select_workers
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
