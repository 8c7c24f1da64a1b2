"""The outcome of an exception group, which `asyncio.TaskGroup` raises around the errors of its tasks."""

from asyncio import CancelledError
from math import inf
from types import UnionType
from typing import Any, cast

from asynctasq.errors import ModelNotFound
from asynctasq.tasks.outcomes import Reject, Retry, Snooze


def is_a(exception: BaseException, kinds: type | UnionType) -> bool:
    """Return whether an exception is an instance, by its real class; `isinstance` would trust `__class__`."""
    return issubclass(type(exception), kinds)


def meaning_of(exception: BaseException) -> BaseException:
    """Return the exception that decides about an attempt.

    For a group this is, in this order: the first `Reject` in it; the group itself if it contains an ordinary
    error; the `Retry` with the longest delay; the `Snooze` with the longest time. For a group that
    contains only `ModelNotFound`, it is the first of them. Cancellations in a group are ignored, because
    a task group cancels its other tasks.
    """
    if not is_a(exception, BaseExceptionGroup):
        return exception
    everything = leaves_of(exception)
    leaves = [each for each in everything if not is_a(each, CancelledError)]
    for each in leaves:
        if is_a(each, Reject):
            return each
    if all(is_a(each, ModelNotFound) for each in leaves):
        return leaves[0] if leaves else exception
    if not all(is_a(each, Retry | Snooze) for each in leaves):
        group = cast("BaseExceptionGroup[BaseException]", exception)
        return exception if len(leaves) == len(everything) else _without_cancellations(group)
    retries = [cast("Retry", each) for each in leaves if is_a(each, Retry)]
    if retries:
        return max(retries, key=lambda each: -inf if each.delay is None else each.delay)
    return max(cast("list[Snooze]", leaves), key=lambda each: each.seconds)


def errors_of(group: ExceptionGroup[Exception]) -> list[Exception]:
    """List the ordinary errors in a group."""
    return [
        cast("Exception", each)
        for each in leaves_of(group)
        if is_a(each, Exception) and not is_a(each, Retry | Snooze)
    ]


def leaves_of(exception: BaseException) -> list[BaseException]:
    """List the exceptions in a group and in the groups within it, in order."""
    leaves: list[BaseException] = []
    waiting = [exception]
    while waiting:
        each = waiting.pop()
        if is_a(each, BaseExceptionGroup):
            waiting.extend(reversed(_exceptions_of(each)))
        else:
            leaves.append(each)
    return leaves


def _without_cancellations(group: BaseExceptionGroup[BaseException]) -> BaseException:
    try:
        rest = group.split(CancelledError)[1]
    except Exception:  # of `derive` of the user's own class, or of too deep a group
        return group
    return group if rest is None else rest


def _exceptions_of(group: BaseException) -> tuple[BaseException, ...]:
    """Return the real exceptions of a group, even if its class overrides the attribute."""
    own: Any = vars(BaseExceptionGroup)["exceptions"]
    return cast("tuple[BaseException, ...]", own.__get__(group))
