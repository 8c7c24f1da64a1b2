"""`asynctasq workers`: who serves a store."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

import click

from asynctasq.app import App
from asynctasq.cli.application import load_application
from asynctasq.contracts.capabilities import Capability, SupportsWorkers, WorkerInfo, require

LATE_SECONDS = 30.0
"""Workers tell of themselves every ten seconds."""


@click.command()
@click.option(
    "--app",
    "target",
    metavar="MODULE[:APP]",
    help="Import this module first; look at the store of its APP, or of its asynctasq.init(...).",
)
@click.option("--driver", metavar="NAME|URL", help="The store, instead of the one in the settings.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, for programs.")
def command(target: str | None, driver: str | None, as_json: bool) -> None:
    """Show the workers that live. One that was killed is shown for another minute.

    The heartbeat is the time since it last told of itself.
    """
    app = load_application(target)
    app.close_sync()
    if driver is not None:
        app.override({"driver": driver})
    found = asyncio.run(_workers(app))
    if as_json:
        now = time.time()
        shown = [{**asdict(each), "heartbeat_age": round(_age(each, now), 3)} for each in found]
        click.echo(json.dumps(shown, indent=2))
    else:
        _print_table(found)


async def _workers(app: App) -> list[WorkerInfo]:
    async with app:
        store = require(
            await app.driver(), Capability.WORKERS, SupportsWorkers, purpose="Listing workers"
        )
        return await store.workers()


def _age(worker: WorkerInfo, now: float) -> float:
    return max(0.0, now - worker.seen_at)


def _print_table(found: Sequence[WorkerInfo]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for title in ("Worker", "Host", "PID", "Queues", "Running", "Up", "Heartbeat", "Version"):
        table.add_column(title, no_wrap=True)
    now = time.time()
    for each in found:
        age = _age(each, now)
        table.add_row(
            Text(each.id),
            Text(each.host),
            Text(str(each.pid)),
            Text(", ".join(each.queues)),
            Text(f"{each.running} of {each.concurrency}"),
            Text(_duration(now - each.started_at)),
            Text(f"{_duration(age)} ago", style="red" if age > LATE_SECONDS else ""),
            Text(each.version),
        )
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 1000)
    console.print(table if found else "No workers.")


def _duration(seconds: float) -> str:
    """In the largest unit that leaves at least two of it."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"
