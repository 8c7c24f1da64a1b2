"""IDs on the command line: in full, a unique part, or `-` for lines on standard input."""

import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import click

from asynctasq.cli.operator_commands import AppSession, Store
from asynctasq.errors import ResultUnknown
from asynctasq.records import record

if TYPE_CHECKING:
    from asynctasq.operations.ids import Identified

MANY = 20_000
"""Number of tasks above which a note announces the search."""
SHOWN = 5
"""Number of candidates listed for an ambiguous part of an ID."""


@record
class Listing:
    """The tasks among which a part of an ID is searched."""

    each: Callable[[], "AsyncIterator[Identified]"]
    absent: str
    """Error text if the part `{0}` matches no ID in the store `{1}`."""
    counts_tasks: bool = True
    """True if a search that must read many tasks is announced."""


def all_tasks(store: Store) -> Listing:
    """List every waiting, running and dead task."""
    from asynctasq.message import State
    from asynctasq.operations import WAITING_OR_RUNNING
    from asynctasq.operations.paging import MOST_READ, all_items

    states = (*WAITING_OR_RUNNING, State.DEAD)
    tasks = store.app.tasks
    return Listing(
        lambda: all_items(
            lambda limit, cursor: tasks.page(states, limit=limit, cursor=cursor), MOST_READ
        ),
        "No task in {1} has an ID that begins or ends with {0!r}. Completed and cancelled tasks are "
        "found by their full ID only.",
    )


def dead_letters(store: Store) -> Listing:
    """List every dead letter."""
    return Listing(
        store.app.dead_letters.each,
        "No dead letter in {1} has an ID that begins or ends with {0!r}.",
    )


def read_ids(given: Iterable[str]) -> list[str]:
    """Read the IDs of the command line, each once; `-` stands for the words on stdin.

    Raises:
        click.UsageError: a text is neither an ID nor a part of one.
    """
    from asynctasq.operations.ids import full_id, is_part

    found: dict[str, None] = {}
    for text in given:
        for word in sys.stdin.read().split() if text == "-" else [text]:
            whole = full_id(word)
            if whole is None and not is_part(word):
                raise click.UsageError(
                    f"{word!r} is not a valid task ID (expected a UUID, or at least 4 digits from the "
                    f"end of one, as `asynctasq tasks` shows)."
                )
            found[whole or word.lower()] = None
    return list(found)


def resolve_id(store: AppSession, text: str, listing: Listing) -> str:
    """Return the full ID of one task. Raises as `resolve_ids`."""
    found = resolve_ids(store, read_ids([text]), listing)
    if len(found) != 1:
        raise click.UsageError(f"Expected one task ID, got {len(found)}.")
    return found[0]


def resolve_ids(store: AppSession, given: Sequence[str], listing: Listing) -> list[str]:
    """Return the full IDs, each once, for the result of `read_ids`. Reads the store only for parts.

    Raises:
        click.UsageError: a part matches several tasks.
        ResultUnknown: a part matches no task.
    """
    from asynctasq.operations.ids import full_id, matches

    parts = [each for each in given if full_id(each) is None]
    found: dict[str, list[str]] = {}
    if parts:
        if listing.counts_tasks:
            _note_long_search(store, parts)
        found = store.run(matches(parts, listing.each(), most=SHOWN + 1))
    for part, ids in found.items():
        if not ids:
            raise ResultUnknown(listing.absent.format(part, store.name))
        if len(ids) > 1:
            named = "\n  ".join(ids[:SHOWN])
            more = "\n  ..." if len(ids) > SHOWN else ""
            raise click.UsageError(
                f"{part!r} is ambiguous. Type more digits from the end of the ID. It matches:\n"
                f"  {named}{more}"
            )
    return list(dict.fromkeys(each if each not in found else found[each][0] for each in given))


def _note_long_search(store: AppSession, parts: Sequence[str]) -> None:
    """Print a note if the search must read many tasks."""
    from asynctasq.errors import CapabilityMissing

    try:
        queues = store.run(store.app.queues.all())
    except CapabilityMissing:  # the search reports it
        return
    total = sum(
        (each.ready or 0) + (each.scheduled or 0) + (each.running or 0) + (each.dead or 0)
        for each in queues
    )
    if total > MANY:
        click.echo(
            f"Searching {total:,} tasks for {', '.join(parts)}. A full ID needs no search.",
            err=True,
        )
