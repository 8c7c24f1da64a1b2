"""The state of the store after a storm: the end of each message, and leftovers."""

from collections.abc import Iterable, Sequence
from typing import Any

from asynctasq.contracts.capabilities import DeadLetter
from asynctasq.message import State
from tests.chaos.kinds import OWN_QUEUES, QUEUES, End

IDS_AT_ONCE = 500


async def read_ends(driver: Any, messages: Iterable[str]) -> dict[str, str]:
    """Return the end of each message by ID, without messages that the store does not know."""
    ids = [bytes.fromhex(each) for each in messages]
    ends: dict[str, str] = {}
    for start in range(0, len(ids), IDS_AT_ONCE):
        some = ids[start : start + IDS_AT_ONCE]
        for each, outcome in zip(some, await driver.results(some), strict=True):
            if outcome is None:
                continue
            if outcome.state is State.DEAD:
                ends[each.hex()] = outcome.reason.value
            else:
                completed = outcome.state is State.COMPLETED
                ends[each.hex()] = End.EFFECT if completed else End.CANCELLED
    return ends


async def dead_letters(driver: Any) -> list[DeadLetter]:
    """All dead letters."""
    found: list[DeadLetter] = []
    cursor = None
    while True:
        page = await driver.dead_letters(limit=500, cursor=cursor)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found


async def waiting(driver: Any) -> int:
    """Messages that have not ended, in all queues."""
    left = 0
    for queue in (*QUEUES, *OWN_QUEUES):
        counts = await driver.count(queue)
        left += counts.ready + counts.scheduled + counts.blocked + counts.leased
    return left


async def check_counts(driver: Any, letters: Sequence[DeadLetter]) -> list[str]:
    """Problems with counts: after the end they must agree with what can be listed."""
    problems: list[str] = []
    counted = 0
    for queue in QUEUES:
        counts = await driver.count(queue)
        counted += counts.dead
        if counts.ready or counts.scheduled or counts.blocked or counts.leased:
            problems.append(f"{queue} still counts {counts}")
    if counted != len(letters):
        problems.append(f"{counted} dead letters are counted, and {len(letters)} are listed")
    shown = sum(each.dead for each in await driver.queues())
    if shown != len(letters):
        problems.append(f"queues() shows {shown} dead letters, and {len(letters)} are listed")
    for state in (State.READY, State.SCHEDULED, State.LEASED):
        page = await driver.browse(state, limit=10)
        if page.items:
            problems.append(f"{len(page.items)} messages are shown as {state.value}")
    return problems
