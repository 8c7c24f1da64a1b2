"""`asynctasq workers`: who serves a store."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from asynctasq.cli.exit_codes import STORE_CODES, told
from asynctasq.cli.operator_commands import (
    OperatorCommand,
    Store,
    print_json,
    store_options,
    wide_option,
)

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities import WorkerInfo


@click.command(cls=OperatorCommand, epilog=told(*STORE_CODES))
@wide_option
@store_options
def command(wide: bool, target: str | None, driver: str | None, as_json: bool) -> None:
    """Show the live workers. One that was killed is shown for another minute.

    Running is the number of tasks that run, at most a second old; messages that a worker has fetched
    ahead are not counted. Heartbeat is the time since the worker last reported itself.
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

    columns = [
        Column("Worker", fold_at=24),
        Column("Host", rank=4),
        Column("PID", rank=3, right=True),
        Column("Queues", rank=2, fold_at=20),
        Column("InFlightMessage"),
        Column("Up", rank=1),
        Column("Heartbeat"),
        Column("Version", rank=5),
    ]
    rows: list[list[str | Cell]] = []
    for each in found:
        age = _age(each, now)
        rows.append(
            [
                each.id,
                each.host,
                str(each.pid),
                ", ".join(each.queues),
                f"{each.running} of {each.concurrency}",
                duration(now - each.started_at),
                Cell(f"{duration(age)} ago", "red" if age > LATE_SECONDS else ""),
                each.version,
            ]
        )
    print_table(columns, rows, wide=wide)
