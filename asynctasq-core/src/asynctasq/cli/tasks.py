"""`asynctasq tasks`: list, show, cancel, move, reprioritize and retry tasks."""

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Unpack

import click

from asynctasq.cli.bulk import Selection, run_bulk, selection_options, selects
from asynctasq.cli.exit_codes import STORE_CODES, ExitCode, exit_code_help
from asynctasq.cli.ids import ALL_TASKS, Listing, read_ids, resolve_id, resolve_ids
from asynctasq.cli.known_queues import note_unknown_queue
from asynctasq.cli.operator_commands import OperatorGroup, Store, confirm, count_of
from asynctasq.cli.options import (
    complete_queue,
    page_options,
    print_json,
    store_options,
    yes_option,
)
from asynctasq.cli.retrying import retry_ids
from asynctasq.cli.task_changes import move, reprioritize, some_ids
from asynctasq.cli.times import moment
from asynctasq.message import CancelOutcome, State

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities import Page
    from asynctasq.operations import TaskInfo

STATES = {
    "running": State.LEASED,
    "ready": State.READY,
    "scheduled": State.SCHEDULED,
    "blocked": State.BLOCKED,
    "dead": State.DEAD,
    "completed": State.COMPLETED,
    "cancelled": State.CANCELLED,
}
FINISHED = {State.COMPLETED, State.CANCELLED}
DONE = {CancelOutcome.CANCELLED, CancelOutcome.REQUESTED}
OUTCOMES = {
    CancelOutcome.CANCELLED: "cancelled",
    CancelOutcome.REQUESTED: "running; its worker will interrupt it",
    CancelOutcome.TOO_LATE: "not cancelled: already finished",
    CancelOutcome.UNKNOWN: "not cancelled: no such task",
}

CANCELLABLE = {name: STATES[name] for name in ("ready", "scheduled", "blocked", "running")}
ids_argument = click.argument("ids", nargs=-1, required=True, metavar="ID...")
arguments_option = click.option(
    "--arguments/--no-arguments",
    "arguments",
    default=None,
    help="Show arguments, result and progress, redacted as the setting `redact_arguments` says.  "
    "[default: the setting `show_arguments`]",
)


@click.group(cls=OperatorGroup)
def command() -> None:
    """List the tasks of a store, or show, cancel, move, reprioritize or retry them.

    Without a command, `list` runs.
    """


@command.command("list", epilog=exit_code_help(*STORE_CODES))
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(list(STATES)),
    help="Tasks in this state; may be repeated.  [default: those that run or wait]",
)
@click.option("--queue", metavar="NAME", shell_complete=complete_queue, help="Tasks of this queue.")
@click.option("--task", metavar="PATTERN", help="Tasks of this name, such as shop:pay or `shop:*`.")
@click.option(
    "--since",
    callback=moment,
    metavar="TIME",
    help="Enqueued since this time: 2h (ago), 2026-11-20.",
)
@click.option("--until", callback=moment, metavar="TIME", help="Enqueued before this time.")
@page_options
@store_options
def list_tasks(
    states: Sequence[str],
    queue: str | None,
    task: str | None,
    since: float | None,
    until: float | None,
    limit: int,
    cursor: str | None,
    wide: bool,
    target: str | None,
    driver: str | None,
    as_json: bool,
) -> None:
    """List tasks: first running, then waiting tasks, each oldest first.

    Of completed and cancelled tasks, the latest ones are listed, the last one first: those that each
    worker keeps of each queue.
    """
    from asynctasq.cli import formatting
    from asynctasq.operations import WAITING_OR_RUNNING

    wanted = [STATES[state] for state in states] or WAITING_OR_RUNNING
    if FINISHED & set(wanted):
        from asynctasq.cli.finished import list_finished

        if not set(wanted) <= FINISHED:
            raise click.UsageError(
                "--state completed and --state cancelled list another kind of record. Leave out the "
                "other states."
            )
        if cursor is not None:
            raise click.UsageError("Finished tasks have no pages. Leave out --cursor.")
        with Store(target, driver) as store:
            list_finished(
                store,
                wanted,
                queue=queue,
                task=task,
                since=since,
                until=until,
                limit=limit,
                wide=wide,
                as_json=as_json,
            )
        return
    with Store(target, driver) as store:

        def fetch(size: int, place: str | None) -> "Awaitable[Page[TaskInfo]]":
            return store.app.tasks.page(
                wanted, limit=size, cursor=place, queue=queue, task=task, since=since, until=until
            )

        pages = formatting.pages_of(fetch, limit, cursor)
        try:
            if as_json:
                store.run(formatting.print_objects("tasks", pages, formatting.task_object))
                return
            found = store.run(formatting.collected(pages))
        except ValueError as error:
            if cursor is None:
                raise  # the error does not concern the command line
            raise click.UsageError(str(error)) from error
        if not found.items:
            click.echo(f"No matching tasks in {store.name}.")
            note_unknown_queue(store, queue)
            return
    formatting.print_tasks(found.items, wide=wide)
    formatting.print_next_page_hint(found)


@command.command(epilog=exit_code_help(*STORE_CODES, ExitCode.NOT_FOUND))
@click.argument("task_id", metavar="ID")
@arguments_option
@store_options
def show(
    task_id: str, arguments: bool | None, target: str | None, driver: str | None, as_json: bool
) -> None:
    """Show one task with its state, arguments or result, error and traceback.

    The ID may be shortened to its last digits, as in tables. Names of positional arguments come from
    the code of the task, which is imported from the current folder or with --app.
    """
    show_task(task_id, ALL_TASKS, arguments, target, driver, as_json)


command.add_command(move)
command.add_command(reprioritize)


@command.command(
    epilog=exit_code_help(*STORE_CODES, ExitCode.INTERRUPTED, failed="a task was not cancelled")
)
@some_ids
@selection_options(CANCELLABLE)
@store_options
@yes_option
def cancel(
    ids: Sequence[str],
    target: str | None,
    driver: str | None,
    as_json: bool,
    yes: bool,
    **selection: Unpack[Selection],
) -> None:
    """Cancel tasks, selected by ID or by filter: waiting ones at once, running ones by interrupting them.

    IDs may be shortened to their last digits, as in tables. Pass - to read IDs from stdin. Press Ctrl-C to
    stop after the current batch of a filter; the command can be repeated.
    """
    by_filter = selects(ids, selection)
    given = read_ids(ids)
    with Store(target, driver) as store:
        if by_filter:
            run_bulk(
                store,
                store.app.tasks.cancel_all,
                selection,
                CANCELLABLE,
                verb="cancel",
                done="cancelled",
                yes=yes,
                as_json=as_json,
            )
            return
        wanted = resolve_ids(store, given, ALL_TASKS)
        confirm(f"Cancel {count_of(len(wanted), 'task')} in {store.name}", yes=yes)
        outcomes = store.run(store.app.tasks.cancel(wanted))
    if as_json:
        print_json(
            [
                {"id": task_id, "outcome": outcome.value}
                for task_id, outcome in zip(wanted, outcomes, strict=True)
            ]
        )
    else:
        for task_id, outcome in zip(wanted, outcomes, strict=True):
            click.echo(f"{task_id}  {OUTCOMES[outcome]}")
    if not set(outcomes) <= DONE:
        click.get_current_context().exit(1)


@command.command(
    epilog=exit_code_help(*STORE_CODES, ExitCode.INTERRUPTED, failed="a task was not retried")
)
@ids_argument
@store_options
def retry(ids: Sequence[str], target: str | None, driver: str | None, as_json: bool) -> None:
    """Retry dead tasks by ID; `dead retry` also selects them by filter.

    IDs may be shortened to their last digits, as in tables. Pass - to read IDs from stdin.
    """
    given = read_ids(ids)
    with Store(target, driver) as store:
        wanted = resolve_ids(store, given, ALL_TASKS)
        retry_ids(store, wanted, as_json=as_json)


def show_task(
    task_id: str,
    listing: Listing,
    arguments: bool | None,
    target: str | None,
    driver: str | None,
    as_json: bool,
) -> None:
    """Print everything known of a task."""
    from asynctasq.cli import formatting
    from asynctasq.operations.hints import waiting_hint

    with Store(target, driver) as store:
        wanted = resolve_id(store, task_id, listing)
        details = store.run(store.app.tasks.get(wanted))
        hint = store.run(waiting_hint(store.app.driver, details.info)) if not as_json else ""
        how = formatting.showing_of(store.app, arguments)
    if as_json:
        print_json(formatting.details_object(details, how))
    else:
        formatting.print_details(details, how, hint)
