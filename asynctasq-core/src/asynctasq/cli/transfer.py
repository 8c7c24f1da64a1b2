"""`asynctasq export` and `import`: move the tasks of a queue through a file of JSON lines."""

from typing import IO

import click

from asynctasq.cli.exit_codes import STORE_CODES, ExitCode, exit_code_help
from asynctasq.cli.operator_commands import (
    OperatorCommand,
    Store,
    count_of,
)
from asynctasq.cli.options import (
    app_option,
    complete_queue,
    driver_option,
    print_json,
    store_options,
)
from asynctasq.cli.queues import queue_argument, queue_name

FAILED_SHOWN = 20
"""Largest number of failed lines that are printed."""


@click.command(cls=OperatorCommand, epilog=exit_code_help(*STORE_CODES))
@queue_argument
@click.option("--dead", is_flag=True, help="Export the dead letters of the queue, too.")
@click.option(
    "--output",
    "-o",
    type=click.File("w", encoding="utf-8", atomic=True),
    default="-",
    metavar="FILE",
    help="Write to this file, which appears when it is complete.",
)
@app_option
@driver_option
def export_command(
    queue: str, dead: bool, output: IO[str], target: str | None, driver: str | None
) -> None:
    """Print the waiting tasks of a queue as JSON lines, which `asynctasq import` reads.

    The queue stays as it is. Pause it first if its workers are to leave the tasks alone.
    """

    async def run() -> None:
        async for line in store.app.tasks.export(queue, dead=dead):
            click.echo(line, file=output)

    with Store(target, driver) as store:
        store.run(run())


@click.command(
    cls=OperatorCommand, epilog=exit_code_help(*STORE_CODES, failed="a line was not imported")
)
@click.argument("file", type=click.File("rb"), metavar="FILE")
@click.option(
    "--queue",
    metavar="NAME",
    callback=lambda ctx, option, given: given and queue_name(ctx, option, given),
    shell_complete=complete_queue,
    help="Put all tasks into this queue.",
)
@store_options
def import_command(
    file: IO[bytes], queue: str | None, target: str | None, driver: str | None, as_json: bool
) -> None:
    """Dispatch the tasks of a file that `asynctasq export` wrote; - reads stdin.

    They keep their IDs, so that a repeated import adds nothing, and their times. Their attempts start from 0
    again.
    """
    with Store(target, driver) as store:
        try:
            counts = store.run(store.app.tasks.import_(file, queue=queue))
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        print_json(
            {
                "added": counts.added,
                "skipped": counts.skipped,
                "failed": [{"line": number, "why": why} for number, why in counts.failed],
            }
        )
    else:
        for number, why in counts.failed[:FAILED_SHOWN]:
            click.echo(f"Line {number}: {why}", err=True)
        if len(counts.failed) > FAILED_SHOWN:
            click.echo(f"... and {len(counts.failed) - FAILED_SHOWN:,} more", err=True)
        skipped = f"; {counts.skipped:,} known already" if counts.skipped else ""
        failed = f"; {count_of(len(counts.failed), 'line')} failed" if counts.failed else ""
        click.echo(f"Imported {count_of(counts.added, 'task')}{skipped}{failed}.")
    click.get_current_context().exit(ExitCode.FAILED if counts.failed else ExitCode.DONE)
