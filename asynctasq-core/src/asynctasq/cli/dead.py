"""`asynctasq dead`: list, show, retry, edit and delete dead letters."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

import click

from asynctasq.cli.exit_codes import STORE_CODES, ExitCode, exit_code_help
from asynctasq.cli.ids import ALL_TASKS, DEAD_LETTERS, read_ids, resolve_id, resolve_ids
from asynctasq.cli.known_queues import note_unknown_queue
from asynctasq.cli.operator_commands import OperatorGroup, Store, confirm, count_of
from asynctasq.cli.options import (
    complete_queue,
    page_options,
    print_json,
    store_options,
    yes_option,
)
from asynctasq.cli.queues import queue_name
from asynctasq.cli.retrying import delete_ids, retry_ids
from asynctasq.cli.tasks import arguments_option, show_task
from asynctasq.cli.times import moment
from asynctasq.message import State
from asynctasq.settlement import Reason

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities import Page
    from asynctasq.operations import Arguments, DeadLetterFilter, TaskDetails, TaskInfo

F = TypeVar("F", bound=Callable[..., Any])


class Filters(TypedDict):
    """Values of the filter options."""

    queue: str | None
    task: str | None
    reason: str | None
    error: str | None
    since: float | None
    until: float | None


def filter_options(command: F) -> F:
    """Add the options that filter dead letters."""
    for option in reversed(
        (
            click.option(
                "--queue",
                metavar="NAME",
                shell_complete=complete_queue,
                help="Dead letters of this queue.",
            ),
            click.option(
                "--task",
                metavar="PATTERN",
                help="Dead letters of this task, such as shop:pay or `shop:*`.",
            ),
            click.option(
                "--reason",
                type=click.Choice([reason.value for reason in Reason]),
                help="Dead letters with this reason.",
            ),
            click.option(
                "--error",
                metavar="PATTERN",
                help="Dead letters with this error type, such as `*Timeout`.",
            ),
            click.option(
                "--since",
                callback=moment,
                metavar="TIME",
                help="Dead since this time: 2h (ago), 2026-11-20.",
            ),
            click.option("--until", callback=moment, metavar="TIME", help="Dead before this time."),
        )
    ):
        command = option(command)
    return command


chosen_ids = click.argument("ids", nargs=-1, metavar="[ID...]")
all_option = click.option("--all", "every", is_flag=True, help="Select all dead letters.")


@click.group(cls=OperatorGroup)
def command() -> None:
    """List the dead letters of a store, or show, retry, edit or delete them.

    Without a command, `list` runs.
    """


@command.command("list", epilog=exit_code_help(*STORE_CODES))
@filter_options
@page_options
@store_options
def list_dead(
    limit: int,
    cursor: str | None,
    wide: bool,
    target: str | None,
    driver: str | None,
    as_json: bool,
    **filters: Unpack[Filters],
) -> None:
    """List dead letters, newest first."""
    from asynctasq.cli import formatting

    wanted = _wanted(filters)
    with Store(target, driver) as store:

        def fetch(size: int, place: str | None) -> "Awaitable[Page[TaskInfo]]":
            return store.app.dead_letters.page(limit=size, cursor=place, **wanted)

        pages = formatting.pages_of(fetch, limit, cursor)
        if as_json:
            store.run(formatting.print_objects("dead_letters", pages, formatting.task_object))
            return
        found = store.run(formatting.collected(pages))
        if not found.items:
            click.echo(f"No matching dead letters in {store.name}.")
            note_unknown_queue(store, filters["queue"])
            return
    formatting.print_dead_letters(found.items, wide=wide)
    formatting.print_next_page_hint(found)


@command.command(epilog=exit_code_help(*STORE_CODES, ExitCode.NOT_FOUND))
@click.argument("task_id", metavar="ID")
@arguments_option
@store_options
def show(
    task_id: str, arguments: bool | None, target: str | None, driver: str | None, as_json: bool
) -> None:
    """Show one dead letter with its arguments, error and traceback, as `tasks show` does.

    The ID may be shortened to its last digits, as in tables.
    """
    show_task(task_id, DEAD_LETTERS, arguments, target, driver, as_json)


@command.command(
    epilog=exit_code_help(
        *STORE_CODES, ExitCode.INTERRUPTED, failed="a dead letter was not retried"
    )
)
@chosen_ids
@filter_options
@all_option
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help="Retry at most this many, oldest first.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Retry at most this many per second.",
)
@store_options
@yes_option
def retry(
    ids: Sequence[str],
    every: bool,
    limit: int | None,
    rate: float | None,
    target: str | None,
    driver: str | None,
    as_json: bool,
    yes: bool,
    **filters: Unpack[Filters],
) -> None:
    """Retry dead letters, selected by ID or by filter.

    They become ready at once, oldest first, and their attempts start from 0 again. IDs may be
    shortened to their last digits, as in tables. Pass - to read IDs from stdin. Press Ctrl-C to stop
    after the current batch and print a summary.
    """
    with Store(target, driver) as store:
        wanted = _chosen(store, ids, filters, every, limit)
        if wanted and not ids:
            confirm(f"Retry {count_of(len(wanted), 'dead letter')} in {store.name}", yes=yes)
        _warn_of_undecodable(store, wanted)
        retry_ids(store, wanted, per_second=rate, as_json=as_json)


@command.command(
    epilog=exit_code_help(
        *STORE_CODES, ExitCode.INTERRUPTED, failed="a dead letter was not deleted"
    )
)
@chosen_ids
@filter_options
@all_option
@store_options
@yes_option
def delete(
    ids: Sequence[str],
    every: bool,
    target: str | None,
    driver: str | None,
    as_json: bool,
    yes: bool,
    **filters: Unpack[Filters],
) -> None:
    """Permanently delete dead letters, selected by ID or by filter.

    IDs may be shortened to their last digits, as in tables. Pass - to read IDs from stdin.
    """
    with Store(target, driver) as store:
        wanted = _chosen(store, ids, filters, every, None)
        if wanted:
            confirm(f"Delete {count_of(len(wanted), 'dead letter')} in {store.name}", yes=yes)
        delete_ids(store, wanted, as_json=as_json)


@command.command(epilog=exit_code_help(*STORE_CODES, ExitCode.NOT_FOUND))
@click.argument("task_id", metavar="ID")
@click.option(
    "--argument",
    "-a",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set an argument to a text, or with NAME:=JSON to another value; may be repeated.",
)
@click.option(
    "--queue",
    metavar="NAME",
    callback=lambda ctx, option, given: given and queue_name(ctx, option, given),
    shell_complete=complete_queue,
    help="Move the dead letter to this queue.",
)
@click.option(
    "--priority", metavar="N", type=click.IntRange(0, 9), help="Set the priority; 9 runs first."
)
@click.option(
    "--max-attempts", metavar="N", type=click.IntRange(min=0), help="Set the total number of runs."
)
@store_options
def edit(
    task_id: str,
    changes: Sequence[str],
    queue: str | None,
    priority: int | None,
    max_attempts: int | None,
    target: str | None,
    driver: str | None,
    as_json: bool,
) -> None:
    """Change a dead letter and retry it in one step.

    Positional arguments use parameter names if the task can be imported (from the current folder, or
    with --app), otherwise indexes 0, 1, ...
    """
    from asynctasq.operations import RetryOutcome

    if not changes and queue is None and priority is None and max_attempts is None:
        raise click.UsageError(
            "Specify a change, such as --argument or --queue. To retry without a change: "
            "asynctasq dead retry ID"
        )
    with Store(target, driver) as store:
        wanted = resolve_id(store, task_id, ALL_TASKS)
        details = store.run(store.app.tasks.get(wanted))
        if details.info.state is not State.DEAD:
            raise click.ClickException(f"{wanted} is {details.info.state}, not dead.")
        outcome = store.run(
            store.app.dead_letters.retry_edited(
                wanted,
                arguments=_edited(details, changes) if changes else None,
                queue=queue,
                priority=priority,
                max_attempts=max_attempts,
            )
        )
    if outcome is not RetryOutcome.RETRIED:
        raise click.ClickException(f"{wanted} was not retried: {outcome.value}.")
    if as_json:
        print_json({"id": wanted, "outcome": outcome.value})
    else:
        click.echo(f"Changed and retried {wanted}.")


def _wanted(filters: Filters) -> "DeadLetterFilter":
    reason = filters["reason"]
    return {**filters, "reason": None if reason is None else Reason(reason)}


def _chosen(
    store: Store, ids: Sequence[str], filters: Filters, every: bool, limit: int | None
) -> list[str]:
    """Return the IDs of the selected dead letters, oldest first."""
    given = any(value is not None for value in filters.values())
    if bool(ids) + given + every != 1:
        raise click.UsageError(
            "Select dead letters in one of three ways: by ID, by filters such as --task or --since, or "
            "with --all."
        )
    if ids:
        if limit is not None:
            raise click.UsageError("--limit requires a filter or --all.")
        return resolve_ids(store, read_ids(ids), DEAD_LETTERS)

    async def collect() -> list[str]:
        return [letter.id async for letter in store.app.dead_letters.each(**_wanted(filters))]

    found = store.run(collect())
    found.reverse()
    return found[:limit]


def _warn_of_undecodable(store: Store, ids: Sequence[str]) -> None:
    """Print a note if some of the messages could not be decoded."""
    reasons = store.run(store.app.dead_letters.reasons(ids))
    count = reasons.count(Reason.UNDECODABLE)
    if count:
        which = "this message" if len(ids) == 1 else f"{count:,} of {len(ids):,} messages"
        click.echo(
            f"Note: {which} could not be decoded. A retry helps only if another worker can read the "
            f"message; otherwise it becomes a dead letter again. To see the error: asynctasq dead "
            f"show ID",
            err=True,
        )


def _edited(details: "TaskDetails", changes: Sequence[str]) -> "Arguments":
    """Return the arguments with the changes of the command line."""
    from asynctasq.cli.formatting import parameter_names
    from asynctasq.operations import Arguments

    if details.arguments is None:
        raise click.ClickException(
            f"The arguments are unreadable here: {details.unreadable.get('arguments', '')}"
        )
    names = parameter_names(details.info.task)
    positional = list(details.arguments.positional)
    named = dict(details.arguments.named)
    for change in changes:
        name, value = _change(change)
        place = _place(name, names, len(positional))
        if place is not None:
            positional[place] = value
        elif name in named or names is not None:
            named[name] = value
        else:
            known = [*map(str, range(len(positional))), *named]
            raise click.UsageError(
                f"--argument {name}: the task has no such argument (arguments: "
                f"{', '.join(known) or 'none'}). Pass --app MODULE to use names of positional arguments."
            )
    if names is not None:
        _check(details, positional, named)
    return Arguments(tuple(positional), named)


def _change(change: str) -> tuple[str, object]:
    name, equals, text = change.partition("=")
    if not equals or not name.rstrip(":"):
        raise click.UsageError(f"--argument {change}: must be NAME=TEXT or NAME:=JSON.")
    if not name.endswith(":"):
        return name, text
    try:
        return name[:-1], json.loads(text)
    except ValueError as error:
        raise click.UsageError(
            f"--argument {change}: {text!r} is not valid JSON ({error}). For a text: {name[:-1]}={text}"
        ) from error


def _place(name: str, names: Sequence[str] | None, count: int) -> int | None:
    """Return the index of a positional argument; None for a named argument."""
    if name.isdecimal():
        return int(name) if int(name) < count else None
    if names is not None and name in names and names.index(name) < count:
        return names.index(name)
    return None


def _check(
    details: "TaskDetails", positional: Sequence[object], named: Mapping[str, object]
) -> None:
    from asynctasq.tasks.registry import registry

    try:
        registry.find(details.info.task or "").check(*positional, **named)
    except TypeError as error:
        raise click.UsageError(
            f"The arguments do not match the parameters of the task: {error}"
        ) from error
