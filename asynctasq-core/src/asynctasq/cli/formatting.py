"""Tasks as commands print them: as tables, one in full, and as JSON."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from asynctasq.annotations import signature_of
from asynctasq.cli.tables import Cell, Column, is_narrow, print_table, printable
from asynctasq.cli.times import age, when
from asynctasq.contracts.capabilities import Page
from asynctasq.message import State
from asynctasq.operations import Redaction, TaskDetails, TaskInfo
from asynctasq.operations.ids import short_ids
from asynctasq.records import record

if TYPE_CHECKING:
    from asynctasq.app import App

T = TypeVar("T")

STYLES = {State.RUNNING: "cyan", State.DEAD: "red", State.COMPLETED: "green"}
PAGE = 500
"""Number of tasks in one read of the store."""
UNREADABLE = "(unreadable)"
"""Name shown for a task whose record is damaged."""


@record
class Showing:
    """How arguments, results and progress are shown."""

    arguments: bool
    """True to show them."""
    redaction: Redaction

    def value(self, value: object) -> object:
        """Return a result or progress as plain JSON data, redacted."""
        return self.redaction.plain(value)


def showing_of(app: "App", asked: bool | None) -> Showing:
    """Return the choice of the command line, or else that of the settings."""
    settings = app.settings
    return Showing(
        settings.show_arguments if asked is None else asked, Redaction(settings.redact_arguments)
    )


def state_text(info: TaskInfo) -> str:
    """Return the state of a task as text."""
    return "cancelling" if info.cancelling else info.state.value


def task_object(info: TaskInfo) -> dict[str, Any]:
    """Return one task of a listing as JSON data."""
    message = info.message
    return {
        "id": info.id,
        "state": info.state.value,
        "task": info.task,
        "queue": info.queue,
        "priority": None if message is None else message.priority,
        "attempts": info.attempts,
        "max_attempts": None if message is None else message.max_attempts,
        "lost": info.lost,
        "enqueued_at": info.enqueued_at,
        "due_at": info.due_at,
        "finished_at": info.finished_at,
        "worker": info.worker,
        "cancelling": info.cancelling,
        "reason": None if info.reason is None else info.reason.value,
        "error": None
        if info.error is None
        else {"type": info.error.type, "message": info.error.message},
    }


def details_object(details: TaskDetails, showing: Showing) -> dict[str, Any]:
    """Return everything known of one task as JSON data."""
    info, message = details.info, details.info.message
    shown = task_object(info)
    if info.error is not None:
        shown["error"]["traceback"] = info.error.traceback
    shown["headers"] = {} if message is None else dict(message.headers)
    shown["unique_key"] = None if message is None or message.unique is None else message.unique.key
    hidden = not showing.arguments
    shown["arguments"] = None if hidden else arguments_object(details, showing)
    shown["result"] = None if hidden else showing.value(details.result)
    shown["progress"] = None if hidden else showing.value(details.progress)
    shown["hidden"] = hidden
    shown["unreadable"] = dict(details.unreadable)
    return shown


def arguments_object(details: TaskDetails, showing: Showing) -> dict[str, object] | None:
    """Return the arguments by name, redacted."""
    if details.arguments is None:
        return None
    names = parameter_names(details.info.task) if details.arguments.positional else ()
    if names is None and showing.redaction.hides_anything:
        click.echo(
            "Note: positional arguments are hidden because their names are unknown here. Pass --app "
            "MODULE to import the task.",
            err=True,
        )
    return showing.redaction.arguments(details.arguments, names)


def parameter_names(task: str | None) -> Sequence[str] | None:
    """List the names of a task's positional parameters.

    Return None if the task cannot be imported, or if a decorator accepts any arguments, so that only
    the decorator knows their names.
    """
    from asynctasq.errors import AsynctasqError
    from asynctasq.tasks.decorator import FunctionCall
    from asynctasq.tasks.registry import registry

    if task is None:
        return None
    try:
        bare = registry.find(task).create()
    except AsynctasqError:
        return None
    function: Any = type(bare).__init__
    if isinstance(bare, FunctionCall):
        function = bare._function_task.fn
    parameters = list(signature_of(function, follow_wrapped=False).parameters.values())
    if (
        not isinstance(bare, FunctionCall)
        and parameters[0].kind is not parameters[0].VAR_POSITIONAL
    ):
        del parameters[0]  # self
    if hasattr(function, "__wrapped__") and any(
        each.kind is each.VAR_POSITIONAL for each in parameters
    ):
        return None
    return [
        each.name
        for each in parameters
        if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}
    ]


Fetch = Callable[[int, str | None], Awaitable[Page[T]]]
"""Reads a page: takes the number of items and a cursor."""


async def pages_of(fetch: Fetch[T], limit: int, cursor: str | None) -> AsyncIterator[Page[T]]:
    """Yield pages of a listing with at most `limit` items in all; 0 means no limit."""
    left = limit
    while True:
        page = await fetch(min(left, PAGE) if limit else PAGE, cursor)
        yield page
        cursor = page.cursor
        left -= len(page.items)
        if cursor is None or (limit and left <= 0):
            return


async def print_objects(
    name: str,
    pages: AsyncIterator[Page[T]],
    to_object: Callable[[T], Mapping[str, Any]],
) -> None:
    """Print a listing as one JSON document with a line for each item, while reading it."""
    click.echo(f'{{"{name}": [', nl=False)
    separator, cursor = "\n", None
    async for page in pages:
        lines = (json.dumps(to_object(item)) for item in page.items)
        if page.items:
            click.echo(separator + ",\n".join(lines), nl=False)
            separator = ",\n"
        cursor = page.cursor
    click.echo(f'\n], "cursor": {json.dumps(cursor)}}}')


async def collected(pages: AsyncIterator[Page[T]]) -> Page[T]:
    """Return all pages as one."""
    found: list[T] = []
    cursor = None
    async for page in pages:
        found += page.items
        cursor = page.cursor
    return Page(found, cursor)


def print_next_page_hint(page: Page[T], noun: str = "tasks") -> None:
    """Print how to see the next page, if there is one."""
    if page.cursor is not None:
        click.echo(f"There are more {noun}. Next page: --cursor {page.cursor}", err=True)


def print_tasks(found: Sequence[TaskInfo], *, wide: bool = False) -> None:
    """Print a table of waiting and running tasks."""
    now = time.time()
    columns: list[Column[TaskInfo]] = [
        _id_column(found, wide=wide),
        Column("Task", task_name, cut_at=60, fold_at=14),
        Column("State", lambda info: Cell(state_text(info), STYLES.get(info.state, ""))),
        Column("Queue", lambda info: info.queue or "", rank=1, fold_at=8),
        Column("Failed", _attempts, rank=4, right=True),
        Column("Age", lambda info: age(info.enqueued_at, now), rank=3, right=True),
        Column("Due", lambda info: _due(info, now), rank=1, right=True),
        Column("Worker", lambda info: info.worker or "", rank=5, shrink_to=10),
        Column("Last error", error_text, rank=2, shrink_to=14, cut_at=80),
    ]
    print_table(columns, found, wide=wide)


def print_dead_letters(found: Sequence[TaskInfo], *, wide: bool = False) -> None:
    """Print a table of dead letters."""
    now = time.time()
    columns: list[Column[TaskInfo]] = [
        _id_column(found, wide=wide),
        Column("Task", task_name, cut_at=60, fold_at=16),
        Column("Died", lambda info: age(info.finished_at, now), rank=1, right=True),
        Column("Queue", lambda info: info.queue or "", rank=3, fold_at=8),
        Column("Reason", lambda info: info.reason.value if info.reason else "", rank=2),
        Column("Failed", _attempts, rank=4, right=True),
        Column("Error", error_text, shrink_to=24, cut_at=120),
    ]
    print_table(columns, found, wide=wide)


def _id_column(found: Sequence[TaskInfo], *, wide: bool) -> Column[TaskInfo]:
    """Make the column of IDs, shortened if the table must fit a terminal."""
    ids = [info.id for info in found]
    shown = dict(zip(ids, short_ids(ids), strict=True)) if is_narrow(wide=wide) else {}
    return Column("ID", lambda info: shown.get(info.id, info.id))


def task_name(info: TaskInfo) -> str:
    """Return the name of a task as it is shown."""
    return info.task or ("" if info.message is None else UNREADABLE)


def print_details(details: TaskDetails, showing: Showing, hint: str = "") -> None:
    """Print everything known of one task; `hint` says why it has not finished."""
    now = time.time()
    info, message = details.info, details.info.message
    reason = "" if info.reason is None else f" ({info.reason.value})"
    lines = [
        ("ID", info.id),
        ("Task", task_name(info)),
        ("State", f"{state_text(info)}{reason}"),
        ("Queue", info.queue or ""),
        ("Priority", "" if message is None else str(message.priority)),
        ("Failed runs", "" if message is None else f"{info.attempts} of {message.max_attempts}"),
        ("Lost leases", str(info.lost) if info.lost else ""),
        ("Enqueued", when(info.enqueued_at, now)),
        ("Due", when(info.due_at, now) if info.state is State.SCHEDULED else ""),
        ("Note", hint),
        ("Finished" if info.state is not State.DEAD else "Died", when(info.finished_at, now)),
        ("Worker", info.worker or ""),
        ("Unique key", message.unique.key if message is not None and message.unique else ""),
        *(
            ("Header", f"{name}: {value}")
            for name, value in (message.headers if message else {}).items()
        ),
        *_values(details, showing),
        ("Error", "" if info.error is None else f"{info.error.type}: {info.error.message}"),
    ]
    for title, text in lines:
        if text:
            click.echo(f"{title:<12}  " + printable(text).replace("\n", "\n" + 14 * " "))
    if info.error is not None and info.error.traceback:
        click.echo(f"\n{printable(info.error.traceback).rstrip()}")


def _values(details: TaskDetails, showing: Showing) -> Iterator[tuple[str, str]]:
    """Yield arguments, result and progress as titles and texts."""
    unread = {name: f"unreadable here: {why}" for name, why in details.unreadable.items()}
    completed = details.info.state is State.COMPLETED
    if not showing.arguments:
        if details.arguments is not None or completed:
            yield "Result" if completed else "Arguments", "hidden (--arguments shows)"
    else:
        title = "Arguments"
        for name, value in (arguments_object(details, showing) or {}).items():
            yield title, f"{name} = {_text(value)}"
            title = ""
        if completed and "result" not in unread:
            yield "Result", _text(showing.value(details.result))
        if details.progress is not None:
            yield "Progress", _text(showing.value(details.progress))
    for name, why in unread.items():
        yield name.capitalize(), why


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _attempts(info: TaskInfo) -> str:
    limit = "" if info.message is None else f" of {info.message.max_attempts}"
    return f"{info.attempts}{limit}" if info.attempts else ""


def _due(info: TaskInfo, now: float) -> str:
    if info.state is not State.SCHEDULED or info.due_at is None:
        return ""
    return f"in {age(now, info.due_at)}"


def error_text(info: TaskInfo) -> str:
    """Return the error as one line."""
    if info.error is None:
        return ""
    return f"{info.error.type.rpartition('.')[2]}: {info.error.message}"
