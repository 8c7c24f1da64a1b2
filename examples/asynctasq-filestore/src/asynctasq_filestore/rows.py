"""The records in the file, and what they become in answers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from asynctasq import driverkit as kit
from asynctasq.contracts import (
    Cancelled,
    Complete,
    DeadLetter,
    ErrorInfo,
    Fail,
    Outcome,
    QueueInfo,
    Reason,
    Release,
    Retry,
    Settlement,
    Snapshot,
    State,
)
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq_filequeue.driver import COUNTED, Row

ENDED = ("completed", "cancelled")  # states of outcomes whose messages are gone
STATES = {
    "ready": State.READY,
    "waiting": State.SCHEDULED,
    "leased": State.RUNNING,
    "dead": State.DEAD,
    "completed": State.COMPLETED,
    "cancelled": State.CANCELLED,
}


@dataclass
class OutcomeRow(Row):
    """A message, and what the store knows about it and its outcome."""

    first_token: int = 0  # at the enqueue or the last requeue
    ended_at: float = 0.0
    error: Sequence[str] | None = None  # of the last attempt that failed
    result: str | None = None  # hexadecimal, as JSON has no bytes
    about: str = ""  # the same

    @property
    def is_new(self) -> bool:
        return self.token == self.first_token

    @property
    def error_info(self) -> ErrorInfo | None:
        return None if self.error is None else ErrorInfo(*self.error)

    def settle(self, ending: Settlement, now: float) -> None:
        super().settle(ending, now)
        if isinstance(ending, Retry | Fail) or (isinstance(ending, Release) and ending.error):
            error = ending.error
            self.error = None if error is None else (error.type, error.message, error.traceback)
        if isinstance(ending, Fail | Complete | Cancelled):
            self.about, self.ended_at = ending.about.hex(), now
        if isinstance(ending, Complete | Cancelled):
            self.state = "completed" if isinstance(ending, Complete) else "cancelled"
        if isinstance(ending, Complete) and ending.result is not None and ending.result_ttl > 0:
            self.result = ending.result.hex()

    def die(self, reason: Reason, now: float) -> None:
        super().die(reason, now)
        self.ended_at = now


def is_kept(row: OutcomeRow | None, now: float) -> bool:
    """Return whether a message waits, runs or is dead."""
    return row is not None and row.state not in ENDED and (row.state != "dead" or row.until > now)


def is_dead(row: OutcomeRow | None, now: float) -> bool:
    return row is not None and row.state == "dead" and row.until > now


def outcome_of(row: OutcomeRow | None, now: float) -> Outcome | None:
    if row is None or row.state not in {"dead", *ENDED} or row.until <= now:
        return None
    return Outcome(
        row.message.id,
        STATES[row.state],
        row.ended_at,
        None if row.result is None else bytes.fromhex(row.result),
        Reason(row.reason) if row.reason else None,
        row.error_info if row.state == "dead" else None,
        bytes.fromhex(row.about),
    )


def dead_letter_of(row: OutcomeRow) -> DeadLetter:
    return DeadLetter(
        row.message,
        Reason(row.reason),
        row.error_info,
        row.attempt,
        row.lost,
        row.enqueued_at,
        row.ended_at,
    )


def snapshot_of(row: OutcomeRow, now: float) -> Snapshot:
    is_leased = row.state == "leased"
    return Snapshot(
        row.message,
        STATES[row.state_at(now)],
        row.attempt,
        row.lost,
        row.enqueued_at,
        row.due_at,
        owner=row.owner if is_leased else None,
        error=row.error_info,
        leased_at=row.leased_at if is_leased else None,
    )


def counts_of(rows: Iterable[OutcomeRow], now: float, bound: int | None) -> list[int]:
    """Return the number of messages in each state of `COUNTED`."""
    states = [row.state_at(now) for row in rows if row.state != "dead" or row.until > now]
    return [kit.bounded(states.count(state), bound) for state in COUNTED]


def queue_info_of(name: str, rows: list[OutcomeRow], now: float, bound: int | None) -> QueueInfo:
    ready, scheduled, blocked, leased, dead = counts_of(rows, now, bound)
    ready_since = min((row.due_at for row in rows if row.state_at(now) == "ready"), default=None)
    return QueueInfo(name, ready, scheduled, blocked, leased, dead, False, ready_since)


def select(
    rows: dict[bytes, OutcomeRow], state: str, now: float, queue: str | None, task: str | None
) -> list[OutcomeRow]:
    """Return the messages in one state that match both filters."""
    return [
        row
        for row in rows.values()
        if row.state_at(now) == state
        and is_kept(row, now)
        and (queue is None or row.message.queue == queue)
        and (task is None or kit.matches_task(row.message.task, task))
    ]


def page_of(
    rows: list[OutcomeRow], order: Callable[[OutcomeRow], float], limit: int, cursor: str | None
) -> tuple[list[OutcomeRow], str | None]:
    """Return one page in a stable order, and the cursor of the next one."""
    keyed = sorted(
        (((order(row), row.message.id.hex()), row) for row in rows), key=lambda each: each[0]
    )
    if cursor is not None:
        time_text, id_text = cursor.split()
        keyed = [each for each in keyed if each[0] > (float(time_text), id_text)]
    page: list[OutcomeRow] = []
    size = 0
    for _, row in keyed[:limit]:
        size += len(row.message.body)
        if size > BYTES_AT_ONCE and page:
            break
        page.append(row)
    if len(page) == len(keyed):
        return page, None
    last, last_id = keyed[len(page) - 1][0]
    return page, f"{last!r} {last_id}"
