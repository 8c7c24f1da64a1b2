"""Retrying and deleting many dead letters, with a progress bar and a summary."""

import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from asynctasq.cli.exit_codes import ExitCode
from asynctasq.cli.operator_commands import AppSession, Store, count_of
from asynctasq.cli.options import print_json
from asynctasq.errors import AsynctasqError

if TYPE_CHECKING:
    from asynctasq.operations import RetryOutcome

Advance = Callable[[], object]
"""Updates the progress bar."""
REFUSED_SHOWN = 20
"""Largest number of refused dead letters that the summary lists."""


@dataclass
class BulkSummary:
    """Outcome of a command for many dead letters, or messages of the outbox."""

    verb: str
    """Past tense, such as "retried"."""
    matched: int
    """Number of selected dead letters."""
    noun: str = "dead letter"
    done: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """IDs and reasons."""
    interrupted: bool = False

    def add(self, task_id: str, refusal: str | None) -> None:
        """Count one dead letter; `refusal` is the reason if nothing was done."""
        if refusal is None:
            self.done += 1
        else:
            self.refused.append((task_id, refusal))

    def print(self, *, as_json: bool) -> None:
        """Print the summary."""
        if as_json:
            print_json(
                {
                    "matched": self.matched,
                    self.verb: self.done,
                    "refused": [{"id": each, "why": why} for each, why in self.refused],
                    "interrupted": self.interrupted,
                }
            )
            return
        if not self.matched:
            click.echo(f"No matching {self.noun}s.")
            return
        for task_id, why in islice(self.refused, REFUSED_SHOWN):
            click.echo(f"{task_id}  not {self.verb}: {why}")
        if len(self.refused) > REFUSED_SHOWN:
            click.echo(f"... and {len(self.refused) - REFUSED_SHOWN:,} more not {self.verb}")
        rest = self.matched - self.done - len(self.refused)
        unchanged = f"; {rest:,} unchanged" if rest else ""
        total = count_of(self.matched, self.noun)
        click.echo(f"{self.verb.capitalize()} {self.done:,} of {total}{unchanged}.")

    @property
    def untouched(self) -> bool:
        """True if nothing was done or refused."""
        return not self.done and not self.refused

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of the command."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return ExitCode.FAILED if self.refused else ExitCode.DONE


def retry_ids(
    store: Store, ids: Sequence[str], *, per_second: float | None = None, as_json: bool
) -> None:
    """Retry dead letters, print a summary, and exit with its code."""
    from asynctasq.operations import RetryOutcome

    summary = BulkSummary("retried", len(ids))
    rest = iter(ids)

    def note(outcomes: "Sequence[RetryOutcome]", advance: Advance) -> None:
        for task_id, outcome in zip(islice(rest, len(outcomes)), outcomes, strict=True):
            summary.add(task_id, None if outcome is RetryOutcome.RETRIED else outcome.value)
        advance()

    async def act(advance: Advance) -> None:
        await store.app.dead_letters.retry(
            ids, per_second=per_second, on_progress=lambda outcomes: note(outcomes, advance)
        )

    follow(store, summary, act, "Retrying", as_json=as_json)


def delete_ids(store: Store, ids: Sequence[str], *, as_json: bool) -> None:
    """Delete dead letters, print a summary, and exit with its code."""
    summary = BulkSummary("deleted", len(ids))
    rest = iter(ids)

    def note(deleted: Sequence[bool], advance: Advance) -> None:
        for task_id, done in zip(islice(rest, len(deleted)), deleted, strict=True):
            summary.add(task_id, None if done else "no such dead letter")
        advance()

    async def act(advance: Advance) -> None:
        await store.app.dead_letters.delete(ids, on_progress=lambda deleted: note(deleted, advance))

    follow(store, summary, act, "Deleting", as_json=as_json)


def follow(
    store: AppSession,
    summary: BulkSummary,
    act: Callable[[Advance], Coroutine[Any, Any, None]],
    title: str,
    *,
    as_json: bool,
) -> None:
    """Run the command, and print the summary even if it fails or is interrupted."""
    failure: AsynctasqError | None = None
    with progress_bar(title, summary.matched, shown=not as_json) as show:
        try:
            store.run(act(lambda: show(summary.done + len(summary.refused))))
        except KeyboardInterrupt:
            summary.interrupted = True
        except AsynctasqError as error:
            failure = error
    if failure is None or not summary.untouched:
        summary.print(as_json=as_json)
    if failure is not None:
        raise failure
    click.get_current_context().exit(summary.exit_code)


@contextmanager
def progress_bar(title: str, total: int, *, shown: bool) -> Iterator[Callable[[int], object]]:
    """Show a progress bar on stderr if that is a terminal; yield the function that sets how many are done."""
    if not (shown and sys.stderr.isatty() and total > 1):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        bar = progress.add_task(title, total=total)
        yield lambda done: progress.update(bar, completed=done)
