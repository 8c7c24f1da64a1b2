"""`asynctasq tasks move` and `reprioritize`: change tasks that wait, by ID or by filter."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Unpack

import click

from asynctasq.cli.bulk import Selection, run_bulk, selection_options, selects
from asynctasq.cli.exit_codes import STORE_CODES, ExitCode, exit_code_help
from asynctasq.cli.ids import ALL_TASKS, read_ids, resolve_ids
from asynctasq.cli.operator_commands import OperatorCommand, Store
from asynctasq.cli.options import (
    complete_queue,
    print_json,
    store_options,
    yes_option,
)
from asynctasq.cli.queues import queue_name
from asynctasq.message import State

STATES = {"ready": State.READY, "scheduled": State.SCHEDULED}
_EPILOG = exit_code_help(
    *STORE_CODES,
    ExitCode.INTERRUPTED,
    failed="a task named by its ID, or a damaged one, was not changed",
)

some_ids = click.argument("ids", nargs=-1, metavar="[ID...]")


def change_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that both commands share."""
    return some_ids(selection_options(STATES)(store_options(yes_option(command))))


@click.command(cls=OperatorCommand, epilog=_EPILOG)
@click.option(
    "--to",
    "to",
    required=True,
    metavar="QUEUE",
    callback=queue_name,
    shell_complete=complete_queue,
    help="The queue to move them to.",
)
@change_options
def move(
    ids: Sequence[str],
    to: str,
    target: str | None,
    driver: str | None,
    as_json: bool,
    yes: bool,
    **selection: Unpack[Selection],
) -> None:
    """Move waiting tasks to another queue, selected by ID or by filter.

    They keep their IDs, attempts and unique keys. A task that begins meanwhile stays in its queue. Press
    Ctrl-C to stop after the current batch; the command can be repeated.
    """
    by_filter = selects(ids, selection)
    with Store(target, driver) as store:
        if not by_filter:
            _edit(store, ids, "moved", as_json=as_json, queue=to)
        run_bulk(
            store,
            partial(store.app.tasks.move_all, to),
            selection,
            STATES,
            verb="move",
            done="moved",
            to=f" to {to}",
            yes=yes,
            as_json=as_json,
        )


@click.command(cls=OperatorCommand, epilog=_EPILOG)
@click.option(
    "--priority",
    required=True,
    metavar="N",
    type=click.IntRange(0, 9),
    help="The new priority; 9 runs first.",
)
@change_options
def reprioritize(
    ids: Sequence[str],
    priority: int,
    target: str | None,
    driver: str | None,
    as_json: bool,
    yes: bool,
    **selection: Unpack[Selection],
) -> None:
    """Give waiting tasks another priority, selected by ID or by filter.

    A task that begins meanwhile keeps its priority. Press Ctrl-C to stop after the current batch; the
    command can be repeated.
    """
    by_filter = selects(ids, selection)
    with Store(target, driver) as store:
        if not by_filter:
            _edit(store, ids, "reprioritized", as_json=as_json, priority=priority)
        run_bulk(
            store,
            partial(store.app.tasks.reprioritize_all, priority),
            selection,
            STATES,
            verb="reprioritize",
            done="reprioritized",
            to=f" with {priority}",
            yes=yes,
            as_json=as_json,
        )


def _edit(store: Store, ids: Sequence[str], done: str, *, as_json: bool, **changes: Any) -> None:
    """Change tasks by ID, and exit."""
    wanted = resolve_ids(store, read_ids(ids), ALL_TASKS)
    answers = store.run(store.app.tasks.edit(wanted, **changes))
    pairs = list(zip(wanted, answers, strict=True))
    if as_json:
        print_json([{"id": task_id, done: answer} for task_id, answer in pairs])
    else:
        for task_id, answer in pairs:
            click.echo(f"{task_id}  {done if answer else f'not {done}: it does not wait'}")
    click.get_current_context().exit(ExitCode.DONE if all(answers) else ExitCode.FAILED)
