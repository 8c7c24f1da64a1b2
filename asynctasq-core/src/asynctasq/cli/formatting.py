"""Tasks as commands show them: rows of tables, one in full, and JSON."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

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

STYLES = {State.RUNNING: "cyan", State.DEAD: "red", State.COMPLETED: "green"}
PAGE = 500
"""Tasks that are read at once."""
UNREADABLE = "(unreadable)"
"""Stands for the name of a task whose record is damaged."""


@record
class Showing:
    """Whether arguments are shown, and what of them never is."""

    arguments: bool
    redaction: Redaction

    def value(self, value: object) -> object:
        """A result or progress, as JSON can carry it."""
        return self.redaction.plain(value)


def showing_of(app: "App", asked: bool | None) -> Showing:
    """As asked, or else as the settings say."""
    settings = app.settings
    return Showing(
        settings.show_arguments if asked is None else asked, Redaction(settings.redact_arguments)
    )


def state_text(info: TaskInfo) -> str:
    """The state of a task in words."""
    return "cancelling" if info.cancelling else info.state.value


def task_object(info: TaskInfo) -> dict[str, Any]:
    """One task of a listing, for programs."""
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
    """One task with all that is known of it, for programs."""
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
    """The arguments by name, but for what is secret."""
    if details.arguments is None:
        return None
    names = parameter_names(details.info.task) if details.arguments.positional else ()
    if names is None and showing.redaction.hides_anything:
        click.echo(
            "Note: positional arguments are hidden, as nothing tells here what they are. --app MODULE "
            "imports the task, which does.",
            err=True,
        )
    return showing.redaction.arguments(details.arguments, names)


def parameter_names(task: str | None) -> Sequence[str] | None:
    """List the names of a task's positional parameters.

    None if its code cannot be imported, or if a decorator takes any arguments: only that knows their names.
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


Fetch = Callable[[int, str | None], Awaitable[Page[TaskInfo]]]
"""Reads a page of so many tasks, from a cursor on."""


async def pages_of(fetch: Fetch, limit: int, cursor: str | None) -> AsyncIterator[Page[TaskInfo]]:
    """Pages of a listing until there are `limit` tasks; 0 is no limit."""
    left = limit
    while True:
        page = await fetch(min(left, PAGE) if limit else PAGE, cursor)
        yield page
        cursor = page.cursor
        left -= len(page.items)
        if cursor is None or (limit and left <= 0):
            return


async def print_objects(name: str, pages: AsyncIterator[Page[TaskInfo]]) -> None:
    """Print a listing as one JSON document, a line for each task, while it is read."""
    click.echo(f'{{"{name}": [', nl=False)
    separator, cursor = "\n", None
    async for page in pages:
        lines = (json.dumps(task_object(info)) for info in page.items)
        if page.items:
            click.echo(separator + ",\n".join(lines), nl=False)
            separator = ",\n"
        cursor = page.cursor
    click.echo(f'\n], "cursor": {json.dumps(cursor)}}}')


async def collected(pages: AsyncIterator[Page[TaskInfo]]) -> Page[TaskInfo]:
    """All pages as one."""
    found: list[TaskInfo] = []
    cursor = None
    async for page in pages:
        found += page.items
        cursor = page.cursor
    return Page(found, cursor)


def tell_of_more(page: Page[TaskInfo]) -> None:
    """Say how to see what comes after this page."""
    if page.cursor is not None:
        click.echo(f"There are more; for the next page: --cursor {page.cursor}", err=True)


def print_tasks(found: Sequence[TaskInfo], *, wide: bool = False) -> None:
    """Print a table of tasks that wait or run."""
    now = time.time()
    columns = [
        Column("ID"),
        Column("Task", cut_at=60, fold_at=14),
        Column("State"),
        Column("Queue", rank=1, fold_at=8),
        Column("Failed", rank=4, right=True),
        Column("Age", rank=3, right=True),
        Column("Due", rank=1, right=True),
        Column("Worker", rank=5, shrink_to=10),
        Column("Last error", rank=2, shrink_to=14, cut_at=80),
    ]
    rows: list[list[str | Cell]] = [
        [
            shown_id,
            task_name(info),
            Cell(state_text(info), STYLES.get(info.state, "")),
            info.queue or "",
            _attempts(info),
            age(info.enqueued_at, now),
            _due(info, now),
            info.worker or "",
            error_text(info),
        ]
        for shown_id, info in zip(_shown_ids(found, wide=wide), found, strict=True)
    ]
    print_table(columns, rows, wide=wide)


def print_dead_letters(found: Sequence[TaskInfo], *, wide: bool = False) -> None:
    """Print a table of dead letters."""
    now = time.time()
    columns = [
        Column("ID"),
        Column("Task", cut_at=60, fold_at=16),
        Column("Died", rank=1, right=True),
        Column("Queue", rank=3, fold_at=8),
        Column("Reason", rank=2),
        Column("Failed", rank=4, right=True),
        Column("Error", shrink_to=24, cut_at=120),
    ]
    rows: list[list[str | Cell]] = [
        [
            shown_id,
            task_name(info),
            age(info.finished_at, now),
            info.queue or "",
            "" if info.reason is None else info.reason.value,
            _attempts(info),
            error_text(info),
        ]
        for shown_id, info in zip(_shown_ids(found, wide=wide), found, strict=True)
    ]
    print_table(columns, rows, wide=wide)


def _shown_ids(found: Sequence[TaskInfo], *, wide: bool) -> Sequence[str]:
    """Shorten the IDs where the table has to fit a terminal."""
    ids = [info.id for info in found]
    return short_ids(ids) if is_narrow(wide=wide) else ids


def task_name(info: TaskInfo) -> str:
    """Return the name of a task, or what stands for it."""
    return info.task or ("" if info.message is None else UNREADABLE)


def print_details(details: TaskDetails, showing: Showing, hint: str = "") -> None:
    """Print one task with all that is known of it; `hint` says why it has not ended."""
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
    """Arguments, result and progress, as lines."""
    unread = {name: f"cannot be read here: {why}" for name, why in details.unreadable.items()}
    completed = details.info.state is State.COMPLETED
    if not showing.arguments:
        if details.arguments is not None or completed:
            yield "Result" if completed else "Arguments", "hidden; --arguments shows"
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
    most = "" if info.message is None else f" of {info.message.max_attempts}"
    return f"{info.attempts}{most}" if info.attempts else ""


def _due(info: TaskInfo, now: float) -> str:
    if info.state is not State.SCHEDULED or info.due_at is None:
        return ""
    return f"in {age(now, info.due_at)}"


def error_text(info: TaskInfo) -> str:
    """The error in one line."""
    if info.error is None:
        return ""
    return f"{info.error.type.rpartition('.')[2]}: {info.error.message}"
