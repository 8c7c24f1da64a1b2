"""`asynctasq outbox`: list, retry and delete the messages that wait in the outbox, and print its tables."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import click

from asynctasq.cli.exit_codes import ExitCode, exit_code_help
from asynctasq.cli.ids import SHOWN, Listing, read_ids, resolve_ids
from asynctasq.cli.operator_commands import AppSession, OperatorGroup, confirm, count_of, find_app
from asynctasq.cli.options import app_option, json_option, page_options, yes_option
from asynctasq.cli.retrying import Advance, BulkSummary, follow

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from asynctasq.app import App
    from asynctasq.contracts.capabilities import Page
    from asynctasq.operations import OutboxMessage, OutboxMessages

F = TypeVar("F", bound=Callable[..., Any])

NOUN = "message"

outbox_option = click.option(
    "--outbox", "url", metavar="URL", help="Use this database instead of the one in the settings."
)
chosen_ids = click.argument("ids", nargs=-1, metavar="[ID...]")
all_option = click.option(
    "--all", "every", is_flag=True, help="Select all messages that were set aside."
)


def outbox_options(command: F) -> F:
    """Add the options that select the outbox, and `--json`."""
    return app_option(outbox_option(json_option(command)))


class OutboxSession(AppSession):
    """A session about the outbox of an app."""

    def __init__(self, target: str | None, url: str | None) -> None:
        """Find the app.

        Args:
            target: `MODULE[:APP]`; None for the app of the settings.
            url: of the database; None for that of the app.

        Raises:
            AsynctasqError: a setting is wrong, the app has no outbox, or the module cannot be imported.
            DriverUnavailable: the file of the database does not exist.
        """
        app = _app(target, url)
        super().__init__(app, app.outbox.place, option="--outbox")

    @property
    def messages(self) -> "OutboxMessages":
        """The messages in the outbox."""
        return self.app.outbox


@click.group(cls=OperatorGroup)
def command() -> None:
    """List the messages that wait in the outbox, or retry or delete them.

    The outbox holds tasks that were dispatched in a transaction of your database to another store. Without a
    command, `list` runs.
    """


@command.command("list", epilog=exit_code_help(ExitCode.UNAVAILABLE))
@click.option("--set-aside", is_flag=True, help="List only messages that were set aside.")
@page_options
@outbox_options
def list_messages(
    set_aside: bool,
    limit: int,
    cursor: str | None,
    wide: bool,
    target: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """List messages, oldest first.

    A worker sends them to their store within a second. A message that the store has refused ten times is set
    aside, until you retry or delete it.
    """
    from asynctasq.cli import formatting

    with OutboxSession(target, url) as session:

        def fetch(size: int, place: str | None) -> "Awaitable[Page[OutboxMessage]]":
            chosen = True if set_aside else None
            return session.messages.page(set_aside=chosen, limit=size, cursor=place)

        pages = formatting.pages_of(fetch, limit, cursor)
        if as_json:
            session.run(formatting.print_objects("outbox", pages, _as_object))
            return
        found = session.run(formatting.collected(pages))
        if not found.items:
            click.echo(f"No messages in the outbox of {session.name}.")
            return
    _print_table(found.items, wide=wide)
    formatting.print_next_page_hint(found, "messages")


@command.command(
    epilog=exit_code_help(
        ExitCode.UNAVAILABLE, ExitCode.INTERRUPTED, failed="a message was not retried"
    )
)
@chosen_ids
@all_option
@outbox_options
@yes_option
def retry(
    ids: Sequence[str], every: bool, target: str | None, url: str | None, as_json: bool, yes: bool
) -> None:
    """Send messages again, with attempts counted from zero.

    IDs may be shortened to their last digits, as in tables. Pass - to read IDs from stdin.
    """
    with OutboxSession(target, url) as session:
        wanted = _chosen(session, ids, every=every)
        if wanted and not ids:
            confirm(f"Retry {count_of(len(wanted), NOUN)} in {session.name}", yes=yes)
        _act(session, wanted, "retried", session.messages.retry, as_json=as_json)


@command.command(
    epilog=exit_code_help(
        ExitCode.UNAVAILABLE, ExitCode.INTERRUPTED, failed="a message was not deleted"
    )
)
@chosen_ids
@all_option
@outbox_options
@yes_option
def delete(
    ids: Sequence[str], every: bool, target: str | None, url: str | None, as_json: bool, yes: bool
) -> None:
    """Permanently delete messages, so that their tasks never run.

    IDs may be shortened to their last digits, as in tables. Pass - to read IDs from stdin.
    """
    with OutboxSession(target, url) as session:
        wanted = _chosen(session, ids, every=every)
        if wanted:
            confirm(f"Delete {count_of(len(wanted), NOUN)} in {session.name}", yes=yes)
        _act(session, wanted, "deleted", session.messages.delete, as_json=as_json)


@command.command(epilog=exit_code_help())
@app_option
@outbox_option
def sql(target: str | None, url: str | None) -> None:
    """Print the statements that create the tables of the outbox. No database is opened.

    They are for tools that manage the schema of your database, such as Alembic. `asynctasq migrate` creates the
    tables itself.
    """
    for statement in _app(target, url).outbox.create_statements():
        click.echo(f"{statement.strip().removesuffix(';')};\n")


async def _find_messages(session: AppSession, parts: Sequence[str]) -> dict[str, list[str]]:
    from asynctasq.operations.ids import matches_among

    return await matches_among(session.app.outbox.each(), parts, most=SHOWN + 1)


MESSAGES = Listing(
    _find_messages, "No message in the outbox of {1} has an ID that begins or ends with {0!r}."
)


def _app(target: str | None, url: str | None) -> "App":
    """Return the app of `--app` and `--outbox`."""
    app = find_app(target, None)
    if url is not None:
        app._override({"outbox": url})
    return app


def _chosen(session: OutboxSession, ids: Sequence[str], *, every: bool) -> list[str]:
    """Return the IDs of the messages that the command line selects."""
    if bool(ids) is every:
        raise click.UsageError("Pass IDs, or --all for all messages that were set aside.")
    if ids:
        return resolve_ids(session, read_ids(ids), MESSAGES)

    async def set_aside() -> list[str]:
        return [each.id async for each in session.messages.each(set_aside=True)]

    return session.run(set_aside())


def _act(
    session: OutboxSession,
    ids: Sequence[str],
    verb: str,
    method: "Callable[..., Awaitable[list[bool]]]",
    *,
    as_json: bool,
) -> None:
    """Change messages, print a summary, and exit with its code."""
    summary = BulkSummary(verb, len(ids), noun=NOUN)
    rest = iter(ids)

    async def act(advance: Advance) -> None:
        def note(answers: Sequence[bool]) -> None:
            for task_id, done in zip(islice(rest, len(answers)), answers, strict=True):
                summary.add(task_id, None if done else "no such message")
            advance()

        await method(ids, on_progress=note)

    follow(session, summary, act, verb.capitalize(), as_json=as_json)


def _as_object(found: "OutboxMessage") -> dict[str, Any]:
    message = found.message
    return {
        "id": found.id,
        "task": None if message is None else message.task,
        "queue": None if message is None else message.queue,
        "store": found.store or None,
        "age": round(found.age, 3),
        "attempts": found.attempts,
        "set_aside": found.is_set_aside,
        "retry_in": None if found.retry_in is None else round(found.retry_in, 3),
        "error": found.error or None,
    }


def _print_table(found: "Sequence[OutboxMessage]", *, wide: bool) -> None:
    from asynctasq.cli.formatting import UNREADABLE
    from asynctasq.cli.tables import Cell, Column, is_narrow, print_table
    from asynctasq.cli.times import duration
    from asynctasq.operations.ids import short_ids

    ids = [each.id for each in found]
    shown = dict(zip(ids, short_ids(ids), strict=True)) if is_narrow(wide=wide) else {}

    def task(each: "OutboxMessage") -> str:
        return UNREADABLE if each.message is None else each.message.task

    def next_try(each: "OutboxMessage") -> Cell:
        if each.retry_in is None:
            return Cell("set aside", "red")
        return Cell(f"in {duration(each.retry_in)}" if each.retry_in else "now", "")

    columns: list[Column[OutboxMessage]] = [
        Column("ID", lambda each: shown.get(each.id, each.id)),
        Column("Task", task, cut_at=60, fold_at=16),
        Column("Store", lambda each: each.store or "default", rank=4, fold_at=16),
        Column("Age", lambda each: duration(each.age), rank=1, right=True),
        Column("Refused", lambda each: str(each.attempts or ""), rank=3, right=True),
        Column("Next try", next_try, rank=2, right=True),
        Column("Error", lambda each: each.error, shrink_to=24, cut_at=120),
    ]
    print_table(columns, found, wide=wide)
