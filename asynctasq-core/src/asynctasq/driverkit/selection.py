"""The choice of messages that a `reserve` makes: when each is due, which have expired, which come next."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.message import Message
from asynctasq.settlement import ErrorInfo


class HasMessage(Protocol):
    """A driver's own record of a message, or a delivery."""

    @property
    def message(self) -> Message:
        """The message itself."""
        ...


class HasDueTime(HasMessage, Protocol):
    """A driver's own record of a message and the time at which it is, or was, due."""

    @property
    def due_at(self) -> float:
        """By the store's clock, in seconds since the Unix epoch."""
        ...


M = TypeVar("M", bound=HasMessage)


def due_time(message: Message, now: float) -> float:
    """Return when a message that is enqueued now is due (rule 1)."""
    return now + message.delay if message.eta is None else max(message.eta, now)


def is_too_late(waiting: HasDueTime, now: float) -> bool:
    """Return whether a message has expired if it was never leased (rule 18)."""
    expires = waiting.message.expires
    return expires is not None and now >= waiting.due_at + expires


def matches_task(name: str, pattern: str) -> bool:
    """Return whether a task's name is the one given, or begins with the text before its final `*`."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def matches_error(error: ErrorInfo | None, wanted: str) -> bool:
    """Return whether an error is of a type: its full name, or the last part if `wanted` has no dot."""
    return error is not None and (error.type == wanted or error.type.rpartition(".")[2] == wanted)


def choose(ready: Iterable[M], queues: Mapping[str, int], *, limit: int) -> list[M]:
    """Return the ready messages that a `reserve` takes (rules 4 and 50).

    The queues are served in the order given, each up to its own number, up to `limit` in all. Their
    bodies have no more than `BYTES_AT_ONCE` bytes together, but the first one may be larger.

    Args:
        ready: in the order of rule 3; of other queues too.
        queues: as `reserve` got them.
        limit: as `reserve` got it.
    """
    waiting: dict[str, list[M]] = {queue: [] for queue in queues}
    for each in ready:
        if each.message.queue in waiting:
            waiting[each.message.queue].append(each)
    chosen: list[M] = []
    size = 0
    for queue, most in queues.items():
        for each in waiting[queue][: max(min(most, limit - len(chosen)), 0)]:
            size += len(each.message.body)
            if size > BYTES_AT_ONCE and chosen:
                return chosen
            chosen.append(each)
    return chosen
