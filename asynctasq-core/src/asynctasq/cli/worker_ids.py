"""IDs of workers on the command line: in full, or a unique part."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from asynctasq.cli.exit_codes import ExitCode
from asynctasq.operations.ids import LEAST

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities import WorkerInfo

NAMED = 10
"""Number of workers listed in an error."""


class NoSuchWorker(click.ClickException):
    """A command names a worker that is not alive."""

    exit_code = ExitCode.NOT_FOUND


def select_workers(
    workers: "Sequence[WorkerInfo]", given: Sequence[str], *, queue: str | None, place: str
) -> list[str]:
    """Return the IDs of the chosen workers, each once.

    Args:
        workers: of the store.
        given: IDs, or parts with which they begin or end; if there are none, all workers are chosen.
        queue: choose only workers that serve this queue.
        place: the store, for errors.

    Raises:
        NoSuchWorker: an ID or a part matches no worker.
        click.UsageError: a part matches several workers.
    """
    if not given:
        return [each.id for each in workers if queue is None or queue in each.queues]
    known = [each.id for each in workers]
    return list(dict.fromkeys(_full_id(text, known, place) for text in given))


def _full_id(text: str, known: Sequence[str], place: str) -> str:
    if text in known:
        return text
    found = [
        each
        for each in known
        if len(text) >= LEAST and (each.startswith(text) or each.endswith(text))
    ]
    if not found:
        raise NoSuchWorker(
            f"No worker in {place} has an ID that begins or ends with {text!r}. Workers: {_listed(known)}."
        )
    if len(found) > 1:
        raise click.UsageError(f"{text!r} is ambiguous. It matches: {_listed(found)}.")
    return found[0]


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:NAMED]) + (", ..." if len(ids) > NAMED else "") or "none"
