"""Doing something to many messages: batch by batch, not too fast, and never half a batch."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import monotonic
from typing import TypeVar

from asynctasq.message import id_from_text
from asynctasq.uncancelled import uncancelled

T = TypeVar("T")

BATCH = 200
"""Messages that one call to the store is about."""
BATCHES_PER_SECOND = 10
"""At the most, where the rate is bounded: so that it is even within a second, too."""


async def in_batches(
    task_ids: Iterable[str],
    act: Callable[[Sequence[bytes]], Awaitable[Sequence[T]]],
    *,
    per_second: float | None = None,
    on_progress: Callable[[Sequence[T]], object] | None = None,
) -> list[T]:
    """What `act` answers for each id, in order.

    Cancelling it takes effect when the batch under way is done and told of. An error gets a note
    that says how many were done before.

    Raises:
        ValueError: an id is no UUID, or the rate is not above 0.
    """
    if per_second is not None and not per_second > 0:
        raise ValueError(f"per_second={per_second}: a rate is above 0.")
    ids = [id_from_text(task_id) for task_id in task_ids]
    size = batch_size(per_second)
    started = monotonic()
    done: list[T] = []
    while len(done) < len(ids):
        batch = ids[len(done) : len(done) + size]
        try:
            answers, cancelled = await uncancelled(act(batch))
        except Exception as error:
            error.add_note(f"{len(done)} of {len(ids)} were done before this error.")
            raise
        done += answers
        if on_progress is not None:
            on_progress(answers)
        if cancelled:
            raise asyncio.CancelledError
        if per_second is not None and len(done) < len(ids):
            await asyncio.sleep(started + len(done) / per_second - monotonic())
    return done


def batch_size(per_second: float | None) -> int:
    """How many at once."""
    if per_second is None:
        return BATCH
    return max(1, min(BATCH, int(per_second / BATCHES_PER_SECOND)))
