"""Options and output of commands, for built-in ones and for those of plugins.

@cli.command(cls=OperatorCommand)
@store_options
def backlog(target, driver, as_json):
    with Store(target, driver) as store:
        queues = store.run(store.app.queues.all())
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from asynctasq.cli.app_option import one_app
from asynctasq.cli.operator_commands import AppSession, OperatorCommand, Store, confirm

__all__ = [
    "AppSession",
    "OperatorCommand",
    "Store",
    "app_option",
    "complete_driver",
    "complete_queue",
    "confirm",
    "cursor_option",
    "driver_option",
    "json_option",
    "limit_option",
    "page_options",
    "print_json",
    "store_options",
    "wide_option",
    "yes_option",
]

F = TypeVar("F", bound=Callable[..., Any])


def complete_driver(_: click.Context, _option: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of installed drivers."""
    from asynctasq.cli.environment import plugin_registry
    from asynctasq.errors import AsynctasqError

    try:
        return [name for name in plugin_registry().names("driver") if name.startswith(incomplete)]
    except AsynctasqError:  # a wrong `disable_plugins`
        return []


def complete_queue(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of queues, unless the store takes longer than a second."""
    from asynctasq.errors import AsynctasqError

    try:
        with Store(ctx.params.get("target"), ctx.params.get("driver")) as store:
            found = store.run(asyncio.wait_for(store.app.queues.all(bound=1), timeout=1.0))
    except (AsynctasqError, TimeoutError):
        return []
    return [queue.name for queue in found if queue.name.startswith(incomplete)]


app_option = click.option(
    "--app",
    "target",
    multiple=True,
    callback=one_app,
    metavar="MODULE[:APP]",
    help="Import this module and use the store of its APP, or of its asynctasq.init(...).",
)
"""Option `--app`; the parameter is `target: str | None`."""
driver_option = click.option(
    "--driver",
    metavar="NAME|URL",
    shell_complete=complete_driver,
    help="Use this store instead of the one in the settings.",
)
"""Option `--driver`; the parameter is `driver: str | None`."""
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
"""Option `--json`; the parameter is `as_json: bool`."""
wide_option = click.option(
    "--wide", is_flag=True, help="Print full IDs and texts in lines of any length."
)
"""Option `--wide`; the parameter is `wide: bool`."""
limit_option = click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=0),
    default=50,
    help="List at most this many; 0 lists all.  [default: 50]",
)
"""Option `--limit`; the parameter is `limit: int`."""
cursor_option = click.option("--cursor", metavar="CURSOR", help="Continue after the previous page.")
"""Option `--cursor`; the parameter is `cursor: str | None`."""
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
"""Option `--yes`; the parameter is `yes: bool`, for `confirm`."""


def store_options(command: F) -> F:
    """Add the options that select the store, and `--json`: the parameters `target`, `driver` and `as_json`."""
    return app_option(driver_option(json_option(command)))


def page_options(command: F) -> F:
    """Add the options of a listing with pages: `--limit`, `--cursor` and `--wide`."""
    return limit_option(cursor_option(wide_option(command)))


def print_json(document: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=2))
