"""Errors of dispatches whose outcome is unknown."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from copy import copy

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import id_to_text


def with_ids(error: DriverError, ids: Sequence[bytes], drivers: Iterable[Driver]) -> DriverError:
    """Return a copy of the error with the ids of the tasks that it concerns.

    Dispatches that share a round trip share the error, so each gets its own copy.

    Args:
        error: of the call.
        ids: of the tasks that it concerns.
        drivers: those to which the tasks were sent.
    """
    kind = DriverUnavailable if isinstance(error, DriverUnavailable) else DriverError
    clone = kind(str(error))
    with suppress(Exception):  # errors of other packages may not support being copied
        copied: object = copy(error)
        clone = copied if isinstance(copied, type(error)) else clone
    if notes := getattr(error, "__notes__", None):
        clone.__notes__ = list(notes)
    clone.task_ids = tuple(map(id_to_text, ids))
    clone.is_idempotent = all(Capability.IDEMPOTENT in each.capabilities for each in drivers)
    return clone.with_traceback(error.__traceback__)
