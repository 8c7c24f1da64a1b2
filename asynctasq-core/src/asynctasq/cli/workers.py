"""`asynctasq workers`: list the workers of a store."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from asynctasq.cli.exit_codes import STORE_CODES, exit_code_help
from asynctasq.cli.operator_commands import OperatorCommand, Store
from asynctasq.cli.options import print_json, store_options, wide_option

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities import WorkerInfo


@click.command(cls=OperatorCommand, epilog=exit_code_help(*STORE_CODES))
@wide_option
@store_options
def command(wide: bool, target: str | None, driver: str | None, as_json: bool) -> None:
    """List the workers of a store. A worker that was killed stays listed for a minute.

    Running is the number of running tasks, updated once a second; prefetched messages are not
    counted. Heartbeat is the time since the last report of the worker.
    """
    with Store(target, driver) as store:
        found = store.run(store.app.workers())
    now = time.time()
    if as_json:
        print_json([{**asdict(each), "heartbeat_age": round(_age(each, now), 3)} for each in found])
    elif found:
        _print_table(found, now, wide=wide)
    else:
        click.echo("No workers.")
        click.echo("To start one: asynctasq worker --app MODULE", err=True)


def _age(worker: "WorkerInfo", now: float) -> float:
    return max(0.0, now - worker.seen_at)


def _print_table(found: "Sequence[WorkerInfo]", now: float, *, wide: bool) -> None:
    from asynctasq.cli.tables import Cell, Column, print_table
    from asynctasq.cli.times import duration
    from asynctasq.operations.hints import LATE_SECONDS

    def heartbeat(worker: "WorkerInfo") -> Cell:
        age = _age(worker, now)
        return Cell(f"{duration(age)} ago", "red" if age > LATE_SECONDS else "")

    columns: list[Column[WorkerInfo]] = [
        Column("Worker", lambda each: each.id, fold_at=24),
        Column("Host", lambda each: each.host, rank=4),
        Column("PID", lambda each: str(each.pid), rank=3, right=True),
        Column("Queues", lambda each: ", ".join(each.queues), rank=2, fold_at=20),
        Column("Running", lambda each: f"{each.running} of {each.concurrency}"),
        Column("Up", lambda each: duration(now - each.started_at), rank=1),
        Column("Heartbeat", heartbeat),
        Column("Version", lambda each: each.version, rank=5),
    ]
    print_table(columns, found, wide=wide)
