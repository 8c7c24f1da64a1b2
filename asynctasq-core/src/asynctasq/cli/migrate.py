"""`asynctasq migrate`: bring the tables of a store to the version that this release needs."""

import asyncio
import sys
from collections.abc import Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

import click

from asynctasq.cli.exit_codes import ExitCode, exit_code_help
from asynctasq.cli.operator_commands import OperatorCommand, find_app, require_store
from asynctasq.cli.options import app_option, driver_option
from asynctasq.contracts.capabilities import Capability, SchemaState, SupportsSchema
from asynctasq.contracts.driver import Driver

if TYPE_CHECKING:
    from asynctasq.app import App


@click.command(
    cls=OperatorCommand,
    epilog=exit_code_help(
        ExitCode.UNAVAILABLE,
        done="up to date",
        failed="not up to date (with --check), or newer than this release",
    ),
)
@app_option
@driver_option
@click.option(
    "--check", is_flag=True, help="Report whether the tables are up to date. Change nothing."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the statements that would be executed, for the client of the database. Change nothing.",
)
def command(target: str | None, driver: str | None, check: bool, dry_run: bool) -> None:
    """Bring the tables of a store and of the outbox up to date. Messages stay as they are.

    Queue files of the sqlite driver are also migrated when they are opened.
    """
    if check and dry_run:
        raise click.UsageError("Pass either --check or --dry-run.")
    mode = Mode.CHECK if check else Mode.DRY_RUN if dry_run else Mode.MIGRATE
    app = find_app(target, driver)
    is_done = True
    for each in unopened_drivers(app):
        is_done &= asyncio.run(_migrate_store(each, mode))
    if app.settings.outbox is not None:
        is_done &= asyncio.run(_migrate_outbox(app, mode))
    if not is_done and not dry_run:
        sys.exit(ExitCode.FAILED)


class Mode(Enum):
    """The use of the tables: to migrate, check or only print."""

    MIGRATE = auto()
    CHECK = auto()
    DRY_RUN = auto()

    def say(self, text: str) -> None:
        """Print a line; as a comment among statements."""
        click.echo(f"-- {text}" if self is Mode.DRY_RUN else text)


class _HasTables(Protocol):
    """A driver or an outbox with tables."""

    async def schema(self) -> SchemaState: ...

    async def migrate(self, *, dry_run: bool = False) -> Sequence[str]: ...


async def _migrate_store(driver: Driver, mode: Mode) -> bool:
    """Do with a store what the mode says; return whether its tables are up to date at the end.

    The store is not opened first: a driver may refuse to open a store that lacks its tables, or migrate it.
    """
    mode.say(f"Store: {driver.description}")
    if Capability.SCHEMA not in driver.capabilities or not isinstance(driver, SupportsSchema):
        mode.say("This store has no tables: nothing to do.")
        return True
    if mode is not Mode.MIGRATE:
        require_store(driver.description)
    return await _migrate(driver, mode, is_sql=Capability.TRANSACTIONS in driver.capabilities)


async def _migrate_outbox(app: "App", mode: Mode) -> bool:
    """Do with the outbox what the mode says; return whether its tables are up to date at the end."""
    from asynctasq.app import stores_of

    found = stores_of(app).outbox
    if found is None:
        return True
    mode.say(f"Outbox: {found.description}")
    if mode is not Mode.MIGRATE:
        require_store(found.description)
    outbox = found.new()
    try:
        await outbox.open()
        return await _migrate(outbox, mode, is_sql=True)
    finally:
        await outbox.close()


async def _migrate(tables: _HasTables, mode: Mode, *, is_sql: bool) -> bool:
    if mode is Mode.DRY_RUN:
        for statement in await tables.migrate(dry_run=True):
            text = statement.strip()
            click.echo(f"{text.removesuffix(';')};" if is_sql else text)
    elif mode is Mode.MIGRATE:
        for step in await tables.migrate():
            click.echo(f"- {step}")
    return _report(await tables.schema(), mode)


def unopened_drivers(app: "App") -> list[Driver]:
    """Return the driver of the app; the queue and its state store if it is composed of two."""
    from asynctasq.app import stores_of
    from asynctasq.drivers.composed import ComposedDriver

    driver = stores_of(app).default.driver.clone()
    if isinstance(driver, ComposedDriver):
        return [driver.queue, driver.state]
    return [driver]


def _report(state: SchemaState, mode: Mode) -> bool:
    if state.current == state.needed:
        mode.say(f"Up to date: version {state.current}.")
    elif state.current < state.needed:
        mode.say(
            f"Version {state.current}; this release needs {state.needed}. Run asynctasq migrate."
        )
    else:
        mode.say(
            f"Version {state.current}; this release knows {state.needed} and older. Upgrade asynctasq."
        )
    return state.current == state.needed
