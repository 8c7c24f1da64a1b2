"""`asynctasq migrate`: bring the tables of a store to the version that this release needs."""

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from asynctasq.cli.exit_codes import ExitCode, exit_code_help
from asynctasq.cli.operator_commands import (
    OperatorCommand,
    app_option,
    driver_option,
    find_app,
    require_store,
)
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
    "--dry-run", is_flag=True, help="Print the statements that would be executed. Change nothing."
)
def command(target: str | None, driver: str | None, check: bool, dry_run: bool) -> None:
    """Bring the tables of a store and of the outbox up to date. Messages stay as they are.

    Queue files of the sqlite driver are also migrated when they are opened.
    """
    app = find_app(target, driver)
    is_done = True
    for each in _unopened_drivers(app):
        if check or dry_run:
            require_store(each.description)
            is_done &= asyncio.run(_inspect(each, prints_statements=dry_run))
        else:
            is_done &= asyncio.run(_migrate(each))
    if app.settings.outbox is not None:
        is_done &= asyncio.run(
            _migrate_outbox(app, changes=not (check or dry_run), prints_statements=dry_run)
        )
    if not is_done and not dry_run:
        sys.exit(ExitCode.FAILED)


async def _migrate(driver: Driver) -> bool:
    """Migrate a store; return whether its tables are up to date at the end.

    The store is not opened first: a driver may refuse to open a store that lacks its tables.
    """
    store = _with_tables(driver)
    if store is None:
        return True
    for step in await store.migrate():
        click.echo(f"- {step}")
    return _report(await store.schema())


async def _inspect(driver: Driver, *, prints_statements: bool) -> bool:
    """Look at a store without opening it, which may migrate it; return whether it is up to date."""
    store = _with_tables(driver)
    if store is None:
        return True
    if prints_statements:
        for statement in await store.migrate(dry_run=True):
            click.echo(statement.strip())
    return _report(await store.schema())


async def _migrate_outbox(app: "App", *, changes: bool, prints_statements: bool) -> bool:
    """Migrate the outbox, or look at it; return whether its tables are up to date."""
    from asynctasq.app import stores_of

    found = stores_of(app).outbox
    if found is None:
        return True
    click.echo(f"Outbox: {found.description}")
    if not changes:
        require_store(found.description)
    outbox = found.new()
    try:
        await outbox.open()
        if prints_statements:
            for statement in await outbox.migrate(dry_run=True):
                click.echo(statement.strip())
        elif changes:
            for step in await outbox.migrate():
                click.echo(f"- {step}")
        return _report(await outbox.schema())
    finally:
        await outbox.close()


def _unopened_drivers(app: "App") -> list[Driver]:
    """Return the driver of the app; the queue and its state store if it is composed of two."""
    from asynctasq.app import stores_of
    from asynctasq.drivers.composed import ComposedDriver

    driver = stores_of(app).default.driver.clone()
    if isinstance(driver, ComposedDriver):
        return [driver.queue, driver.state]
    return [driver]


def _with_tables(driver: Driver) -> SupportsSchema | None:
    click.echo(f"Store: {driver.description}")
    if Capability.SCHEMA in driver.capabilities and isinstance(driver, SupportsSchema):
        return driver
    click.echo("This store has no tables: nothing to do.")
    return None


def _report(state: SchemaState) -> bool:
    if state.current == state.needed:
        click.echo(f"Up to date: version {state.current}.")
    elif state.current < state.needed:
        click.echo(
            f"Version {state.current}; this release needs {state.needed}. Run asynctasq migrate."
        )
    else:
        click.echo(
            f"Version {state.current}; this release knows {state.needed} and older. Upgrade asynctasq."
        )
    return state.current == state.needed
