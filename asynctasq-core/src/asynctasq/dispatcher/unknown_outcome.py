"""Errors of dispatches whose outcome is unknown."""

from collections.abc import Sequence
from contextlib import suppress
from copy import copy

from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import id_to_text


def with_ids(error: DriverError, ids: Sequence[bytes]) -> DriverError:
    """Return the error with the ids of the tasks that it concerns.

    It is a copy, because dispatches that share a round trip share the error.
    """
    kind = DriverUnavailable if isinstance(error, DriverUnavailable) else DriverError
    twin = kind(str(error))
    with suppress(Exception):  # an error of another package need not be made to be copied
        copied: object = copy(error)
        twin = copied if isinstance(copied, type(error)) else twin
    if notes := getattr(error, "__notes__", None):
        twin.__notes__ = list(notes)
    twin.task_ids = tuple(map(id_to_text, ids))
    return twin.with_traceback(error.__traceback__)
