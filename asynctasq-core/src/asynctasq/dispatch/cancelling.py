"""Cancelling tasks, with events for those that waited."""

import time
from collections.abc import Sequence

from asynctasq.contracts.capabilities import (
    Capability,
    SupportsCancel,
    SupportsInspect,
    require,
)
from asynctasq.dispatch.connections import Connection
from asynctasq.events import EventKind, Fact
from asynctasq.message import CancelOutcome


async def cancel(connection: Connection, ids: Sequence[bytes]) -> Sequence[CancelOutcome]:
    """Cancel waiting tasks at once, and interrupt running ones.

    The worker publishes the end of a running task. If there may be a listener, this function publishes that of a
    waiting one, and looks up its name and queue first.

    Raises:
        CapabilityMissing: the driver cannot cancel tasks.
        DriverError: the store refused, or could not be reached.
    """
    driver, events = connection.driver, connection.batcher.events
    store = require(driver, Capability.CANCEL, SupportsCancel, purpose="Cancelling tasks")
    if not events.active:
        return await store.cancel(ids)
    has_inspect = Capability.INSPECT in driver.capabilities
    inspected = driver if has_inspect and isinstance(driver, SupportsInspect) else None
    found = [None] * len(ids) if inspected is None else await inspected.find(ids)
    answers = await store.cancel(ids)
    now = time.time()
    for message_id, snapshot, answer in zip(ids, found, answers, strict=True):
        if answer is CancelOutcome.CANCELLED:
            task = None if snapshot is None else snapshot.message.task
            queue = None if snapshot is None else snapshot.message.queue
            events.add(Fact(EventKind.CANCELLED, now, message_id, task, queue))
    return answers
