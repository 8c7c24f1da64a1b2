"""Which of the two stores a message goes to, and which capabilities both have together."""

from collections.abc import Callable

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.checking import BROUGHT_BY_STATE
from asynctasq.message import PRIORITY_DEFAULT, Message, headers_bytes
from asynctasq.records import record

ENVELOPE = 4096
"""Bytes that a queue may add to the body and the headers of a message."""

OF_QUEUE = Capability.PRIORITY
"""Capabilities that the queue brings."""


def capabilities_of(queue: Capability, state: Capability) -> Capability:
    """Return the capabilities of a queue that is composed with a state store."""
    return (state & BROUGHT_BY_STATE) | (queue & OF_QUEUE) | (queue & state & Capability.DETACHED)


@record
class Limits:
    """Limits of a queue. The state store holds each message that exceeds one."""

    longest_delay: float | None
    """Seconds; None for no limit."""
    max_message_bytes: int | None
    """None for no limit."""
    has_priority: bool
    longest_delay_of: Callable[[str], float | None] | None = None
    """Returns the longest delay of a new message by the name of its queue; None if all queues are alike."""

    def fits_delay(self, seconds: float) -> bool:
        """Return whether the queue can hold a message back for so long."""
        return self.longest_delay is None or seconds <= self.longest_delay

    def fits(self, message: Message, now: float) -> bool:
        """Return whether the message goes to the queue.

        Args:
            message: with finite numbers.
            now: seconds since the Unix epoch.
        """
        return (
            message.unique is None
            and not message.given_id
            and message.max_lost > 0
            and not message.parents
            and not message.limits
            and message.schedule is None
            and (self.has_priority or message.priority == PRIORITY_DEFAULT)
            and self._fits_new_delay(message, now)
            and self._fits_size(message)
        )

    def _fits_new_delay(self, message: Message, now: float) -> bool:
        delay = message.delay if message.eta is None else message.eta - now
        if delay <= 0 or self.longest_delay_of is None:
            return self.fits_delay(delay)
        longest = self.longest_delay_of(message.queue)
        return longest is None or delay <= longest

    def _fits_size(self, message: Message) -> bool:
        if self.max_message_bytes is None:
            return True
        size = len(message.body) + ENVELOPE
        if message.headers:
            size += headers_bytes(message.headers)
        return size <= self.max_message_bytes
