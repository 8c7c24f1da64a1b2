"""The known queues of a store, to catch misspelled names."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from asynctasq.cli.exit_codes import ExitCode
from asynctasq.cli.operator_commands import Store
from asynctasq.errors import CapabilityMissing

if TYPE_CHECKING:
    from asynctasq.app import App


NAMED = 10
"""Number of queues listed if none has a similar name."""


class NoSuchQueue(click.ClickException):
    """A command names a queue that does not exist."""

    exit_code = ExitCode.NOT_FOUND


def require_queue(store: Store, name: str, *, remedy: str = "") -> None:
    """Check that a queue exists, if the driver can list queues.

    Args:
        store: the store.
        name: name of the queue.
        remedy: sentence for the error message.

    Raises:
        NoSuchQueue: the queue has no messages, is not paused, and no worker or task uses it.
    """
    absent = _absence(store, name)
    if absent:
        raise NoSuchQueue(f"{absent} {remedy}".rstrip())


def note_unknown_queue(store: Store, *names: str | None) -> None:
    """Print a note for each name that no queue has."""
    for name in names:
        absent = _absence(store, name) if name is not None else ""
        if absent:
            click.echo(f"Note: {absent}", err=True)


def _absence(store: Store, name: str) -> str:
    """Return an error text with a suggestion if there is no such queue, otherwise an empty text."""
    known = store.run(known_queues(store.app))
    if known is None or name in known:
        return ""
    near = get_close_matches(name, known, n=1)
    more = ", ..." if len(known) > NAMED else ""
    hint = f" Did you mean {near[0]!r}?" if near else f" Queues: {', '.join(known[:NAMED])}{more}."
    return f"There is no queue {name!r} in {store.name}.{hint}"


async def known_queues(app: "App") -> Sequence[str] | None:
    """List the queues that have messages, are paused, or are used by a worker or task.

    Return None if the driver cannot list its queues.
    """
    from asynctasq.operations.hints import list_workers

    try:
        found = {queue.name for queue in await app.queues.all(bound=1)}
    except CapabilityMissing:
        return None
    workers = await list_workers(await app.driver())
    for worker in (*workers.alive, *workers.late) if workers is not None else ():
        found.update(worker.queues)
    return sorted(found | declared_queues(app))


def declared_queues(app: "App") -> set[str]:
    """Return the queues that the settings and the registered tasks name."""
    from asynctasq.app import runtime_of
    from asynctasq.tasks.options import resolve_options
    from asynctasq.tasks.registry import registry
    from asynctasq.worker.slots import parse_queues

    found = {resolve_options(runtime_of(app).defaults, each.options).queue for each in registry}
    found.update(parse_queues(app.settings.queues or ()))
    found.add(app.settings.default_queue)
    return found
