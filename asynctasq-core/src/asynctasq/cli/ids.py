"""IDs on the command line: in full, a unique part, or `-` for lines on standard input."""

import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

import click

from asynctasq.cli.operator_commands import AppSession
from asynctasq.errors import ResultUnknown
from asynctasq.records import record

SHOWN = 5
"""Number of candidates listed for an ambiguous part of an ID."""


Search = Callable[[AppSession, Sequence[str]], Coroutine[Any, Any, dict[str, list[str]]]]
"""Finds the IDs that begin or end with each part of an ID, up to `SHOWN + 1` for each."""


@record
class Listing:
    """The tasks or messages among which a part of an ID is searched."""

    search: Search
    absent: str
    """Error text if the part `{0}` matches no ID in the store `{1}`."""


async def _find_tasks(
    session: AppSession, parts: Sequence[str], *, dead: bool = False
) -> dict[str, list[str]]:
    from asynctasq.contracts.capabilities import Capability, SupportsInspect, require
    from asynctasq.operations.ids import matches
    from asynctasq.operations.searching import searched_for_dead

    opened = await session.app.driver()
    driver = require(
        searched_for_dead(opened) if dead else opened,
        Capability.INSPECT,
        SupportsInspect,
        purpose="Searching for IDs",
    )
    return await matches(driver, parts, dead=dead, most=SHOWN + 1)


ALL_TASKS = Listing(
    _find_tasks,
    "No task in {1} has an ID that begins or ends with {0!r}. Completed and cancelled tasks are "
    "found by their full ID only.",
)
DEAD_LETTERS = Listing(
    partial(_find_tasks, dead=True),
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
    from asynctasq.operations.ids import full_id

    parts = [each for each in given if full_id(each) is None]
    found: dict[str, list[str]] = {}
    if parts:
        found = store.run(listing.search(store, parts))
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
