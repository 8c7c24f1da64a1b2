"""`asynctasq schedules`: list, show, pause, resume, run and remove schedules."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from asynctasq.cli.exit_codes import STORE_CODES, ExitCode, exit_code_help
from asynctasq.cli.operator_commands import OperatorGroup, Store, confirm
from asynctasq.cli.options import page_options, print_json, store_options, yes_option

if TYPE_CHECKING:
    from asynctasq.operations.schedules import ScheduleInfo, Schedules

STYLES = {"paused": "yellow", "orphaned": "yellow", "unreadable": "red"}
CODES = (*STORE_CODES, ExitCode.NOT_FOUND)


class NoSuchSchedule(click.ClickException):
    """A command names a schedule that does not exist."""

    exit_code = ExitCode.NOT_FOUND


def schedule_name(_context: click.Context, _option: click.Parameter, given: str) -> str:
    """Check the name of a schedule."""
    from asynctasq.tasks.schedule_options import check_schedule_name

    try:
        return check_schedule_name(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


name_argument = click.argument("name", callback=schedule_name, metavar="NAME")


@click.group(cls=OperatorGroup)
def command() -> None:
    """List the schedules of a store, or pause, resume, run or remove one.

    Without a command, `list` runs.
    """


@command.command("list", epilog=exit_code_help(*STORE_CODES))
@page_options
@store_options
def list_schedules(
    limit: int,
    cursor: str | None,
    wide: bool,
    target: str | None,
    driver: str | None,
    as_json: bool,
) -> None:
    """List schedules by name.

    An orphaned schedule is not fired, because no worker has declared it for a day.
    """
    with Store(target, driver) as store:
        found, next_cursor = store.run(_some(store.app.schedules, limit, cursor))
    if as_json:
        print_json({"schedules": [asdict(each) for each in found], "cursor": next_cursor})
    else:
        _print_table(found, store.name, wide=wide)
        if next_cursor is not None:
            click.echo(f"More: pass --cursor {next_cursor}", err=True)


async def _some(
    schedules: "Schedules", limit: int, cursor: str | None
) -> "tuple[list[ScheduleInfo], str | None]":
    """Return up to `limit` schedules, all for 0, and the cursor behind them."""
    found: list[ScheduleInfo] = []
    while True:
        page = await schedules.page(
            limit=min(limit - len(found), 100) if limit else 100, cursor=cursor
        )
        found += page.items
        cursor = page.cursor
        if cursor is None or len(found) == limit:
            return found, cursor


@command.command(epilog=exit_code_help(*CODES))
@name_argument
@store_options
def show(name: str, target: str | None, driver: str | None, as_json: bool) -> None:
    """Show a schedule and its next five times."""
    with Store(target, driver) as store:
        found = store.run(store.app.schedules.find(name))
        if found is None:
            raise _unknown(name, store)
        times = [] if found.task is None else store.run(store.app.schedules.preview(name))
    if as_json:
        print_json({**asdict(found), "next_times": [each.timestamp() for each in times]})
    else:
        _print_one(found, [each.timestamp() for each in times])


@command.command(epilog=exit_code_help(*CODES))
@name_argument
@store_options
def pause(name: str, target: str | None, driver: str | None, as_json: bool) -> None:
    """Pause a schedule. A deployment does not resume it."""
    with Store(target, driver) as store:
        _require(store.run(store.app.schedules.pause(name)), name, store)
    _print_done("Paused", name, as_json, paused=True)


@command.command(epilog=exit_code_help(*CODES))
@name_argument
@store_options
def resume(name: str, target: str | None, driver: str | None, as_json: bool) -> None:
    """Resume a paused schedule. Its catch-up decides on the times that were missed."""
    with Store(target, driver) as store:
        _require(store.run(store.app.schedules.resume(name)), name, store)
    _print_done("Resumed", name, as_json, paused=False)


@command.command(epilog=exit_code_help(*CODES))
@name_argument
@store_options
@yes_option
def remove(name: str, target: str | None, driver: str | None, as_json: bool, yes: bool) -> None:
    """Remove a schedule. Tasks that it has dispatched stay.

    A schedule that code declares comes back when the next worker starts; pause it instead.
    """
    with Store(target, driver) as store:
        if store.run(store.app.schedules.find(name)) is None:
            raise _unknown(name, store)
        confirm(f"Remove schedule {name} from {store.name}", yes=yes)
        _require(store.run(store.app.schedules.remove(name)), name, store)
    _print_done("Removed", name, as_json, removed=True)


@command.command("run", epilog=exit_code_help(*CODES))
@name_argument
@store_options
def run_schedule(name: str, target: str | None, driver: str | None, as_json: bool) -> None:
    """Dispatch a run of a schedule now, and print the ID of its task. Its times stay."""
    with Store(target, driver) as store:
        if store.run(store.app.schedules.find(name)) is None:
            raise _unknown(name, store)
        task_id = store.run(store.app.schedules.run_now(name))
    if as_json:
        print_json({"name": name, "task_id": task_id})
    else:
        click.echo(task_id)


def _require(is_known: bool, name: str, store: Store) -> None:
    if not is_known:
        raise _unknown(name, store)


def _unknown(name: str, store: Store) -> NoSuchSchedule:
    return NoSuchSchedule(
        f"There is no schedule {name!r} in {store.name}. `asynctasq schedules` lists all."
    )


def _print_done(done: str, name: str, as_json: bool, **facts: Any) -> None:
    if as_json:
        print_json({"name": name, **facts})
    else:
        click.echo(f"{done} {name}.")


def _print_table(found: "Sequence[ScheduleInfo]", store: str, *, wide: bool) -> None:
    from asynctasq.cli.tables import Cell, Column, print_table
    from asynctasq.cli.times import age, when

    if not found:
        click.echo(f"No schedules in {store}.")
        return
    now = time.time()
    columns: list[Column[ScheduleInfo]] = [
        Column("Schedule", lambda each: each.name, fold_at=24),
        Column("Task", lambda each: each.task or "?", rank=2, fold_at=24),
        Column("Times", lambda each: each.rhythm, rank=1, fold_at=24),
        Column("Next", lambda each: when(each.next_at, now), fold_at=30),
        Column("Last", lambda each: age(each.fired_at, now), rank=3, right=True),
        Column("Status", lambda each: Cell(each.status, STYLES.get(each.status, ""))),
    ]
    click.echo(f"Store: {store}")
    print_table(columns, found, wide=wide)


def _print_one(info: "ScheduleInfo", times: Sequence[float]) -> None:
    from asynctasq.cli.times import when

    now = time.time()
    rows = {
        "Schedule": info.name,
        "Status": info.status,
        "Task": info.task or "unknown",
        "Queue": info.queue or "unknown",
        "Times": info.rhythm,
        "Catch-up": info.catch_up or "unknown",
        "Overlap": info.overlap or "unknown",
        "Jitter": f"{info.jitter or 0.0:g} s",
        "Declared by": info.declared_by or "no code (made at run time)",
        "Last fired": when(info.fired_at, now) or "never",
    }
    for title, value in rows.items():
        click.echo(f"{title + ':':<13}{value}")
    for place, each in enumerate(times):
        click.echo(f"{'Next:' if place == 0 else '':<13}{when(each, now)}")
