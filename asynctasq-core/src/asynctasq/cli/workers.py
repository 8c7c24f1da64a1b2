"""`asynctasq workers`: list the workers of a store, make them quiet, resume and stop them."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from asynctasq.cli.exit_codes import STORE_CODES, ExitCode, exit_code_help
from asynctasq.cli.operator_commands import OperatorGroup, Store, confirm, count_of
from asynctasq.cli.options import complete_queue, print_json, store_options, wide_option, yes_option

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities import WorkerInfo
    from asynctasq.contracts.capabilities.worker_requests import WorkerRequest

F = TypeVar("F", bound=Callable[..., Any])
PHASE_STYLES = {"quiet": "yellow", "stopping": "yellow"}
CODES = (*STORE_CODES, ExitCode.NOT_FOUND)


@click.group(cls=OperatorGroup)
def command() -> None:
    """List the workers of a store, make some quiet, resume or stop them.

    Without a command, `list` runs.
    """


@command.command("list", epilog=exit_code_help(*STORE_CODES))
@wide_option
@store_options
def list_workers(wide: bool, target: str | None, driver: str | None, as_json: bool) -> None:
    """List the workers of a store. A worker that was killed stays listed for a minute.

    Running is the number of running tasks, updated once a second; prefetched messages are not
    counted. Heartbeat is the time since the last report of the worker.
    """
    with Store(target, driver) as store:
        found = store.run(store.app.workers())
    now = time.time()
    if as_json:
        print_json([{**asdict(each), "heartbeat_age": round(_age(each, now), 3)} for each in found])
    elif found:
        _print_table(found, now, wide=wide)
    else:
        click.echo("No workers.")
        click.echo("To start one: asynctasq worker --app MODULE", err=True)


def _selection(command: F) -> F:
    """Add the arguments that select workers, and the options of the store."""
    every = click.option("--all", "every", is_flag=True, help="Select all workers.")
    queue = click.option(
        "--queue",
        metavar="NAME",
        shell_complete=complete_queue,
        help="Select the workers that serve this queue.",
    )
    ids = click.argument("ids", nargs=-1, metavar="[ID...]")
    return ids(every(queue(yes_option(store_options(command)))))


@command.command(epilog=exit_code_help(*CODES))
@_selection
def quiet(**options: Any) -> None:
    """Let workers take no new messages and finish the running ones.

    They stay alive until you stop or resume them. An ID may be shortened to a part that it begins or ends
    with. Workers follow within a few seconds.
    """
    _request("quiet", "Make {} quiet", "quiet", **options)


@command.command(epilog=exit_code_help(*CODES))
@_selection
def resume(**options: Any) -> None:
    """Let quiet workers take messages again."""
    _request("run", "Resume {}", "resumed", **options)


@command.command(epilog=exit_code_help(*CODES))
@_selection
def stop(**options: Any) -> None:
    """Stop workers gracefully, as SIGTERM does. This cannot be undone.

    A worker process of `asynctasq worker --processes` is not replaced by another one, and its supervisor ends with
    its last process.
    """
    _request("stop", "Stop {}", "stopping", **options)


def _request(
    name: str,
    question: str,
    done: str,
    *,
    ids: Sequence[str],
    every: bool,
    queue: str | None,
    yes: bool,
    target: str | None,
    driver: str | None,
    as_json: bool,
) -> None:
    from asynctasq.cli.worker_ids import select_workers
    from asynctasq.contracts.capabilities.worker_requests import WorkerRequest

    if (len(ids) > 0) + every + (queue is not None) != 1:
        raise click.UsageError("Pass IDs of workers, --queue NAME, or --all.")
    with Store(target, driver) as store:
        chosen = select_workers(store.run(store.app.workers()), ids, queue=queue, place=store.name)
        if not ids and chosen:
            confirm(question.format(count_of(len(chosen), "worker")), yes=yes)
        answers = store.run(store.app.request_workers(chosen, WorkerRequest(name)))
    if as_json:
        print_json(
            [
                {"id": each, "request": None if answer is None else answer.value}
                for each, answer in zip(chosen, answers, strict=True)
            ]
        )
    else:
        for each, answer in zip(chosen, answers, strict=True):
            click.echo(f"{each}: {_outcome(name, done, answer)}")
        if not chosen:
            click.echo("No workers.")
    if None in answers:
        sys.exit(ExitCode.FAILED)


def _outcome(name: str, done: str, answer: "WorkerRequest | None") -> str:
    if answer is None:
        return "it is gone, or its release takes no requests"
    return done if answer.value == name else "stopping already"


def _age(worker: "WorkerInfo", now: float) -> float:
    return max(0.0, now - worker.seen_at)


def _print_table(found: "Sequence[WorkerInfo]", now: float, *, wide: bool) -> None:
    from asynctasq.cli.tables import Cell, Column, print_table
    from asynctasq.cli.times import duration
    from asynctasq.operations.hints import LATE_SECONDS

    def heartbeat(worker: "WorkerInfo") -> Cell:
        age = _age(worker, now)
        return Cell(f"{duration(age)} ago", "red" if age > LATE_SECONDS else "")

    columns: list[Column[WorkerInfo]] = [
        Column("Worker", lambda each: each.id, fold_at=24),
        Column("Host", lambda each: each.host, rank=4),
        Column("PID", lambda each: str(each.pid), rank=3, right=True),
        Column("Queues", lambda each: ", ".join(each.queues), rank=2, fold_at=20),
        Column("Phase", lambda each: Cell(each.phase, PHASE_STYLES.get(each.phase, ""))),
        Column("Running", lambda each: f"{each.running} of {each.concurrency}"),
        Column("Up", lambda each: duration(now - each.started_at), rank=1),
        Column("Heartbeat", heartbeat),
        Column("Version", lambda each: each.version, rank=5),
    ]
    print_table(columns, found, wide=wide)
