"""Sending messages, in batches of ten that run in parallel."""

import asyncio
from collections.abc import Sequence
from typing import Any

from asynctasq.driverkit.batching import batches
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.records import record
from asynctasq_sqs.client import Client
from asynctasq_sqs.errors import of_code
from asynctasq_sqs.records import ATTRIBUTE, REASON, attributes_bytes, message_bytes

BATCH = 10
"""Entries of a batch that SQS allows."""


@record
class Outgoing:
    """A message to send."""

    body: str
    data: bytes
    """The record; empty for a dead letter that asynctasq did not send."""
    delay: int = 0
    """Seconds for which SQS holds it back."""
    group: str | None = None
    deduplication: str | None = None
    reason: str | None = None
    """Why it is dead, as an attribute for people."""
    attributes: dict[str, Any] | None = None
    """Further attributes, of a message that asynctasq did not send."""

    @property
    def size(self) -> int:
        """The bytes, as SQS counts them."""
        size = message_bytes(self.body, self.data, self.reason)
        return size if self.attributes is None else size + attributes_bytes(self.attributes)

    def entry(self, number: int) -> dict[str, Any]:
        """Return the message as an entry of a batch."""
        attributes: dict[str, Any] = dict(self.attributes or {})
        if self.data:
            attributes[ATTRIBUTE] = {"DataType": "Binary", "BinaryValue": self.data}
        if self.reason is not None:
            attributes[REASON] = {"DataType": "String", "StringValue": self.reason}
        entry: dict[str, Any] = {
            "Id": str(number),
            "MessageBody": self.body,
            "MessageAttributes": attributes,
        }
        if self.delay:
            entry["DelaySeconds"] = self.delay
        if self.group is not None:
            entry["MessageGroupId"] = self.group
        if self.deduplication is not None:
            entry["MessageDeduplicationId"] = self.deduplication
        return entry


async def send(
    client: Client, url: str, messages: Sequence[Outgoing], *, keeps_order: bool = False
) -> list[DriverError | None]:
    """Send messages to a queue; return the error of each, or None, in order.

    Args:
        client: of the opened driver.
        url: of the queue.
        messages: the messages.
        keeps_order: send one batch after another, and no further one after an error.
    """
    pieces = list(
        batches(
            messages,
            BATCH,
            size=lambda each: each.size,
            most_bytes=client.settings.max_message_bytes,
        )
    )
    if not keeps_order:
        answers = await asyncio.gather(*(_send_batch(client, url, piece) for piece in pieces))
        return [error for answer in answers for error in answer]
    errors: list[DriverError | None] = []
    for piece in pieces:
        if any(errors):
            unsent = DriverUnavailable(
                f"{client.place} did not accept an earlier message of the queue."
            )
            errors += [unsent] * len(piece)
        else:
            errors += await _send_batch(client, url, piece, repeats=False)
    return errors


async def _send_batch(
    client: Client, url: str, messages: Sequence[Outgoing], *, repeats: bool = True
) -> list[DriverError | None]:
    entries = [message.entry(number) for number, message in enumerate(messages)]
    errors: list[DriverError | None] = [None] * len(messages)
    try:
        async with client.slots:
            failed = await batch_call(client, "send_message_batch", url, entries)
            if repeats:
                failed = await _repeat_failed(client, url, entries, failed)
    except DriverError as error:
        return [error] * len(messages)
    for each in failed:
        errors[int(each["Id"])] = error_of(client, each)
    return errors


async def _repeat_failed(
    client: Client, url: str, entries: Sequence[dict[str, Any]], failed: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Send entries once more that the service itself failed to store; return those that failed again."""
    lasting = [each for each in failed if each.get("SenderFault", True)]
    again = [entries[int(each["Id"])] for each in failed if not each.get("SenderFault", True)]
    if not again:
        return failed
    try:
        return lasting + await batch_call(client, "send_message_batch", url, again)
    except DriverError:
        return failed


async def batch_call(
    client: Client, operation: str, url: str, entries: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Call an operation on a batch; return the entries that failed."""
    answer = await client.call(operation, QueueUrl=url, Entries=list(entries))
    return list(answer.get("Failed", []))


class EntryRefused(DriverError):
    """SQS refused one entry of a batch."""


def error_of(client: Client, failed: dict[str, Any]) -> DriverError:
    """Return the error of an entry of a batch."""
    code, text = str(failed.get("Code", "")), str(failed.get("Message", ""))
    is_server_error = not failed.get("SenderFault", True)
    error = of_code(code, f"{code}: {text}", client.place, is_server_error=is_server_error)
    return error if isinstance(error, DriverUnavailable) else EntryRefused(str(error))
