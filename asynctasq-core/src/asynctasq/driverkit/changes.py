"""Changes of messages that wait: what is valid, and what a message becomes."""

from dataclasses import replace

from asynctasq.contracts.capabilities.move import Changes
from asynctasq.driverkit.numbers import is_finite
from asynctasq.errors import DriverError
from asynctasq.message import Message


def check_changes(changes: Changes) -> None:
    """Refuse changes with a number that is not finite.

    Raises:
        DriverError: the message names the field.
    """
    for name in ("priority", "due_at", "expires"):
        value = getattr(changes, name)
        if value is not None and not is_finite(value):
            raise DriverError(f"{name} must be a finite number, got {value!r}.")


def edited(message: Message, changes: Changes) -> Message:
    """Return a message with its new queue, priority and `expires`."""
    return replace(
        message,
        queue=message.queue if changes.queue is None else changes.queue,
        priority=message.priority if changes.priority is None else changes.priority,
        expires=message.expires if changes.expires is None else changes.expires,
    )


def new_due_time(due_at: float, changes: Changes, now: float) -> float:
    """Return when a message is due after its changes. A message that is due already keeps its time.

    Args:
        due_at: its time before.
        changes: of which `due_at` counts.
        now: by the store's clock.
    """
    wanted = changes.due_at
    if wanted is None:
        return due_at
    return wanted if wanted > now else min(due_at, now)
