"""The command `asynctasq top`."""

import sys

import click

from asynctasq.cli.exit_codes import STORE_CODES, exit_code_help
from asynctasq.cli.operator_commands import OperatorCommand, Store
from asynctasq.cli.options import app_option, driver_option

INTERVAL_SECONDS = 2.0


@click.command(cls=OperatorCommand, epilog=exit_code_help(*STORE_CODES))
@click.option(
    "--interval",
    type=click.FloatRange(min=0.5),
    default=INTERVAL_SECONDS,
    metavar="SECONDS",
    help="Seconds between two readings of the store.  [default: 2]",
)
@app_option
@driver_option
def command(interval: float, target: str | None, driver: str | None) -> None:
    """Watch queues, workers and running tasks.

    Keys: arrows select a queue, p pauses or resumes it, q quits. Out is the number of tasks per
    minute that ended in the last minutes, as workers report it. In is estimated from it and from the growth of
    the queue. The longest runs come first.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(
            "This command needs a terminal. In a script, use asynctasq queues --json."
        )
    from asynctasq.cli.known_queues import declared_queues
    from asynctasq.cli.top.readings import Reader
    from asynctasq.cli.top.screen import Screen
    from asynctasq.cli.top.view import LiveView

    screen = Screen()
    with Store(target, driver) as store:
        reader = Reader(store.app, sorted(declared_queues(store.app)))
        code = store.run(LiveView(store.app, store.name, reader, screen, interval).run())
    if code:
        sys.exit(code)
