"""Errors of the broker as errors of asynctasq that name the remedy."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq_rabbitmq.wire.errors import (
    ACCESS_REFUSED,
    NOT_ALLOWED,
    NOT_FOUND,
    PRECONDITION_FAILED,
    ChannelClosed,
    ConnectionLost,
)

_RESOURCE_LOCKED = 405
_TOO_LARGE = re.compile(r"larger than (?:configured )?max size:? '?(\d+)")


def largest_message(error: ChannelClosed) -> int | None:
    """Return the size limit that a refused message exceeded; None if that is not the error."""
    found = _TOO_LARGE.search(error.text)
    return int(found[1]) if found else None


def translated(error: Exception, place: str) -> DriverError:
    """Return the error to raise in place of one of the client."""
    if isinstance(error, ConnectionLost):
        if error.code == ACCESS_REFUSED:
            return DriverError(
                f"The broker at {place} refuses this user. Check the user name, the password and the rights of "
                f"the user ({error.text})."
            )
        if error.code == NOT_ALLOWED:
            return DriverError(
                f"The broker at {place} refuses the virtual host. Create it, give the user access to it, or set "
                f"another `virtual_host` ({error.text})."
            )
    elif isinstance(error, ChannelClosed):
        if error.code == ACCESS_REFUSED:
            return DriverError(
                f"The broker at {place} refuses this user. The user needs the rights that the documentation "
                f"lists ({error.text})."
            )
        if error.code == NOT_FOUND:
            return DriverError(
                f"The broker at {place} lacks a queue or an exchange. Run `asynctasq migrate` ({error.text})."
            )
        if error.code in {PRECONDITION_FAILED, _RESOURCE_LOCKED}:
            return DriverError(f"The broker at {place} refused a call ({error.text}).")
    text = str(error).strip() or type(error).__qualname__
    return DriverUnavailable(f"The broker at {place} cannot be used now ({text}).")


@contextmanager
def broker_errors(place: str) -> Iterator[None]:
    """Turn errors of the client into errors of asynctasq."""
    try:
        yield
    except (ChannelClosed, ConnectionLost, TimeoutError, OSError) as error:
        raise translated(error, place) from error
