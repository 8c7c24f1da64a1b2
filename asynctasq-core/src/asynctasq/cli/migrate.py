"""`asynctasq migrate`: bring the tables of a store to what this release needs."""

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
@click.option("--check", is_flag=True, help="Only say whether they are up to date.")
def command(target: str | None, driver: str | None, check: bool) -> None:
    """Bring the tables of a store up to date. Messages stay as they are."""
    app = find_app(target, driver)
    if check:
        require_store(app)
    if not asyncio.run(_migrate(app, check=check)):
        sys.exit(ExitCode.FAILED)


async def _migrate(app: "App", *, check: bool) -> bool:
    """Whether the tables are up to date at the end."""
    async with app:
        driver: Driver = await app.driver()
        click.echo(f"Store: {driver.description}")
        if Capability.SCHEMA not in driver.capabilities or not isinstance(driver, SupportsSchema):
            click.echo("It has no tables: nothing to do.")
            return True
        if check:
            return _report(await driver.schema())
        for step in await driver.migrate():
            click.echo(f"- {step}")
        return _report(await driver.schema())


def _report(state: SchemaState) -> bool:
    if state.current == state.needed:
        click.echo(f"Up to date: version {state.current}.")
    elif state.current < state.needed:
        click.echo(
            f"Version {state.current}; this release needs {state.needed}: run asynctasq migrate."
        )
    else:
        click.echo(
            f"Version {state.current}; this release knows {state.needed} and older: upgrade asynctasq."
        )
    return state.current == state.needed
