"""`asynctasq queues`: list, pause, resume and purge queues."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from asynctasq.cli.exit_codes import STORE_CODES, ExitCode, exit_code_help
from asynctasq.cli.known_queues import note_unknown_queue, require_queue
from asynctasq.cli.operator_commands import OperatorGroup, Store, confirm, count_of
from asynctasq.cli.options import complete_queue, print_json, store_options, wide_option, yes_option
from asynctasq.cli.times import last_minutes
from asynctasq.contracts.capabilities import QueueInfo
from asynctasq.errors import CapabilityMissing
from asynctasq.message import State

if TYPE_CHECKING:
    from asynctasq.app import App
    from asynctasq.contracts.driver import QueueCounts

RATE_SECONDS = 300.0
"""Time over which rates are counted, at least."""
PURGEABLE = (State.READY, State.SCHEDULED, State.BLOCKED, State.DEAD)


def queue_name(_context: click.Context, _option: click.Parameter, given: str) -> str:
    """Check the name of a queue in an option or argument."""
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
    """List the queues of a store, or pause, resume or purge one.

    Without a command, `list` runs.
    """


@command.command("list", epilog=exit_code_help(*STORE_CODES))
@click.argument("names", nargs=-1, metavar="[QUEUE...]", shell_complete=complete_queue)
@click.option(
    "--exact", is_flag=True, help="Count all messages, also beyond 100,000 in one state of a queue."
)
@wide_option
@store_options
def list_queues(
    names: Sequence[str],
    exact: bool,
    wide: bool,
    target: str | None,
    driver: str | None,
    as_json: bool,
) -> None:
    """List queues with their message counts.

    All queues are listed unless you name some. Oldest is the age of the message that has been ready
    for the longest time. A count of 100,000+ means that number or more, and ? means that the store
    cannot count this state. Per minute is the number of tasks completed per minute in the last five
    minutes, shown if there were any. Not every driver can list its queues, but every driver can count the
    messages of queues that you name.
    """
    from asynctasq.operations.queues import COUNT_BOUND

    bound = None if exact else COUNT_BOUND
    with Store(target, driver) as store:
        found = store.run(_queues(store.app, names, bound))
        note_unknown_queue(store, *names)
    now = time.time()
    if as_json:
        print_json(
            [
                {
                    **each,
                    "oldest_ready_age": _age(each["oldest_ready_at"], now),
                    "counted_up_to": bound,
                }
                for each in found
            ]
        )
    else:
        _print_table(found, store.name, now, wide=wide, exact=exact)


async def _queues(app: "App", names: Sequence[str], bound: int | None) -> list[dict[str, Any]]:
    """Describe each queue; values that the driver does not know are None."""
    from asynctasq.operations.hints import workers_by_queue

    found = await _counts(app, names, bound)
    workers = await workers_by_queue(await app.driver(), [each["name"] for each in found])
    rates = await _rates(app)
    return [
        {
            **each,
            "running": each["leased"],
            "workers": workers[each["name"]],
            "completed_per_minute": None if rates is None else rates.get(each["name"], 0.0),
        }
        for each in found
    ]


async def _rates(app: "App") -> dict[str, float] | None:
    """Return the tasks that were completed per minute by queue; None if the driver keeps no counts."""
    since, until = last_minutes(RATE_SECONDS)
    rates: dict[str, float] = {}
    try:
        for each in await app.metrics.tasks(since=since, until=until):
            rates[each.queue] = rates.get(each.queue, 0.0) + each.completed
    except CapabilityMissing:
        return None
    return {queue: round(count * 60 / (until - since), 3) for queue, count in rates.items()}


async def _counts(app: "App", names: Sequence[str], bound: int | None) -> list[dict[str, Any]]:
    try:
        found = {queue.name: asdict(queue) for queue in await app.queues.all(bound=bound)}
    except CapabilityMissing as error:
        if not names:
            raise CapabilityMissing(
                f"{error} It can count the messages of queues that you name: asynctasq queues list NAME."
            ) from error
        paused = await app.queues.paused()
        return [
            {
                "name": name,
                **asdict(await app.queues.count(name, bound=bound)),
                "paused": None if paused is None else name in paused,
                "oldest_ready_at": None,
            }
            for name in names
        ]
    empty = QueueInfo("", 0, 0, 0, 0, 0, paused=False, oldest_ready_at=None)
    return [found.get(name) or {**asdict(empty), "name": name} for name in names or found]


@command.command(epilog=exit_code_help(*STORE_CODES, ExitCode.NOT_FOUND))
@queue_argument
@click.option("--create", is_flag=True, help="Also pause a queue that does not exist yet.")
@store_options
def pause(queue: str, create: bool, target: str | None, driver: str | None, as_json: bool) -> None:
    """Pause a queue: workers fetch no more messages from it.

    Running tasks continue, and new messages wait. To catch misspelled names, the command fails if the
    queue has no messages and no worker or task uses it; see --create.
    """
    with Store(target, driver) as store:
        if not create:
            require_queue(
                store, queue, remedy="Pass --create to pause it before its first message."
            )
        store.run(store.app.queues.pause(queue))
    _print_paused(queue, as_json, paused=True)


@command.command(epilog=exit_code_help(*STORE_CODES, ExitCode.NOT_FOUND))
@queue_argument
@store_options
def resume(queue: str, target: str | None, driver: str | None, as_json: bool) -> None:
    """Resume a paused queue: workers fetch messages from it again."""
    with Store(target, driver) as store:
        require_queue(store, queue)
        store.run(store.app.queues.resume(queue))
    _print_paused(queue, as_json, paused=False)


@command.command(epilog=exit_code_help(*STORE_CODES))
@queue_argument
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in PURGEABLE]),
    help="Delete messages in this state; may be repeated.  [default: ready, scheduled, blocked]",
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
    """Permanently delete the messages that wait in a queue.

    Messages of running tasks are never deleted; dead letters are deleted only with --state dead.
    """
    from asynctasq.operations import PURGED
    from asynctasq.operations.queues import COUNT_BOUND

    wanted = [State(state) for state in states] or [each for each in PURGEABLE if each in PURGED]
    with Store(target, driver) as store:
        counts = store.run(store.app.queues.count(queue, bound=COUNT_BOUND))
        total, listed = _counted(counts, wanted)
        if total:
            confirm(f"Delete {listed} from queue {queue} in {store.name}", yes=yes)
        deleted = store.run(store.app.queues.purge(queue, states=wanted)) if total else 0
        if not total:
            note_unknown_queue(store, queue)
    if as_json:
        print_json({"queue": queue, "deleted": deleted})
    else:
        click.echo(f"Deleted {count_of(deleted, 'message')} from {queue}.")


def _print_paused(queue: str, as_json: bool, *, paused: bool) -> None:
    if as_json:
        print_json({"queue": queue, "paused": paused})
    else:
        click.echo(f"{'Paused' if paused else 'Resumed'} {queue}.")


def _counted(counts: "QueueCounts", states: Collection[State]) -> tuple[int, str]:
    """Return the number of messages in these states, and a text with the number for each state.

    A state that the store cannot count may have messages, so it counts as one.
    """
    from asynctasq.operations.queues import COUNT_BOUND, count_text

    numbers = {state: getattr(counts, state.value) for state in states}
    total = sum(1 if number is None else number for number in numbers.values())
    parts = ", ".join(
        f"{count_text(number)} {state}" for state, number in numbers.items() if number != 0
    )
    if None in numbers.values():
        return total, f"the messages ({parts})"
    more = "+" if max(numbers.values(), default=0) >= COUNT_BOUND else ""
    return total, f"{total:,}{more} {'message' if total == 1 else 'messages'} ({parts})"


def _age(moment: float | None, now: float) -> float | None:
    return None if moment is None else round(max(0.0, now - moment), 3)


def _rate(per_minute: float) -> str:
    return f"{per_minute:,.0f}" if per_minute >= 100 else f"{per_minute:.3g}"


def _state(queue: Mapping[str, Any]) -> tuple[str, str]:
    """Return the obstacle that keeps the messages of a queue from running, and a color."""
    if queue["paused"]:
        return "paused", "yellow"
    waiting = queue["ready"] or queue["scheduled"]
    return ("no workers", "red") if waiting and queue["workers"] == 0 else ("", "")


def _print_table(
    found: Sequence[Mapping[str, Any]], store: str, now: float, *, wide: bool, exact: bool
) -> None:
    from asynctasq.cli.tables import Cell, Column, print_table
    from asynctasq.cli.times import age
    from asynctasq.operations.queues import count_text

    def number(count: int | None) -> str:
        return f"{count:,}" if exact and count is not None else count_text(count)

    if not found:
        click.echo(f"No queues in {store}.")
        return
    columns: list[Column[Mapping[str, Any]]] = [
        Column("Queue", lambda queue: queue["name"], fold_at=24),
        Column("Ready", lambda queue: number(queue["ready"]), right=True),
        Column("Scheduled", lambda queue: number(queue["scheduled"]), rank=2, right=True),
        Column("Running", lambda queue: number(queue["leased"]), rank=1, right=True),
        Column(
            "Dead",
            lambda queue: Cell(number(queue["dead"]), "red" if queue["dead"] else ""),
            right=True,
        ),
        Column("Oldest", lambda queue: age(queue["oldest_ready_at"], now), rank=1, right=True),
        Column("State", lambda queue: Cell(*_state(queue))),
    ]
    if any(each["blocked"] for each in found):
        blocked = Column[Mapping[str, Any]](
            "Blocked", lambda queue: number(queue["blocked"]), rank=3, right=True
        )
        columns.insert(3, blocked)
    if any(each["completed_per_minute"] for each in found):
        rate = Column[Mapping[str, Any]](
            "Per minute", lambda queue: _rate(queue["completed_per_minute"]), rank=2, right=True
        )
        columns.insert(-2, rate)
    click.echo(f"Store: {store}")
    print_table(columns, found, wide=wide)
    for each in found:
        if each["ready"] and each["workers"] == 0 and not each["paused"]:
            click.echo(
                f"No worker serves {each['name']}. Start one: asynctasq worker --app MODULE "
                f"--queues {each['name']}",
                err=True,
            )
