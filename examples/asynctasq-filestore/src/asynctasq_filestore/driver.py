"""The driver of part one, with results, dead letters and listings."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import cast

from asynctasq import driverkit as kit
from asynctasq.contracts import (
    Capability,
    DeadLetter,
    Message,
    Outcome,
    Page,
    QueueCounts,
    QueueInfo,
    Reason,
    Snapshot,
    State,
)
from asynctasq_filequeue.driver import FileQueueDriver
from asynctasq_filestore.rows import (
    STATES,
    OutcomeRow,
    counts_of,
    dead_letter_of,
    is_dead,
    is_kept,
    outcome_of,
    page_of,
    queue_info_of,
    select,
    snapshot_of,
)


class FileStoreDriver(FileQueueDriver):
    """The driver of part one, with results, dead letters and listings."""

    row_type = OutcomeRow
    capabilities = FileQueueDriver.capabilities
    capabilities |= Capability.RESULTS | Capability.DEAD_LETTERS | Capability.INSPECT

    @contextmanager
    def _rows(self) -> Generator[tuple[dict[bytes, OutcomeRow], float], None, None]:
        with self._file() as (rows, _, now):
            yield cast("dict[bytes, OutcomeRow]", rows), now

    async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
        with self._rows() as (rows, now):
            queued = (row for row in rows.values() if row.message.queue == queue)
            return QueueCounts(*counts_of(queued, now, bound))

    async def results(self, ids: Sequence[bytes]) -> list[Outcome | None]:
        with self._rows() as (rows, now):
            return [outcome_of(rows.get(each), now) for each in ids]

    async def known(self, ids: Sequence[bytes]) -> list[bool]:
        with self._rows() as (rows, now):
            return [is_kept(rows.get(each), now) for each in ids]

    async def wait_results(self, ids: Sequence[bytes], *, timeout: float) -> None:
        await asyncio.sleep(min(timeout, 0.1))

    async def dead_letters(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        reason: Reason | None = None,
        error: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[DeadLetter]:
        with self._rows() as (rows, now):
            found = [
                row
                for row in select(rows, "dead", now, queue, task)
                if (reason is None or row.reason == reason)
                and (error is None or kit.matches_error(row.error_info, error))
            ]
            page, after = page_of(found, lambda row: -row.ended_at, limit, cursor)
            return Page([dead_letter_of(row) for row in page], after)

    async def requeue(self, ids: Sequence[bytes]) -> list[bool]:
        with self._rows() as (rows, now):
            return [_requeue(rows, each, now) for each in ids]

    async def requeue_edited(self, message: Message) -> bool:
        kit.check_numbers(message)
        with self._rows() as (rows, now):
            return _requeue(rows, message.id, now, message)

    async def delete_dead(self, ids: Sequence[bytes]) -> list[bool]:
        with self._rows() as (rows, now):
            return [is_dead(rows.get(each), now) and bool(rows.pop(each)) for each in ids]

    async def queues(self, *, bound: int | None = None) -> list[QueueInfo]:
        with self._rows() as (rows, now):
            by_name: dict[str, list[OutcomeRow]] = {}
            for row in rows.values():
                if is_kept(row, now):
                    by_name.setdefault(row.message.queue, []).append(row)
            return [queue_info_of(name, by_name[name], now, bound) for name in sorted(by_name)]

    async def find(self, ids: Sequence[bytes]) -> list[Snapshot | None]:
        with self._rows() as (rows, now):
            found = (rows.get(each) for each in ids)
            return [snapshot_of(row, now) if row and is_kept(row, now) else None for row in found]

    async def match_ids(
        self, part: str, *, limit: int = 10, cursor: str | None = None
    ) -> Page[bytes]:
        return await kit.match_by_browsing(self, part, limit=limit, cursor=cursor)

    async def browse(
        self,
        state: State,
        *,
        queue: str | None = None,
        task: str | None = None,
        owner: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Snapshot]:
        name = next((name for name, each in STATES.items() if each is state), "")
        with self._rows() as (rows, now):
            found = [
                row
                for row in select(rows, name, now, queue, task)
                if (owner is None or (row.state, row.owner) == ("leased", owner))
                and (since is None or row.enqueued_at >= since)
                and (until is None or row.enqueued_at < until)
            ]
            page, after = page_of(found, lambda row: row.enqueued_at, limit, cursor)
            return Page([snapshot_of(row, now) for row in page], after)


def _requeue(
    rows: dict[bytes, OutcomeRow], message_id: bytes, now: float, edited: Message | None = None
) -> bool:
    row = rows.get(message_id)
    if row is None or not is_dead(row, now):
        return False
    message = edited or row.message
    token = row.token
    rows[message_id] = OutcomeRow(message, row.enqueued_at, now, token=token, first_token=token)
    return True
