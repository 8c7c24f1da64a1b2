"""The meaning of an exception group: what `asyncio.TaskGroup` raises around the errors of its tasks."""

from asyncio import CancelledError
from math import inf

from asynctasq.errors import ModelNotFound
from asynctasq.tasks.outcomes import Reject, Retry, Snooze


def meaning_of(exception: BaseException) -> BaseException:
    """Return the exception that decides about an attempt.

    A group means one of its leaves, in this order: the first `Reject`; the group itself if it has
    an ordinary error; the `Retry` with the longest delay; the `Snooze` with the longest. A group of
    nothing but `ModelNotFound`s means the first of them. Cancellations in a group do not count, for
    a task group cancels its other tasks.
    """
    if not isinstance(exception, BaseExceptionGroup):
        return exception
    everything = leaves_of(exception)
    leaves = [each for each in everything if not isinstance(each, CancelledError)]
    for each in leaves:
        if isinstance(each, Reject):
            return each
    if all(isinstance(each, ModelNotFound) for each in leaves):
        return leaves[0] if leaves else exception
    if not all(isinstance(each, Retry | Snooze) for each in leaves):
        return exception if len(leaves) == len(everything) else _without_cancellations(exception)
    retries = [each for each in leaves if isinstance(each, Retry)]
    if retries:
        return max(retries, key=lambda each: -inf if each.delay is None else each.delay)
    return max((each for each in leaves if isinstance(each, Snooze)), key=lambda each: each.seconds)


def errors_of(group: ExceptionGroup[Exception]) -> list[Exception]:
    """List the ordinary errors in a group."""
    return [
        each
        for each in leaves_of(group)
        if isinstance(each, Exception) and not isinstance(each, Retry | Snooze)
    ]


def leaves_of(exception: BaseException) -> list[BaseException]:
    """List the exceptions in a group and in the groups within it, in order."""
    leaves: list[BaseException] = []
    waiting = [exception]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(reversed(each.exceptions))
        else:
            leaves.append(each)
    return leaves


def _without_cancellations(group: BaseExceptionGroup[BaseException]) -> BaseException:
    try:
        rest = group.split(CancelledError)[1]
    except Exception:  # `derive` of the user's own class
        return group
    return group if rest is None else rest
