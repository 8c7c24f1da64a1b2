"""Errors of dispatches whose outcome is unknown."""

from collections.abc import Sequence
from contextlib import suppress
from copy import copy

from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import id_to_text


def with_ids(error: DriverError, ids: Sequence[bytes]) -> DriverError:
    """Return a copy of the error with the ids of the tasks that it concerns.

    Dispatches that share a round trip share the error, so each gets its own copy.
    """
    kind = DriverUnavailable if isinstance(error, DriverUnavailable) else DriverError
    clone = kind(str(error))
    with suppress(Exception):  # errors of other packages may not support being copied
        copied: object = copy(error)
        clone = copied if isinstance(copied, type(error)) else clone
    if notes := getattr(error, "__notes__", None):
        clone.__notes__ = list(notes)
    clone.task_ids = tuple(map(id_to_text, ids))
    return clone.with_traceback(error.__traceback__)
