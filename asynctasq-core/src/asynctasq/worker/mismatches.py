"""Messages that do not fit this worker: reasons of their dead letters, and warnings."""

import logging
import math
import time
from collections.abc import Mapping

from asynctasq.errors import ArgumentsMismatch, BodyVersion, UnknownTask
from asynctasq.message import Delivery, id_to_text
from asynctasq.settlement import Reason
from asynctasq.worker.run_log import task_fields

logger = logging.getLogger("asynctasq")

MISMATCHES: Mapping[type[Exception], Reason] = {
    UnknownTask: Reason.UNKNOWN_TASK,
    ArgumentsMismatch: Reason.ARGUMENTS,
    BodyVersion: Reason.UNDECODABLE,
}
"""Errors that a worker of another release may not have, and the reason of the dead letter in the end."""
MISMATCHES_REMEMBERED = 1000
"""Number of tasks for which the time of the last warning is kept."""


def reason_of(error: Exception) -> Reason:
    """Return the reason of the dead letter."""
    return next(each for kind, each in MISMATCHES.items() if isinstance(error, kind))


class MismatchWarnings:
    """Warns once in a while for each task, because a deployment may find a backlog of thousands."""

    def __init__(self, pause: float) -> None:
        """Make it.

        Args:
            pause: seconds between two warnings about one task.
        """
        self._pause = pause
        self._warned_at: dict[str, float] = {}

    def warn(self, delivery: Delivery, error: Exception) -> None:
        """Log that a message is released."""
        task, now = delivery.message.task, time.monotonic()
        recent = now < self._warned_at.get(task, -math.inf) + self._pause
        if not recent:
            if len(self._warned_at) >= MISMATCHES_REMEMBERED:
                self._warned_at.clear()
            self._warned_at[task] = now
        logger.log(
            logging.DEBUG if recent else logging.WARNING,
            "Released task %s of %s, which does not fit this worker: %s",
            id_to_text(delivery.message.id),
            task,
            error,
            extra=task_fields(delivery),
        )
