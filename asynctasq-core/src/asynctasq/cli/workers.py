"""`asynctasq workers`: who serves a store."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from asynctasq.cli.exit_codes import OF_STORES, told
from asynctasq.cli.operating import OperatorCommand, Store, print_json, store_options

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities import WorkerInfo

LATE_SECONDS = 30.0
"""Workers tell of themselves every ten seconds."""


@click.command(cls=OperatorCommand, epilog=told(*OF_STORES))
@store_options
def command(target: str | None, driver: str | None, as_json: bool) -> None:
    """Show the workers that live. One that was killed is shown for another minute.

    The heartbeat is the time since it last told of itself.
    """
    with Store(target, driver) as store:
        found = store.run(store.app.workers())
    now = time.time()
    if as_json:
        print_json([{**asdict(each), "heartbeat_age": round(_age(each, now), 3)} for each in found])
    elif found:
        _print_table(found, now)
    else:
        click.echo("No workers.")


def _age(worker: "WorkerInfo", now: float) -> float:
    return max(0.0, now - worker.seen_at)


def _print_table(found: "Sequence[WorkerInfo]", now: float) -> None:
    from asynctasq.cli.tables import Cell, Column, print_table
    from asynctasq.cli.times import duration

    columns = [
        Column("Worker", fold_at=24),
        Column("Host", rank=4),
        Column("PID", rank=3, right=True),
        Column("Queues", rank=2, fold_at=20),
        Column("Running"),
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
    print_table(columns, rows)
