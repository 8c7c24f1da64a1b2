"""Commands for all tasks that match a filter: how many there are, a question, a progress bar and a summary."""

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from asynctasq.cli.exit_codes import ExitCode
from asynctasq.cli.known_queues import note_unknown_queue
from asynctasq.cli.operator_commands import (
    Store,
    confirm,
    count_of,
)
from asynctasq.cli.options import (
    complete_queue,
    print_json,
)
from asynctasq.cli.retrying import progress_bar
from asynctasq.cli.times import moment
from asynctasq.errors import AsynctasqError
from asynctasq.message import State

if TYPE_CHECKING:
    from asynctasq.operations import BulkCounts, TaskFilter

F = TypeVar("F", bound=Callable[..., Any])
Act = Callable[..., Coroutine[Any, Any, "BulkCounts"]]
"""A call such as `app.tasks.cancel_all`; it takes `states`, `everything`, `per_second`, `on_progress` and a filter."""


class Selection(TypedDict):
    """Values of the options that select tasks."""

    states: Sequence[str]
    queue: str | None
    task: str | None
    since: float | None
    until: float | None
    every: bool
    dry_run: bool
    rate: float | None


def selection_options(states: Collection[str]) -> Callable[[F], F]:
    """Return a decorator that adds the options which select tasks. `states` are those to choose from."""

    def add(command: F) -> F:
        for option in reversed(
            (
                click.option(
                    "--state",
                    "states",
                    multiple=True,
                    type=click.Choice(list(states)),
                    help="Tasks in this state; may be repeated.  [default: ready, scheduled]",
                ),
                click.option(
                    "--queue",
                    metavar="NAME",
                    shell_complete=complete_queue,
                    help="Tasks of this queue.",
                ),
                click.option(
                    "--task",
                    metavar="PATTERN",
                    help="Tasks of this name, such as shop:pay or `shop:*`.",
                ),
                click.option(
                    "--since",
                    callback=moment,
                    metavar="TIME",
                    help="Enqueued since this time: 2h (ago), 2026-11-20.",
                ),
                click.option(
                    "--until",
                    "--older-than",
                    "until",
                    callback=moment,
                    metavar="TIME",
                    help="Enqueued before this time.",
                ),
                click.option("--all", "every", is_flag=True, help="Select all tasks."),
                click.option("--dry-run", is_flag=True, help="Only say how many tasks match."),
                click.option(
                    "--rate",
                    type=click.FloatRange(min=0, min_open=True),
                    metavar="N",
                    help="Take at most this many per second.",
                ),
            )
        ):
            command = option(command)
        return command

    return add


def selects(ids: Sequence[str], selection: Selection) -> bool:
    """Return whether tasks are selected by a filter, not by IDs.

    Raises:
        click.UsageError: they are selected in no way, or in several.
    """
    conditions = bool(_conditions(selection))
    if bool(ids) + conditions + selection["every"] != 1:
        raise click.UsageError(
            "Select tasks in one of three ways: by ID, by filters such as --queue or --task, or with --all."
        )
    if ids and (selection["states"] or selection["dry_run"] or selection["rate"] is not None):
        raise click.UsageError("--state, --dry-run and --rate require a filter or --all.")
    return not ids


@dataclass
class Summary:
    """Outcome of a command for many tasks."""

    done: str
    """Past tense, such as "cancelled"."""
    matched: int
    counts: "BulkCounts | None" = field(default=None)
    interrupted: bool = False

    def note(self, counts: "BulkCounts") -> None:
        """Keep what was done so far."""
        self.counts = counts

    @property
    def total(self) -> int:
        """The number of tasks whose turn it was."""
        return 0 if self.counts is None else self.counts.total

    def print(self, *, as_json: bool, dry_run: bool = False) -> None:
        """Print the summary."""
        from asynctasq.operations import BulkCounts

        counts = self.counts or BulkCounts()
        if as_json:
            print_json(
                {
                    "matched": self.matched,
                    self.done: counts.done,
                    "interrupted_runs": counts.interrupted,
                    "skipped": counts.skipped,
                    "failed": counts.failed,
                    "stopped": self.interrupted,
                    "dry_run": dry_run,
                }
            )
            return
        parts = [f"{self.done.capitalize()} {counts.done:,} of {count_of(self.matched, 'task')}"]
        if counts.interrupted:
            parts.append(f"{counts.interrupted:,} running: their workers interrupt them")
        if counts.skipped:
            parts.append(f"{counts.skipped:,} skipped: they began or ended meanwhile")
        if counts.failed:
            parts.append(f"{counts.failed:,} failed: their records in the store are damaged")
        rest = self.matched - counts.total
        if rest > 0:
            parts.append(f"{rest:,} unchanged")
        click.echo(f"{'; '.join(parts)}.")

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of the command."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return ExitCode.FAILED if self.counts and self.counts.failed else ExitCode.DONE


def run_bulk(
    store: Store,
    act: Act,
    selection: Selection,
    states: Mapping[str, State],
    *,
    verb: str,
    done: str,
    to: str = "",
    yes: bool,
    as_json: bool,
) -> None:
    """Count, ask, act with a progress bar, and print what was done; exit with the code for it.

    Args:
        store: to act on.
        act: the call.
        selection: which tasks.
        states: those that `--state` names.
        verb: such as "cancel".
        done: its past tense.
        to: what follows the number of tasks in the question, such as " to slow".
        yes: whether the question is left out.
        as_json: whether to print JSON.
    """
    from asynctasq.operations import WAITING

    chosen = [states[name] for name in selection["states"]] or list(WAITING)
    wanted = _conditions(selection)
    summary = Summary(done, store.run(store.app.tasks.count(chosen, **wanted)))
    if not summary.matched or selection["dry_run"]:
        if as_json:
            summary.print(as_json=True, dry_run=selection["dry_run"])
        elif summary.matched:
            click.echo(f"{count_of(summary.matched, 'task')} would be {done}{to} in {store.name}.")
        else:
            click.echo(f"No matching tasks in {store.name}.")
            note_unknown_queue(store, selection["queue"])
        return
    which = count_of(summary.matched, "task")
    confirm(f"{verb.capitalize()} {which}{to} in {store.name}", yes=yes)
    failure: AsynctasqError | None = None
    title = f"{verb.capitalize()} tasks"
    with progress_bar(title, summary.matched, shown=not as_json) as advance:

        def note(counts: "BulkCounts") -> None:
            summary.note(counts)
            advance(counts.total)

        try:
            store.run(
                act(
                    states=chosen,
                    everything=selection["every"],
                    per_second=selection["rate"],
                    on_progress=note,
                    **wanted,
                )
            )
        except KeyboardInterrupt:
            summary.interrupted = True
        except AsynctasqError as error:
            failure = error
    if failure is None or summary.total:
        summary.print(as_json=as_json)
    if failure is not None:
        raise failure
    click.get_current_context().exit(summary.exit_code)


def _conditions(selection: Selection) -> "TaskFilter":
    given: TaskFilter = {}
    if selection["queue"] is not None:
        given["queue"] = selection["queue"]
    if selection["task"] is not None:
        given["task"] = selection["task"]
    if selection["since"] is not None:
        given["since"] = selection["since"]
    if selection["until"] is not None:
        given["until"] = selection["until"]
    return given
