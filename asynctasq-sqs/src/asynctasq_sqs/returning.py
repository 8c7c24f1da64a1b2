"""Messages that no worker gets: those that are not tasks, and those that were not reserved in time."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from asynctasq.driverkit.batching import batches
from asynctasq.errors import DriverError
from asynctasq.settlement import Reason
from asynctasq_sqs.leases import Received
from asynctasq_sqs.leasing import set_visibility
from asynctasq_sqs.sending import BATCH, Outgoing, send
from asynctasq_sqs.settling import Settling

logger = logging.getLogger("asynctasq.sqs")

_MOST_ATTRIBUTES = 9
"""Attributes of a foreign message that are kept, beside the reason: SQS allows ten."""


class Returning:
    """Moves messages of one opened driver out of a worker's way."""

    def __init__(self, settling: Settling) -> None:
        self._settling = settling
        self.client = settling.client
        self.queues = settling.queues
        self._shared = settling.client.shared

    async def bury_damaged(self, queue: str, messages: Sequence[Received]) -> None:
        """Move messages that are not ours to the dead letters, as they are.

        If that fails, their leases end, and another call does it.
        """
        letters = [self._letter_of_damaged(each) for each in messages]
        try:
            errors = await send(self.client, await self.queues.dead_url(queue), letters)
            moved = [
                each.handle for each, error in zip(messages, errors, strict=True) if error is None
            ]
            for piece in batches(moved, BATCH):
                await self._settling.delete(queue, piece)
        except DriverError as error:
            errors = [error]
        failure = next((error for error in errors if error is not None), None)
        if failure is not None:
            logger.warning(
                "Cannot move messages to the dead letters: %s", failure, extra={"queue": queue}
            )
        else:
            logger.error(
                "Moved %d messages that are not tasks to the dead letters",
                len(messages),
                extra={"queue": queue},
            )

    def _letter_of_damaged(self, received: Received) -> Outgoing:
        """Return the dead letter of a message that is not ours. It has no reason if that makes it too large."""
        attributes = received.attributes if len(received.attributes) < _MOST_ATTRIBUTES else None
        letter = Outgoing(
            received.body,
            received.data or b"",
            reason=Reason.UNDECODABLE.value,
            attributes=attributes,
        )
        if letter.size > self.client.settings.max_message_bytes:
            return replace(letter, reason=None)
        return letter

    async def give_back(self, messages: Sequence[Received]) -> None:
        """Return messages that were received and not reserved.

        A copy keeps SQS from counting the receipt. FIFO messages keep their place, and this process
        remembers the receipt.
        """
        by_queue: dict[str, list[Received]] = {}
        for each in messages:
            by_queue.setdefault(each.queue, []).append(each)
        for queue, group in by_queue.items():
            try:
                url = await self.queues.url(queue)
                if self.queues.is_fifo(queue):
                    await set_visibility(self.client, url, [(each.handle, 0) for each in group])
                    for each in group:
                        self._shared.correction(each.sqs_id).receives += 1
                else:
                    await self._send_again(queue, url, group)
            except DriverError as error:
                logger.warning("Cannot give back messages: %s", error, extra={"queue": queue})
            self._shared.hint(queue)

    async def _send_again(self, queue: str, url: str, messages: Sequence[Received]) -> None:
        ours = [each for each in messages if each.receives == 1 and each.data]
        again = [Outgoing(each.body, each.data or b"", group=each.group) for each in ours]
        errors = await send(self.client, url, again)
        sent = [each.handle for each, error in zip(ours, errors, strict=True) if error is None]
        for piece in batches(sent, BATCH):
            await self._settling.delete(queue, piece)
        # Receipts of the others are counted already, or are no matter.
        rest = [(each.handle, 0) for each in messages if each not in ours]
        if rest:
            await set_visibility(self.client, url, rest)
