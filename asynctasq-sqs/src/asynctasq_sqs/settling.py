"""Settlements. A copy is always sent before the old message is deleted, so that no failure loses a message."""

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from asynctasq.driverkit.batching import batches
from asynctasq.driverkit.numbers import can_settle
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import id_to_text
from asynctasq.settlement import (
    Cancelled,
    Complete,
    Fail,
    Release,
    Retry,
    Settled,
    Settlement,
)
from asynctasq_sqs import names
from asynctasq_sqs.client import Client
from asynctasq_sqs.clock import Clock
from asynctasq_sqs.errors import QueueMissing
from asynctasq_sqs.leases import Held, place_of
from asynctasq_sqs.leasing import LeaseGone, set_visibility, settle_entries
from asynctasq_sqs.queues import Queues
from asynctasq_sqs.records import Record, as_text, fitted, message_bytes, title
from asynctasq_sqs.sending import BATCH, EntryRefused, Outgoing, send

logger = logging.getLogger("asynctasq.sqs")

LONGEST_DELAY = 900
"""Seconds for which SQS can hold a message back."""
Errors: TypeAlias = "list[DriverError | None]"


class Step:
    """One settlement on its way."""

    __slots__ = ("answer", "error", "handle", "held", "queue", "settlement")

    def __init__(self, settlement: Settlement, held: Held | None) -> None:
        self.settlement = settlement
        self.held = held
        self.queue, self.handle = place_of(settlement.lease)
        self.answer: Settled | None = None
        """None while it is under way."""
        self.error: DriverError | None = None
        """Why the answer is not known."""

    def note(self, error: DriverError | None) -> None:
        """Note an error of a call for this settlement.

        Missing rights and expired credentials refuse the call, not the settlement: it may be repeated.
        """
        if isinstance(error, LeaseGone):
            self.answer = Settled.LOST
        elif isinstance(error, EntryRefused):
            self.answer = Settled.REFUSED
            logger.error(
                "SQS refused a settlement: %s",
                error,
                extra={"task_id": id_to_text(self.settlement.lease.id)},
            )

        elif error is not None:
            self.error = error

    @property
    def is_under_way(self) -> bool:
        """True while nothing has gone wrong, and the message is not yet removed."""
        return self.answer is None and self.error is None


class Settling:
    """The settlements of one opened driver."""

    def __init__(self, client: Client, queues: Queues, clock: Clock) -> None:
        self.client = client
        self.queues = queues
        self.clock = clock
        self._shared = client.shared

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """End leases; return the answers in order.

        Raises:
            DriverUnavailable: the outcome of a settlement is not known. A repeated call sends no second copy.
        """
        steps = [self._begin(settlement) for settlement in settlements]
        await self._send_copies(
            [step for step in steps if step.is_under_way and self._needs_copy(step)]
        )
        await self._hide([step for step in steps if step.is_under_way and self._is_hidden(step)])
        await self._delete([step for step in steps if step.is_under_way])
        unknown = next((step.error for step in steps if step.error is not None), None)
        if unknown is not None:
            raise DriverUnavailable(str(unknown)) from unknown
        for step in steps:
            self._shared.held.pop(str(step.settlement.lease.token), None)
        return [step.answer or Settled.DONE for step in steps]

    def _begin(self, settlement: Settlement) -> Step:
        held = self._shared.held.get(str(settlement.lease.token))
        step = Step(settlement, held)
        if not can_settle(settlement):
            step.answer = Settled.REFUSED
        elif held is not None and held.is_done:
            step.answer = Settled.DONE
        elif held is None and not isinstance(settlement, Complete | Cancelled):
            step.answer = Settled.LOST
        return step

    def _is_hidden(self, step: Step) -> bool:
        """Return whether a message waits for its next run at its place, which keeps the order of its group."""
        return isinstance(step.settlement, Retry | Release) and self.queues.is_fifo(step.queue)

    def _needs_copy(self, step: Step) -> bool:
        needs = isinstance(step.settlement, Fail | Retry | Release) and not self._is_hidden(step)
        return needs and step.held is not None and not step.held.is_copied

    async def _send_copies(self, steps: Sequence[Step]) -> None:
        by_target: dict[tuple[str, bool], list[Step]] = {}
        for step in steps:
            by_target.setdefault((step.queue, isinstance(step.settlement, Fail)), []).append(step)

        async def send_all(queue: str, is_dead: bool, group: list[Step]) -> None:
            try:
                url = await (self.queues.dead_url(queue) if is_dead else self.queues.url(queue))
                errors = await send(self.client, url, [self._copy(step) for step in group])
                if any(isinstance(error, QueueMissing) for error in errors):
                    self.queues.forget(queue)  # a repeated call creates it
            except DriverError as failure:
                errors = [failure] * len(group)
            for step, error in zip(group, errors, strict=True):
                step.note(error)
                if error is None and step.held is not None:
                    step.held.is_copied = True
            if not is_dead:
                self._shared.hint(queue)

        await asyncio.gather(*(send_all(*target, group) for target, group in by_target.items()))

    def _copy(self, step: Step) -> Outgoing:
        settlement, held = step.settlement, step.held
        assert held is not None
        if isinstance(settlement, Fail):
            return self._dead_letter(settlement, held)
        assert isinstance(settlement, Retry | Release)
        now, item = self.clock.now(), held.record
        is_retry = isinstance(settlement, Retry)
        due = now + settlement.delay if is_retry or settlement.delay > 0 else item.due
        is_early = item.held and item.due > now  # it goes on to wait
        mismatched_since, error = item.mismatched_since, item.error
        if isinstance(settlement, Retry):
            mismatched_since, error = None, settlement.error
        elif settlement.mismatched:
            mismatched_since, error = mismatched_since or now, settlement.error or error
        record = replace(
            item,
            due=item.due if is_early else due,
            attempt=held.attempt + is_retry,
            lost=item.lost if is_early else held.lost,
            leased=item.leased or not (is_early or held.has_expired),
            held=settlement.delay > LONGEST_DELAY,
            mismatched_since=mismatched_since,
            error=error,
        )
        return self.outgoing(record, settlement.delay)

    def outgoing(self, item: Record, delay: float) -> Outgoing:
        """Return a message for a work queue that is not FIFO."""
        body = title(item.message.task)
        most = self.client.settings.max_message_bytes - message_bytes(body, b"")
        group = item.message.group
        return Outgoing(
            body,
            fitted(item, most),
            delay=min(max(math.ceil(delay), 0), LONGEST_DELAY),
            group=None if group is None else names.group_id(group),
        )

    def _dead_letter(self, settlement: Fail, held: Held) -> Outgoing:
        record = replace(
            held.record,
            attempt=held.attempt + settlement.attempted,
            lost=held.lost,
            error=settlement.error or held.record.error,
            reason=settlement.reason.value,
        )
        body = title(record.message.task)
        reason = as_text(
            settlement.reason.value
            if record.error is None
            else f"{settlement.reason.value}: {record.error.type}"
        )
        most = self.client.settings.max_message_bytes - message_bytes(body, b"", reason)
        return Outgoing(body, fitted(record, most), reason=reason)

    async def _hide(self, steps: Sequence[Step]) -> None:
        by_queue: dict[str, list[Step]] = {}
        for step in steps:
            by_queue.setdefault(step.queue, []).append(step)
        for queue, group in by_queue.items():
            try:
                url = await self.queues.url(queue)
                errors = await set_visibility(
                    self.client,
                    url,
                    [(step.handle, _hidden_seconds(step, self.clock)) for step in group],
                )
            except DriverError as failure:
                errors = [failure] * len(group)
            for step, error in zip(group, errors, strict=True):
                step.note(error)
                if error is None:
                    self._note_hidden(step)
                    step.answer = Settled.DONE
            self._shared.hint(queue)

    def _note_hidden(self, step: Step) -> None:
        settlement, held = step.settlement, step.held
        if held is None:
            return
        held.is_done = True
        if isinstance(settlement, Release):
            correction = self._shared.correction(held.received.sqs_id)
            correction.receives += 1
            if settlement.mismatched and correction.mismatched_since is None:
                correction.mismatched_since = self.clock.now()
        elif held.received.sqs_id in self._shared.corrections:
            self._shared.correction(held.received.sqs_id).mismatched_since = None

    async def _delete(self, steps: Sequence[Step]) -> None:
        by_queue: dict[str, list[Step]] = {}
        for step in steps:
            by_queue.setdefault(step.queue, []).append(step)

        async def delete_batch(queue: str, group: Sequence[Step]) -> None:
            errors = await self.delete(queue, [step.handle for step in group])
            for step, error in zip(group, errors, strict=True):
                if isinstance(error, LeaseGone) and step.held is not None and step.held.is_copied:
                    error = None  # noqa: PLW2901 - the copy counts
                step.note(error)
                if error is None and step.held is not None:
                    step.held.is_done = True
                    self._shared.corrections.pop(step.held.received.sqs_id, None)

        await asyncio.gather(
            *(
                delete_batch(queue, piece)
                for queue, group in by_queue.items()
                for piece in batches(group, BATCH)
            )
        )

    async def delete(self, queue: str, handles: Sequence[str]) -> Errors:
        """Delete up to ten messages; return the error of each, or None, in order."""
        try:
            url = await self.queues.url(queue)
            entries = [
                {"Id": str(number), "ReceiptHandle": handle}
                for number, handle in enumerate(handles)
            ]
            return await settle_entries(self.client, "delete_message_batch", url, entries)
        except QueueMissing as error:
            self.queues.forget(queue)
            return [LeaseGone(str(error))] * len(handles)
        except DriverError as error:
            return [error] * len(handles)


def _hidden_seconds(step: Step, clock: Clock) -> int:
    settlement, held = step.settlement, step.held
    assert isinstance(settlement, Retry | Release)
    assert held is not None
    return min(max(math.ceil(settlement.delay), 0), max(int(held.ends_at - clock.steady()) - 1, 0))
