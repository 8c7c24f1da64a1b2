"""Operations on many messages: batch by batch, at a bounded rate, and never half a batch."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import monotonic
from typing import TypeVar

from asynctasq.message import id_from_text
from asynctasq.uncancelled import uncancelled

T = TypeVar("T")

BATCH = 200
"""Most messages of one call of the store."""
BATCHES_PER_SECOND = 10
"""Most batches a second if the rate is bounded, so that it is even within a second."""


async def in_batches(
    task_ids: Iterable[str],
    act: Callable[[Sequence[bytes]], Awaitable[Sequence[T]]],
    *,
    per_second: float | None = None,
    on_progress: Callable[[Sequence[T]], object] | None = None,
) -> list[T]:
    """Call `act` with batches of ids, and return its answers in order.

    A cancellation takes effect after the current batch was done and reported. An error gets a note that
    says how many tasks were done before.

    Raises:
        ValueError: an id is not a UUID, or the rate is not greater than 0.
    """
    if per_second is not None and not per_second > 0:
        raise ValueError(f"per_second must be greater than 0, got {per_second}.")
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
    """Return the size of a batch."""
    if per_second is None:
        return BATCH
    return max(1, min(BATCH, int(per_second / BATCHES_PER_SECOND)))
