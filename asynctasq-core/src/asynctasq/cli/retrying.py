"""Retrying and deleting many dead letters, with progress, and an honest account at the end."""

import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from asynctasq.cli.exit_codes import ExitCode
from asynctasq.cli.operator_commands import Store, count_of, print_json
from asynctasq.errors import AsynctasqError

if TYPE_CHECKING:
    from asynctasq.operations import RetryOutcome

Advance = Callable[[], object]
"""Shows how far it is."""
REFUSED_SHOWN = 20


@dataclass
class BulkSummary:
    """What became of the dead letters that were meant."""

    verb: str
    matched: int
    done: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Ids, and why not."""
    interrupted: bool = False

    def note(self, task_id: str, why_not: str | None) -> None:
        """Count one."""
        if why_not is None:
            self.done += 1
        else:
            self.refused.append((task_id, why_not))

    def tell(self, *, as_json: bool) -> None:
        """Print it."""
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
            click.echo("There are no such dead letters.")
            return
        for task_id, why in islice(self.refused, REFUSED_SHOWN):
            click.echo(f"{task_id}  not {self.verb}: {why}")
        if len(self.refused) > REFUSED_SHOWN:
            click.echo(f"... and {len(self.refused) - REFUSED_SHOWN:,} more were not {self.verb}.")
        told = f"{self.done:,} of {count_of(self.matched, 'dead letter')} {self.verb}"
        rest = self.matched - self.done - len(self.refused)
        click.echo(f"{told}{_left(rest, self.matched)}.")

    @property
    def untouched(self) -> bool:
        """Whether nothing has become of any."""
        return not self.done and not self.refused

    @property
    def exit_code(self) -> ExitCode:
        """0 if all were done."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return ExitCode.FAILED if self.refused else ExitCode.DONE


def _left(rest: int, matched: int) -> str:
    """What to say of those of which nothing has become."""
    if rest == 0:
        return ""
    if rest == 1:
        return "; it is as it was" if matched == 1 else "; the other one is as it was"
    return f"; the other {rest:,} are as they were" if rest < matched else "; they are as they were"


def retry_ids(
    store: Store, ids: Sequence[str], *, per_second: float | None = None, as_json: bool
) -> None:
    """Retry dead letters, tell what became of them, and exit with what that means."""
    from asynctasq.operations import RetryOutcome

    account = BulkSummary("retried", len(ids))
    rest = iter(ids)

    def note(outcomes: "Sequence[RetryOutcome]", advance: Advance) -> None:
        for task_id, outcome in zip(islice(rest, len(outcomes)), outcomes, strict=True):
            account.note(task_id, None if outcome is RetryOutcome.RETRIED else outcome.value)
        advance()

    async def act(advance: Advance) -> None:
        await store.app.dead_letters.retry(
            ids, per_second=per_second, on_progress=lambda outcomes: note(outcomes, advance)
        )

    _follow(store, account, act, "Retrying", as_json=as_json)


def delete_ids(store: Store, ids: Sequence[str], *, as_json: bool) -> None:
    """Delete dead letters, tell what became of them, and exit with what that means."""
    account = BulkSummary("deleted", len(ids))
    rest = iter(ids)

    def note(deleted: Sequence[bool], advance: Advance) -> None:
        for task_id, done in zip(islice(rest, len(deleted)), deleted, strict=True):
            account.note(task_id, None if done else "no such dead letter")
        advance()

    async def act(advance: Advance) -> None:
        await store.app.dead_letters.delete(ids, on_progress=lambda deleted: note(deleted, advance))

    _follow(store, account, act, "Deleting", as_json=as_json)


def _follow(
    store: Store,
    account: BulkSummary,
    act: Callable[[Advance], Coroutine[Any, Any, None]],
    title: str,
    *,
    as_json: bool,
) -> None:
    """Do it, and tell what was done however it ends."""
    failure: AsynctasqError | None = None
    with _progress_bar(title, account, shown=not as_json) as advance:
        try:
            store.run(act(advance))
        except KeyboardInterrupt:
            account.interrupted = True
        except AsynctasqError as error:
            failure = error
    if failure is None or not account.untouched:
        account.tell(as_json=as_json)
    if failure is not None:
        raise failure
    click.get_current_context().exit(account.exit_code)


@contextmanager
def _progress_bar(title: str, account: BulkSummary, *, shown: bool) -> Iterator[Advance]:
    """A bar on stderr, where that is a terminal; yields what moves it to where the account stands."""
    if not (shown and sys.stderr.isatty() and account.matched > 1):
        yield lambda: None
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
        bar = progress.add_task(title, total=account.matched)
        yield lambda: progress.update(bar, completed=account.done + len(account.refused))
