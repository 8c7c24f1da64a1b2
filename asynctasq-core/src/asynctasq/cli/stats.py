"""`asynctasq stats`: counts, run times and waiting times of tasks."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from asynctasq.cli.exit_codes import STORE_CODES, exit_code_help
from asynctasq.cli.operator_commands import OperatorCommand, Store
from asynctasq.cli.options import complete_queue, print_json, store_options, wide_option
from asynctasq.cli.times import moment

if TYPE_CHECKING:
    from asynctasq.operations import TaskStats

HOUR = 3600.0


@click.command(cls=OperatorCommand, epilog=exit_code_help(*STORE_CODES))
@click.option("--queue", metavar="NAME", shell_complete=complete_queue, help="Tasks of this queue.")
@click.option("--task", metavar="PATTERN", help="Tasks of this name, such as shop:pay or `shop:*`.")
@click.option(
    "--since",
    callback=moment,
    metavar="TIME",
    help="Runs since this time: 2h (ago), 2026-11-20.  [default: 1h]",
)
@click.option("--until", callback=moment, metavar="TIME", help="Runs before this time.")
@wide_option
@store_options
def command(
    queue: str | None,
    task: str | None,
    since: float | None,
    until: float | None,
    wide: bool,
    target: str | None,
    driver: str | None,
    as_json: bool,
) -> None:
    """Show how often tasks ran, and how long they ran and waited.

    Workers report their counts every ten seconds. Counts are kept by the minute for a day, and by the
    hour for thirty days. Run p50 is the run time that half of the runs did not exceed, and p95 the one
    that 95 % did not exceed. A run waits from the time at which it is due until it starts.
    """
    end = time.time() if until is None else until
    begin = end - HOUR if since is None else since
    with Store(target, driver) as store:
        found = store.run(store.app.metrics.tasks(queue=queue, task=task, since=begin, until=end))
    if as_json:
        print_json({"since": begin, "until": end, "tasks": [stats_object(each) for each in found]})
    elif found:
        _print_table(found, wide=wide)
    else:
        click.echo(f"No runs in {store.name} in this time.")


def stats_object(stats: "TaskStats") -> dict[str, Any]:
    """Return the counts of a task as JSON data, with times in seconds."""
    fields = asdict(stats)
    times = fields.pop("times")
    return {**fields, **times}


def duration_text(seconds: float | None) -> str:
    """Return a short duration, as in `12 ms`, `1.5 s` or `3.2 min`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 99.5:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200.0 else f"{seconds / HOUR:.3g} h"


def _print_table(found: "Sequence[TaskStats]", *, wide: bool) -> None:
    from asynctasq.cli.tables import Cell, Column, print_table

    columns: list[Column[TaskStats]] = [
        Column("Queue", lambda each: each.queue, rank=3, fold_at=12),
        Column("Task", lambda each: each.task, cut_at=60, fold_at=16),
        Column("Completed", lambda each: f"{each.completed:,}", right=True),
        Column("Retried", lambda each: f"{each.retried:,}", rank=2, right=True),
        Column("Dead", lambda each: Cell(f"{each.dead:,}", "red" if each.dead else ""), right=True),
        Column("Lost", lambda each: f"{each.lost:,}", rank=6, right=True),
        Column("Expired", lambda each: f"{each.expired:,}", rank=7, right=True),
        Column("Cancelled", lambda each: f"{each.cancelled:,}", rank=8, right=True),
        Column("Run p50", lambda each: duration_text(each.times.run.p50), right=True),
        Column("p95", lambda each: duration_text(each.times.run.p95), right=True),
        Column("Wait p50", lambda each: duration_text(each.times.wait.p50), rank=4, right=True),
        Column("p95", lambda each: duration_text(each.times.wait.p95), rank=5, right=True),
    ]
    print_table(columns, found, wide=wide)
