"""The listing of finished tasks in `asynctasq tasks`."""

import json
import time
from collections.abc import Sequence
from typing import Any

import click

from asynctasq.cli import formatting
from asynctasq.cli.operator_commands import Store
from asynctasq.cli.stats import duration_text
from asynctasq.cli.tables import Cell, Column, is_narrow, print_table
from asynctasq.cli.times import age
from asynctasq.message import State
from asynctasq.operations import TaskInfo
from asynctasq.operations.ids import short_ids

NOTE = (
    "Each worker reports the last 100 tasks of each queue, and the 20 slowest of the last hour. Older ones are "
    "not listed."
)
ALL = 1_000_000


def list_finished(
    store: Store,
    states: Sequence[State],
    *,
    queue: str | None,
    task: str | None,
    since: float | None,
    until: float | None,
    limit: int,
    wide: bool,
    as_json: bool,
) -> None:
    """Print the tasks that have finished, the latest first.

    Args:
        store: of the command.
        states: COMPLETED or CANCELLED.
        queue: only this queue.
        task: only tasks whose name matches this pattern.
        since: only tasks that were enqueued at this time or later.
        until: only tasks that were enqueued before this time.
        limit: number of tasks; 0 for all.
        wide: print all columns.
        as_json: print JSON.
    """
    found = store.run(store.app.metrics.finished(queue=queue, task=task, states=states, limit=ALL))
    chosen = [
        info
        for info in found
        if (since is None or (info.enqueued_at or 0.0) >= since)
        and (until is None or (info.enqueued_at or 0.0) < until)
    ][: limit or ALL]
    if as_json:
        lines = ",\n".join(json.dumps(finished_object(info)) for info in chosen)
        click.echo(f'{{"tasks": [\n{lines}\n], "cursor": null}}')
        return
    if chosen:
        _print_table(chosen, wide=wide)
    else:
        click.echo(f"No matching tasks in {store.name}.")
    click.echo(NOTE, err=True)


def finished_object(info: TaskInfo) -> dict[str, Any]:
    """Return a finished task as JSON data."""
    about = info.about
    return {
        **formatting.task_object(info),
        "started_at": None if about is None else about.started_at,
        "run_seconds": None if about is None else about.seconds,
    }


def _print_table(found: Sequence[TaskInfo], *, wide: bool) -> None:
    now = time.time()
    ids = [info.id for info in found]
    shown = dict(zip(ids, short_ids(ids), strict=True)) if is_narrow(wide=wide) else {}

    def run_time(info: TaskInfo) -> str:
        return duration_text(None if info.about is None else info.about.seconds)

    columns: list[Column[TaskInfo]] = [
        Column("ID", lambda info: shown.get(info.id, info.id)),
        Column("Task", formatting.task_name, cut_at=60, fold_at=14),
        Column(
            "State",
            lambda info: Cell(info.state.value, formatting.STYLES.get(info.state, "")),
            rank=2,
        ),
        Column("Queue", lambda info: info.queue or "", rank=3, fold_at=8),
        Column("Finished", lambda info: f"{age(info.finished_at, now)} ago", rank=1, right=True),
        Column("Run time", run_time, right=True),
        Column("Runs", lambda info: str(info.attempts or ""), rank=4, right=True),
        Column("Worker", lambda info: info.worker or "", rank=5, shrink_to=10),
    ]
    print_table(columns, found, wide=wide)
