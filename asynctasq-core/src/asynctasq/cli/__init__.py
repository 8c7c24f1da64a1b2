"""The command line `asynctasq`. Each command is imported when it is run."""

import click

from asynctasq import __version__
from asynctasq.cli.commands import Commands
from asynctasq.config.sources import DEBUG


@click.group(
    cls=Commands,
    built_in={
        "worker": ("asynctasq.cli.worker:command", "Run tasks until told to stop."),
        "workers": ("asynctasq.cli.workers:command", "Show the workers of a store."),
        "queues": ("asynctasq.cli.queues:command", "Show, pause, resume and purge queues."),
        "tasks": ("asynctasq.cli.tasks:command", "List, show, cancel and retry tasks."),
        "dead": ("asynctasq.cli.dead:command", "List, show, retry and delete dead letters."),
        "demo": ("asynctasq.cli.demo:command", "See tasks dispatched, run, retried and failed."),
        "plugins": ("asynctasq.cli.plugins:command", "Show what is installed."),
        "drivers": ("asynctasq.cli.drivers:command", "Check whether a driver keeps the contract."),
        "migrate": ("asynctasq.cli.migrate:command", "Bring a store's tables up to date."),
        "completion": ("asynctasq.cli.completion:command", "Let the shell complete commands."),
        "publish": ("asynctasq.cli.publish:command", "Write a commented .env.example."),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 not done, 2 wrong usage, 3 no store, 4 capability missing, 5 no such "
    "task or queue.",
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
    """Task queue for asyncio in which stores, serializers and executors are plugins."""
