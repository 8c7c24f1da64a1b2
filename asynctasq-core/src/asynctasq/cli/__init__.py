"""The command line `asynctasq`. Each command is imported when it runs."""

import click

from asynctasq import __version__
from asynctasq.cli.commands import Commands
from asynctasq.cli.exit_codes import STORE_CODES, ExitCode, exit_code_help
from asynctasq.config.sources import DEBUG


@click.group(
    cls=Commands,
    built_in={
        "worker": ("asynctasq.cli.worker:command", "Run tasks."),
        "workers": ("asynctasq.cli.workers:command", "List workers, make them quiet, stop them."),
        "queues": ("asynctasq.cli.queues:command", "List, pause, resume and purge queues."),
        "tasks": ("asynctasq.cli.tasks:command", "List, show, cancel, move and retry tasks."),
        "dead": ("asynctasq.cli.dead:command", "List, show, retry and delete dead letters."),
        "export": (
            "asynctasq.cli.transfer:export_command",
            "Print the tasks of a queue as JSON lines.",
        ),
        "import": ("asynctasq.cli.transfer:import_command", "Dispatch the tasks of an export."),
        "schedules": (
            "asynctasq.cli.schedules:command",
            "List, pause, run and remove schedules.",
        ),
        "outbox": (
            "asynctasq.cli.outbox:command",
            "List, retry and delete messages of the outbox.",
        ),
        "stats": ("asynctasq.cli.stats:command", "Show counts, run times and waiting times."),
        "events": ("asynctasq.cli.events:command", "Print what happens to tasks, live."),
        "top": ("asynctasq.cli.top:command", "Watch queues, workers and running tasks."),
        "doctor": ("asynctasq.cli.doctor:command", "Check whether everything needed is there."),
        "metrics": ("asynctasq.cli.metrics:command", "Serve metrics of a store to Prometheus."),
        "demo": ("asynctasq.cli.demo:command", "Watch tasks run, fail, retry and survive a crash."),
        "plugins": ("asynctasq.cli.plugins:command", "List, check and create plugins."),
        "drivers": ("asynctasq.cli.drivers:command", "Run the conformance suite of drivers."),
        "migrate": ("asynctasq.cli.migrate:command", "Update the tables of a store."),
        "completion": ("asynctasq.cli.completion:command", "Install shell completion."),
        "publish": ("asynctasq.cli.publish:command", "Write a commented .env.example."),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=exit_code_help(*STORE_CODES, ExitCode.NOT_FOUND),
)
@click.version_option(
    __version__, "-V", "--version", prog_name="asynctasq", message="%(prog)s %(version)s"
)
@click.option(
    "--debug",
    is_flag=True,
    envvar=DEBUG,
    help=f"Show tracebacks of errors (also {DEBUG}=1).",
)
def main(debug: bool) -> None:
    """Task queue for asyncio with pluggable stores, serializers, executors and model resolvers."""
