"""Errors of Redis and of its client as errors of asynctasq that name the remedy."""

import re

import redis.exceptions as client

from asynctasq.errors import DriverError, DriverUnavailable

FAILURES = (client.RedisError, client.RedisClusterException, OSError)
"""Exceptions that the client raises."""


class Closed(client.RedisError):
    """The driver was closed while this call was under way."""


FULL = (
    "has reached `maxmemory` and accepts no new messages. Raise that limit, or let workers drain the "
    "queues. Accepted messages are not lost"
)
_REFUSED = (
    "refuses this user. Check the user name, the password and the rights of the user (see `ACL "
    "users` in the documentation)"
)
_LASTING: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (
        (client.AuthenticationError, client.AuthorizationError, client.NoPermissionError),
        _REFUSED,
    ),
    (
        (client.ClusterCrossSlotError, client.MovedError),
        "is a cluster. Begin its URL with redis+cluster://",
    ),
)
_PASSING: tuple[type[Exception], ...] = (
    client.RedisClusterException,
    client.ConnectionError,
    client.TimeoutError,
    client.TryAgainError,
    client.ClusterDownError,
    client.AskError,
    OSError,
)
# A script's error hides the code: before Redis 7 within the message.
_CODES_THAT_PASS = re.compile(
    r"\b(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF|BUSY|UNBLOCKED)\b"
    r"|Script killed by user"  # only what has changed nothing can be killed
)
_CODE_DEMOTED = re.compile(r"\bREADONLY\b")
_CODE_MOVED = re.compile(r"\b(MOVED|ASK)\b")
_CODE_FULL = re.compile(r"\bOOM\b|used memory > 'maxmemory'")


def is_full(error: BaseException) -> bool:
    """Return whether the server has no memory left for a command."""
    return isinstance(error, client.OutOfMemoryError) or bool(_CODE_FULL.search(str(error)))


def passes(text: str) -> bool:
    """Return whether the text of an error says that the server cannot execute commands at present."""
    return any(
        code.search(text) for code in (_CODES_THAT_PASS, _CODE_DEMOTED, _CODE_FULL, _CODE_MOVED)
    )


def is_elsewhere(error: BaseException) -> bool:
    """Return whether the server has become a replica, or another node of the cluster has our keys."""
    if isinstance(error, client.ReadOnlyError | client.MovedError):
        return True
    return bool(_CODE_DEMOTED.search(str(error)))


def translated(
    error: Exception, place: str, *, adds: bool = False, settles: bool = False
) -> DriverError:
    """Return the error to raise in place of one that the client raised.

    Args:
        error: the exception of the client.
        place: the address of the server, for the message.
        adds: True if the call adds messages. Other calls to a full server are repeated later.
        settles: True if the call settles outcomes. They are kept until the server accepts this user again.
    """
    if is_full(error):
        return (DriverError if adds else DriverUnavailable)(
            f"The Redis at {place} {FULL} ({error})."
        )
    if isinstance(error, Closed):
        return DriverError(
            f"The Redis driver of {place} was closed while this call was under way. The call may or may "
            "not have reached the server. Await calls before `close()`."
        )
    for kinds, reason in _LASTING:
        if isinstance(error, kinds):
            return (DriverUnavailable if settles else DriverError)(
                f"The Redis at {place} {reason} ({error})."
            )
    if isinstance(error, client.ReadOnlyError) or _CODE_DEMOTED.search(str(error)):
        return DriverUnavailable(
            f"The Redis at {place} is a replica, or has become one. Set the URL to the primary, or to "
            f"the sentinels that know it ({error})."
        )
    if isinstance(error, _PASSING):
        return DriverUnavailable(f"The Redis at {place} cannot be reached ({_describe(error)}).")
    if isinstance(error, client.ResponseError) and _CODES_THAT_PASS.search(str(error)):
        return DriverUnavailable(f"The Redis at {place} is not ready ({error}).")
    return DriverError(f"The Redis at {place} refused a command ({_describe(error)}).")


def _describe(error: Exception) -> str:
    text = str(error).strip()
    return text or type(error).__qualname__
