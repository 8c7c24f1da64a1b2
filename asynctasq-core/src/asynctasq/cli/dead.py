"""`asynctasq dead`: look at dead letters, retry them, edited or not, and delete them."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

import click

from asynctasq.cli.exit_codes import STORE_CODES, ExitCode, told
from asynctasq.cli.ids import all_tasks, dead_letters, read_ids, resolve_id, resolve_ids
from asynctasq.cli.known_queues import note_unknown_queue
from asynctasq.cli.operator_commands import (
    OperatorGroup,
    Store,
    complete_queue,
    confirm,
    count_of,
    print_json,
    store_options,
    wide_option,
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
    """What the options of a filter say."""

    queue: str | None
    task: str | None
    reason: str | None
    error: str | None
    since: float | None
    until: float | None


def filter_options(command: F) -> F:
    """Options that choose among dead letters."""
    for option in reversed(
        (
            click.option(
                "--queue",
                metavar="NAME",
                shell_complete=complete_queue,
                help="Those of this queue.",
            ),
            click.option("--task", metavar="PATTERN", help="Of this name, or like `shop:*`."),
            click.option(
                "--reason",
                type=click.Choice([reason.value for reason in Reason]),
                help="Dead for this reason.",
            ),
            click.option(
                "--error",
                metavar="PATTERN",
                help="With an error of this type, or like `*Timeout`.",
            ),
            click.option(
                "--since",
                callback=moment,
                metavar="TIME",
                help="Died then or later: 2h, 2026-11-20.",
            ),
            click.option("--until", callback=moment, metavar="TIME", help="Died before."),
        )
    ):
        command = option(command)
    return command


chosen_ids = click.argument("ids", nargs=-1, metavar="[ID...]")
all_option = click.option("--all", "every", is_flag=True, help="All dead letters.")


@click.group(cls=OperatorGroup)
def command() -> None:
    """List the dead letters in a store, show, retry, edit or delete them.

    Without a command they are listed.
    """


@command.command("list", epilog=told(*STORE_CODES))
@filter_options
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=0),
    default=50,
    help="At the most; 0: all.  [default: 50]",
)
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
@wide_option
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
    """List dead letters, the newest first."""
    from asynctasq.cli import formatting

    wanted = _wanted(filters)
    with Store(target, driver) as store:

        def fetch(size: int, place: str | None) -> "Awaitable[Page[TaskInfo]]":
            return store.app.dead_letters.page(limit=size, cursor=place, **wanted)

        pages = formatting.pages_of(fetch, limit, cursor)
        if as_json:
            store.run(formatting.print_objects("dead_letters", pages))
            return
        found = store.run(formatting.collected(pages))
        if not found.items:
            click.echo(f"No such dead letters in {store.name}.")
            note_unknown_queue(store, filters["queue"])
            return
    formatting.print_dead_letters(found.items, wide=wide)
    formatting.tell_of_more(found)


@command.command(epilog=told(*STORE_CODES, ExitCode.NOT_FOUND))
@click.argument("task_id", metavar="ID")
@arguments_option
@store_options
def show(
    task_id: str, arguments: bool | None, target: str | None, driver: str | None, as_json: bool
) -> None:
    """Show one dead letter: its arguments, its error with traceback. The same as `tasks show`.

    An ID may be shortened to its last digits, as tables show it.
    """
    show_task(task_id, dead_letters, arguments, target, driver, as_json)


@command.command(epilog=told(*STORE_CODES, ExitCode.INTERRUPTED, failed="one was not retried"))
@chosen_ids
@filter_options
@all_option
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help="The most that are retried: those that died first.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="The most that are retried in a second.",
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

    They are ready at once, with no attempts counted; those that died first come first. An ID may be
    shortened to its last digits, as tables show it; - reads IDs from stdin. Press Ctrl-C to stop
    after the current batch and print a summary.
    """
    with Store(target, driver) as store:
        wanted = _chosen(store, ids, filters, every, limit)
        if wanted and not ids:
            confirm(f"Retry {count_of(len(wanted), 'dead letter')} in {store.name}", yes=yes)
        _warn_of_undecodable(store, wanted)
        retry_ids(store, wanted, per_second=rate, as_json=as_json)


@command.command(epilog=told(*STORE_CODES, ExitCode.INTERRUPTED, failed="one was not deleted"))
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
    """Delete dead letters for good, selected by ID or by filter.

    An ID may be shortened to its last digits, as tables show it; - reads IDs from stdin.
    """
    with Store(target, driver) as store:
        wanted = _chosen(store, ids, filters, every, None)
        if wanted:
            confirm(f"Delete {count_of(len(wanted), 'dead letter')} in {store.name}", yes=yes)
        delete_ids(store, wanted, as_json=as_json)


@command.command(epilog=told(*STORE_CODES, ExitCode.NOT_FOUND))
@click.argument("task_id", metavar="ID")
@click.option(
    "--argument",
    "-a",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Give an argument this text; NAME:=JSON gives it a value that is no text.  May be repeated.",
)
@click.option(
    "--queue",
    metavar="NAME",
    callback=lambda ctx, option, given: given and queue_name(ctx, option, given),
    shell_complete=complete_queue,
    help="Move it to this queue.",
)
@click.option("--priority", metavar="N", type=click.IntRange(0, 9), help="9 comes first.")
@click.option("--max-attempts", metavar="N", type=click.IntRange(min=0), help="Runs in all.")
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
    """Change a dead letter and retry it, in one step.

    Positional arguments have the names of the task's code, which is looked for in the current folder
    or imported with --app, and the numbers 0, 1, ... where it is not at hand.
    """
    from asynctasq.operations import RetryOutcome

    if not changes and queue is None and priority is None and max_attempts is None:
        raise click.UsageError("Say what is to be changed; `asynctasq dead retry` changes nothing.")
    with Store(target, driver) as store:
        wanted = resolve_id(store, task_id, all_tasks(store))
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
        click.echo(f"{wanted} is changed, and ready again.")


def _wanted(filters: Filters) -> "DeadLetterFilter":
    reason = filters["reason"]
    return {**filters, "reason": None if reason is None else Reason(reason)}


def _chosen(
    store: Store, ids: Sequence[str], filters: Filters, every: bool, limit: int | None
) -> list[str]:
    """Ids of the dead letters that are meant, those that died first first."""
    given = any(value is not None for value in filters.values())
    if bool(ids) + given + every != 1:
        raise click.UsageError(
            "Name dead letters by their ids, or by a filter such as --task or --since, or --all of "
            "them: one of the three."
        )
    if ids:
        if limit is not None:
            raise click.UsageError("--limit goes with a filter or --all.")
        return resolve_ids(store, read_ids(ids), dead_letters(store))

    async def collect() -> list[str]:
        return [letter.id async for letter in store.app.dead_letters.each(**_wanted(filters))]

    found = store.run(collect())
    found.reverse()
    return found[:limit]


def _warn_of_undecodable(store: Store, ids: Sequence[str]) -> None:
    """Say what retrying does to messages that could not be decoded."""
    reasons = store.run(store.app.dead_letters.reasons(ids))
    count = reasons.count(Reason.UNDECODABLE)
    if count:
        which = "This one" if len(ids) == 1 else f"{count:,} of these {len(ids):,}"
        click.echo(
            f"Note: {which} could not be decoded. A retry helps only if another worker can read the "
            f"message; otherwise it becomes a dead letter again. To see the problem: asynctasq dead "
            f"show ID",
            err=True,
        )


def _edited(details: "TaskDetails", changes: Sequence[str]) -> "Arguments":
    """The arguments with what the command line says."""
    from asynctasq.cli.formatting import parameter_names
    from asynctasq.operations import Arguments

    if details.arguments is None:
        raise click.ClickException(
            f"The arguments cannot be read here: {details.unreadable.get('arguments', '')}"
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
                f"--argument {name}: it has no such argument, but {', '.join(known) or 'none at all'}. "
                f"Names of positional arguments are known with --app MODULE."
            )
    if names is not None:
        _check(details, positional, named)
    return Arguments(tuple(positional), named)


def _change(change: str) -> tuple[str, object]:
    name, equals, text = change.partition("=")
    if not equals or not name.rstrip(":"):
        raise click.UsageError(f"--argument {change}: write NAME=TEXT or NAME:=JSON.")
    if not name.endswith(":"):
        return name, text
    try:
        return name[:-1], json.loads(text)
    except ValueError as error:
        raise click.UsageError(
            f"--argument {change}: {text!r} is no JSON ({error}); for a text write {name[:-1]}={text}"
        ) from error


def _place(name: str, names: Sequence[str] | None, count: int) -> int | None:
    """Which positional argument is meant; None if it is one by name."""
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
        raise click.UsageError(f"The arguments would not fit the task: {error}") from error
