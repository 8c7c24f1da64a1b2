"""`asynctasq queues`: what waits in a store, and what is done to a queue as a whole."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from asynctasq.cli.exit_codes import STORE_CODES, ExitCode, told
from asynctasq.cli.known_queues import note_unknown_queue, require_queue
from asynctasq.cli.operator_commands import (
    OperatorGroup,
    Store,
    complete_queue,
    confirm,
    count_of,
    print_json,
    store_options,
    wide_option,
    yes_option,
)
from asynctasq.contracts.capabilities import QueueInfo
from asynctasq.errors import CapabilityMissing
from asynctasq.message import State

if TYPE_CHECKING:
    from asynctasq.app import App
    from asynctasq.contracts.driver import QueueCounts

PURGEABLE = (State.READY, State.SCHEDULED, State.BLOCKED, State.DEAD)


def queue_name(_context: click.Context, _option: click.Parameter, given: str) -> str:
    """The name of a queue, of an option or an argument."""
    from asynctasq.tasks.options import check_queue_name

    try:
        return check_queue_name(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


queue_argument = click.argument(
    "queue", callback=queue_name, shell_complete=complete_queue, metavar="QUEUE"
)


@click.group(cls=OperatorGroup)
def command() -> None:
    """Show the queues of a store, pause, resume or purge one.

    Without a command they are listed.
    """


@command.command("list", epilog=told(*STORE_CODES))
@click.argument("names", nargs=-1, metavar="[QUEUE...]", shell_complete=complete_queue)
@wide_option
@store_options
def list_queues(
    names: Sequence[str], wide: bool, target: str | None, driver: str | None, as_json: bool
) -> None:
    """List the queues with their counts; all of them, unless some are named.

    Oldest is the age of the message that has been ready for longest. Queues that are named can be
    counted on every driver.
    """
    with Store(target, driver) as store:
        found = store.run(_queues(store.app, names))
        note_unknown_queue(store, *names)
    now = time.time()
    if as_json:
        print_json(
            [{**each, "oldest_ready_age": _age(each["oldest_ready_at"], now)} for each in found]
        )
    else:
        _print_table(found, store.name, now, wide=wide)


async def _queues(app: "App", names: Sequence[str]) -> list[dict[str, Any]]:
    """Describe each queue: None stands for what the driver cannot tell."""
    from asynctasq.operations.hints import workers_by_queue

    found = await _counts(app, names)
    workers = await workers_by_queue(await app.driver(), [each["name"] for each in found])
    return [{**each, "running": each["leased"], "workers": workers[each["name"]]} for each in found]


async def _counts(app: "App", names: Sequence[str]) -> list[dict[str, Any]]:
    try:
        found = {queue.name: asdict(queue) for queue in await app.queues.all()}
    except CapabilityMissing as error:
        if not names:
            raise CapabilityMissing(
                f"{error} Named queues can be counted: asynctasq queues list NAME."
            ) from error
        unknown = {"paused": None, "oldest_ready_at": None}
        return [{"name": name, **asdict(await app.queues.count(name)), **unknown} for name in names]
    empty = QueueInfo("", 0, 0, 0, 0, 0, paused=False, oldest_ready_at=None)
    return [found.get(name) or {**asdict(empty), "name": name} for name in names or found]


@command.command(epilog=told(*STORE_CODES, ExitCode.NOT_FOUND))
@queue_argument
@click.option("--create", is_flag=True, help="Pause a queue that does not exist yet.")
@store_options
def pause(queue: str, create: bool, target: str | None, driver: str | None, as_json: bool) -> None:
    """Stop workers from taking messages of a queue.

    Running tasks go on; messages that are dispatched to the queue wait. A queue that has no messages
    and that no worker and no task uses is an error, as its name may be misspelt; see --create.
    """
    with Store(target, driver) as store:
        if not create:
            require_queue(store, queue, remedy="To pause it before its first message: --create")
        store.run(store.app.queues.pause(queue))
    _print_paused(queue, as_json, paused=True)


@command.command(epilog=told(*STORE_CODES, ExitCode.NOT_FOUND))
@queue_argument
@store_options
def resume(queue: str, target: str | None, driver: str | None, as_json: bool) -> None:
    """Let workers take messages of a paused queue again."""
    with Store(target, driver) as store:
        require_queue(store, queue)
        store.run(store.app.queues.resume(queue))
    _print_paused(queue, as_json, paused=False)


@command.command(epilog=told(*STORE_CODES))
@queue_argument
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in PURGEABLE]),
    help="Messages in this state; may be repeated.  [default: ready, scheduled and blocked]",
)
@store_options
@yes_option
def purge(
    queue: str,
    states: Sequence[str],
    target: str | None,
    driver: str | None,
    as_json: bool,
    yes: bool,
) -> None:
    """Delete what waits in a queue, for good.

    What runs is never deleted, and dead letters only with --state dead.
    """
    from asynctasq.operations import PURGED

    wanted = [State(state) for state in states] or [each for each in PURGEABLE if each in PURGED]
    with Store(target, driver) as store:
        counts = store.run(store.app.queues.count(queue))
        told, total = _told(counts, wanted)
        if total:
            confirm(f"Delete {told} of the queue {queue} in {store.name}", yes=yes)
        deleted = store.run(store.app.queues.purge(queue, states=wanted)) if total else 0
        if not total:
            note_unknown_queue(store, queue)
    if as_json:
        print_json({"queue": queue, "deleted": deleted})
    else:
        click.echo(f"{count_of(deleted, 'message')} of {queue} deleted.")


def _print_paused(queue: str, as_json: bool, *, paused: bool) -> None:
    if as_json:
        print_json({"queue": queue, "paused": paused})
    else:
        click.echo(f"{queue} is {'paused' if paused else 'no longer paused'}.")


def _told(counts: "QueueCounts", states: Collection[State]) -> tuple[str, int]:
    """How many of each state, in words, and in all."""
    numbers = {state: getattr(counts, state.value) or 0 for state in states}
    total = sum(numbers.values())
    parts = ", ".join(f"{number:,} {state}" for state, number in numbers.items() if number)
    return f"{count_of(total, 'message')} ({parts})", total


def _age(moment: float | None, now: float) -> float | None:
    return None if moment is None else round(max(0.0, now - moment), 3)


def _state(queue: Mapping[str, Any]) -> tuple[str, str]:
    """Say what keeps the messages of a queue from being run, and give its colour."""
    if queue["paused"]:
        return "paused", "yellow"
    waiting = queue["ready"] or queue["scheduled"]
    return ("no workers", "red") if waiting and queue["workers"] == 0 else ("", "")


def _print_table(found: Sequence[Mapping[str, Any]], store: str, now: float, *, wide: bool) -> None:
    from asynctasq.cli.tables import Cell, Column, print_table
    from asynctasq.cli.times import age

    if not found:
        click.echo(f"No queues in {store}.")
        return
    blocked = any(each["blocked"] for each in found)
    columns = [
        Column("Queue", fold_at=24),
        Column("Ready", right=True),
        Column("Scheduled", rank=2, right=True),
        *([Column("Blocked", rank=3, right=True)] if blocked else []),
        Column("InFlightMessage", rank=1, right=True),
        Column("Dead", right=True),
        Column("Oldest", rank=1, right=True),
        Column("State"),
    ]
    rows = [
        [
            each["name"],
            f"{each['ready']:,}",
            f"{each['scheduled']:,}",
            *([f"{each['blocked']:,}"] if blocked else []),
            f"{each['leased']:,}",
            Cell(f"{each['dead']:,}", "red" if each["dead"] else ""),
            age(each["oldest_ready_at"], now),
            Cell(*_state(each)),
        ]
        for each in found
    ]
    click.echo(f"Store: {store}")
    print_table(columns, rows, wide=wide)
    for each in found:
        if each["ready"] and each["workers"] == 0 and not each["paused"]:
            click.echo(
                f"No worker serves {each['name']}. To start one: asynctasq worker --app MODULE "
                f"--queues {each['name']}",
                err=True,
            )
