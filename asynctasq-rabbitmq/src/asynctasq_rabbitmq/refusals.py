"""Queues that a worker cannot use, for example streams: they must not keep it from its other queues."""

import logging
import time

from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq_rabbitmq.errors import translated
from asynctasq_rabbitmq.wire.errors import NOT_FOUND, ChannelClosed

logger = logging.getLogger("asynctasq_rabbitmq")

AGAIN_SECONDS = 5.0
"""Seconds after which a queue that was refused is tried again."""
LOG_SECONDS = 60.0
"""Seconds between two log lines about one queue."""


class Refusals:
    """The queues that cannot be consumed, each with the time until which it is left alone."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._until: dict[str, float] = {}
        self._logged_at: dict[str, float] = {}

    def is_refused(self, queue: str) -> bool:
        """Return whether a queue was refused within the last seconds."""
        return self._until.get(queue, 0.0) > time.monotonic()

    def note(self, queue: str, error: DriverError | ChannelClosed) -> bool:
        """Note that a queue cannot be consumed, and log it once a minute.

        Return False if the error may be over with the next call, so that it must be raised.
        """
        if isinstance(error, ChannelClosed) and error.code == NOT_FOUND:
            return False  # the queue was deleted, and is declared again
        cause = error if isinstance(error, DriverError) else translated(error, self._place)
        if isinstance(cause, DriverUnavailable):
            return False
        now = time.monotonic()
        self._until[queue] = now + AGAIN_SECONDS
        if now >= self._logged_at.get(queue, -LOG_SECONDS) + LOG_SECONDS:
            self._logged_at[queue] = now
            logger.error(
                "Cannot take messages from the queue %r: %s",
                queue,
                cause,
                extra={"queue": queue, "store": self._place},
            )
        return True

    def clear(self, queue: str) -> None:
        """Note that a queue can be consumed."""
        self._until.pop(queue, None)
        self._logged_at.pop(queue, None)
