"""Extending leases: by the visibility of messages, in batches of ten that run in parallel."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from asynctasq.driverkit.batching import batches
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Lease
from asynctasq.settlement import LeaseState
from asynctasq_sqs.client import Client
from asynctasq_sqs.clock import Clock
from asynctasq_sqs.errors import NOT_A_LEASE, QueueMissing
from asynctasq_sqs.leases import LONGEST_VISIBILITY, place_of
from asynctasq_sqs.queues import Queues
from asynctasq_sqs.receiving import visibility_of
from asynctasq_sqs.sending import BATCH, batch_call, error_of

LONGEST_LEASE = LONGEST_VISIBILITY - 900.0
"""Seconds after which a lease is reported as lost, because it will soon have lasted for 12 hours."""


async def extend(
    clock: Clock,
    client: Client,
    queues: Queues,
    leases: Sequence[Lease],
    lease: float,
    *,
    longest: float,
) -> list[LeaseState]:
    """Renew leases; return their states in order. A lease older than `longest` seconds is lost.

    Raises:
        DriverUnavailable: the state of a lease is not known. The call may be repeated.
    """
    shared, now, wanted = client.shared, time.monotonic(), visibility_of(lease)
    states = [LeaseState.HELD] * len(leases)
    by_queue: dict[str, list[tuple[int, str, int]]] = {}
    for number, each in enumerate(leases):
        held = shared.held.get(str(each.token))
        seconds = wanted
        if held is not None:
            if held.is_done:
                states[number] = LeaseState.LOST
                continue
            left = held.ends_at - clock.steady()
            if left < LONGEST_VISIBILITY - longest:
                states[number] = LeaseState.LOST
                continue
            seconds = min(wanted, int(left) - 1)
        queue, handle = place_of(each)
        by_queue.setdefault(queue, []).append((number, handle, seconds))
    unknown: list[DriverError] = []

    async def extend_queue(queue: str, items: list[tuple[int, str, int]]) -> None:
        try:
            url = await queues.url(queue)
            errors = await set_visibility(
                client, url, [(handle, seconds) for _, handle, seconds in items]
            )
        except DriverError as failure:
            errors = [failure] * len(items)
        for (number, _, seconds), error in zip(items, errors, strict=True):
            if error is None:
                held = shared.held.get(str(leases[number].token))
                if held is not None:
                    held.until = now + seconds
            elif isinstance(error, LeaseGone | QueueMissing):
                states[number] = LeaseState.LOST
            else:
                unknown.append(error)

    await asyncio.gather(*(extend_queue(queue, items) for queue, items in by_queue.items()))
    if unknown:
        raise unknown[0]
    return states


class LeaseGone(DriverError):
    """SQS does not know a lease any more."""


async def set_visibility(
    client: Client, url: str, items: Sequence[tuple[str, int]]
) -> list[DriverError | None]:
    """Hide messages for some seconds from now; return the error of each, or None, in order.

    Args:
        client: of the opened driver.
        url: of the queue.
        items: receipt handles and seconds.
    """
    answers = await asyncio.gather(
        *(_set_visibility(client, url, piece) for piece in batches(items, BATCH))
    )
    return [error for answer in answers for error in answer]


async def _set_visibility(
    client: Client, url: str, items: Sequence[tuple[str, int]]
) -> list[DriverError | None]:
    entries: list[dict[str, Any]] = [
        {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
        for number, (handle, seconds) in enumerate(items)
    ]
    return await settle_entries(client, "change_message_visibility_batch", url, entries)


async def settle_entries(
    client: Client, operation: str, url: str, entries: Sequence[dict[str, Any]]
) -> list[DriverError | None]:
    """Call an operation on one batch of leases; return the error of each entry, or None, in order."""
    errors: list[DriverError | None] = [None] * len(entries)
    try:
        async with client.slots:
            failed = await batch_call(client, operation, url, entries)
            again = [
                entries[int(each["Id"])] for each in failed if not each.get("SenderFault", True)
            ]
            if again:  # it changes nothing to repeat these calls
                failed = [each for each in failed if each.get("SenderFault", True)]
                failed += await batch_call(client, operation, url, again)
    except DriverUnavailable as failure:
        return [failure] * len(entries)
    for each in failed:
        error = error_of(client, each)
        if each.get("Code") in NOT_A_LEASE:
            error = LeaseGone(str(error))
        errors[int(each["Id"])] = error
    return errors
