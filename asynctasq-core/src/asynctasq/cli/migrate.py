"""`asynctasq migrate`: bring the tables of a store to what this release needs."""

import asyncio
import sys

import click

from asynctasq.contracts.capabilities import Capability, SchemaState, SupportsSchema
from asynctasq.contracts.driver import Driver


@click.command()
@click.option("--driver", "driver", help="Name or URL, instead of the one in the settings.")
@click.option(
    "--check",
    is_flag=True,
    help="Only say whether they are up to date; exit code 1 if not.",
)
def command(driver: str | None, check: bool) -> None:
    """Bring the tables of a store up to date. Messages stay as they are."""
    if not asyncio.run(_migrate(driver, check=check)):
        sys.exit(1)


async def _migrate(driver_setting: str | None, *, check: bool) -> bool:
    """Whether the tables are up to date at the end."""
    from asynctasq.app import App

    arguments = {} if driver_setting is None else {"driver": driver_setting}
    async with App(arguments) as app:
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
