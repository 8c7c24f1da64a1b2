"""`asynctasq events`: what happens to tasks, live."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from asynctasq.cli.exit_codes import STORE_CODES, exit_code_help
from asynctasq.cli.operator_commands import OperatorCommand, Store
from asynctasq.cli.options import (
    app_option,
    complete_queue,
    driver_option,
)
from asynctasq.cli.stats import duration_text
from asynctasq.cli.tables import printable
from asynctasq.events import EventKind

if TYPE_CHECKING:
    from asynctasq.operations.events import Event, EventStream

_STYLES = {
    EventKind.COMPLETED: "green",
    EventKind.FAILED: "yellow",
    EventKind.RETRIED: "yellow",
    EventKind.LOST: "yellow",
    EventKind.GAP: "yellow",
    EventKind.DEAD: "red",
    EventKind.EXPIRED: "red",
}
_KINDS = [kind.value for kind in EventKind if kind is not EventKind.GAP]
_WIDTH = max(map(len, _KINDS))


@click.command(cls=OperatorCommand, epilog=exit_code_help(*STORE_CODES))
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(_KINDS),
    metavar="KIND",
    help=f"Events of this kind; repeat it for several. One of {', '.join(_KINDS)}.",
)
@click.option("--task", metavar="PATTERN", help="Tasks of this name, such as shop:pay or `shop:*`.")
@click.option("--queue", metavar="NAME", shell_complete=complete_queue, help="Tasks of this queue.")
@click.option("--after", metavar="CURSOR", help="Continue after the event with this cursor.")
@app_option
@driver_option
@click.option("--json", "as_json", is_flag=True, help="Print each event as JSON on a line.")
def command(
    kinds: tuple[str, ...],
    task: str | None,
    queue: str | None,
    after: str | None,
    target: str | None,
    driver: str | None,
    as_json: bool,
) -> None:
    """Print what happens to tasks, as it happens, until you press Ctrl-C.

    Workers and applications publish events while there is a listener. They begin within two seconds. A gap says
    that events are missing.
    """
    with Store(target, driver) as store:
        try:
            events = store.app.events(kinds=set(kinds) or None, task=task, queue=queue, after=after)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--after") from None
        store.run(_follow(events, store.name, as_json=as_json))


async def _follow(events: "EventStream", place: str, *, as_json: bool) -> None:
    async with events:
        click.echo(f"Listening to events of {place}. Press Ctrl-C to stop.", err=True)
        async for event in events:
            click.echo(json.dumps(event_object(event)) if as_json else _line(event))
            sys.stdout.flush()  # the reader of a pipe sees each event at once


def event_object(event: "Event") -> dict[str, Any]:
    """Return an event as JSON data. A progress report that JSON cannot hold is shown as Python does."""
    fields = asdict(event)
    progress = event.progress
    try:
        json.dumps(progress)
    except (TypeError, ValueError, RecursionError):
        progress = repr(progress)
    return {**fields, "kind": event.kind.value, "progress": progress}


def _line(event: "Event") -> str:
    clock = datetime.fromtimestamp(event.at, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
    kind = click.style(f"{event.kind.value:<{_WIDTH}}", fg=_STYLES.get(event.kind))
    return f"{clock}  {kind}  {_about(event)}".rstrip()


def _about(event: "Event") -> str:
    if event.kind is EventKind.GAP:
        number = "Some" if event.missed is None else f"{event.missed:,}"
        return f"{number} events are missing"
    parts = [event.task or "", event.task_id or ""]
    if event.queue is not None:
        parts.append(f"queue={event.queue}")
    if event.attempt is not None:
        parts.append(f"attempt={event.attempt}")
    if event.schedule is not None:
        parts.append(f"schedule={event.schedule}")
    if event.worker is not None:
        parts.append(f"worker={event.worker}")
    if event.seconds is not None:
        parts.append(f"({duration_text(event.seconds)})")
    if event.progress is not None:
        parts.append(f"progress={event.progress!r}")
    if event.reason is not None:
        parts.append(f"reason={event.reason}")
    if event.error is not None:
        parts.append(" ".join(event.error.split()))
    return printable("  ".join(part for part in parts if part))
