"""Reading the rows that a reserve has locked, and choosing those that it takes."""

from collections.abc import Iterable

from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.packing import damage_info, decode_message
from asynctasq.errors import BodyCorrupt
from asynctasq.message import NO_RESULTS, Delivery, Lease
from asynctasq.settlement import ErrorInfo
from asynctasq_mysql.clients import Row
from asynctasq_mysql.rows import as_bytes

LARGE = 128 << 10
"""Bytes; larger payloads are not read together with others."""

LARGEST = 1 << 62
"""The largest number in a sound record."""


class Claims:
    """The messages that one reserve takes, in order."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.deliveries: list[Delivery] = []
        self.damaged: list[tuple[Row, str, ErrorInfo]] = []
        """Rows that cannot be read, with the name of the queue."""

    def add(self, row: Row, queue: str, payload: bytes) -> None:
        """Take a row, or note that it is damaged."""
        message_id, _, token, attempt, lost, enqueued_at, due_at, mismatched_at, _, profile = row[
            :10
        ]
        now = self.now
        try:
            _check_numbers(attempt, lost, enqueued_at, max(token, 0))
            message = decode_message(bytes(message_id), queue, as_bytes(profile), payload)
        except BodyCorrupt as error:
            self.damaged.append((row, queue, damage_info(error)))
            return
        self.deliveries.append(
            Delivery(
                message,
                Lease(message.id, max(token + 1, now)),
                attempt,
                lost,
                enqueued_at / 1e6,
                0.0 if mismatched_at is None else max(now - mismatched_at, 0) / 1e6,
                NO_RESULTS,
                due_at / 1e6,
                token > 0,
            )
        )


def _check_numbers(*numbers: int) -> None:
    """Refuse numbers that no call has written.

    Raises:
        BodyCorrupt: one is negative, or too large to be added to.
    """
    if min(numbers) < 0 or max(numbers) > LARGEST:
        raise BodyCorrupt(f"A number in the stored record is damaged: {numbers}.")


def chosen(rows: Iterable[tuple[str, Row]], limit: int) -> list[tuple[str, Row]]:
    """Return the first of the rows, as many as a call may return; a single one may be larger than the bound."""
    taken: list[tuple[str, Row]] = []
    left = BYTES_AT_ONCE
    for name, row in rows:
        left -= row[8]
        if len(taken) >= limit or (left < 0 and taken):
            break
        taken.append((name, row))
    return taken


def large_limit(limit: int) -> int:
    """Return the bytes of payloads that are read together with their rows."""
    return min(LARGE, BYTES_AT_ONCE // max(limit, 1))
