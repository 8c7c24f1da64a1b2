"""What Redis and its client say when they fail, as errors of asynctasq that name the remedy."""

import re

import redis.exceptions as client

from asynctasq.errors import DriverError, DriverUnavailable

FAILURES = (client.RedisError, client.RedisClusterException, OSError)
"""Whatever the client raises."""


class Closed(client.RedisError):
    """The driver was closed while this call was under way."""


FULL = (
    "has reached `maxmemory` and takes nothing new. Raise that limit or let workers drain the "
    "queues; nothing that was accepted is lost"
)
_REFUSED = (
    "refuses us. Look at the user name and the password, and at what the user may do (see `ACL "
    "users` in docs/redis.md)"
)
_LASTING: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (
        (client.AuthenticationError, client.AuthorizationError, client.NoPermissionError),
        _REFUSED,
    ),
    ((client.ClusterCrossSlotError, client.MovedError), "is a cluster. Write redis+cluster://"),
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
    """Whether the server has no memory left for what was asked."""
    return isinstance(error, client.OutOfMemoryError) or bool(_CODE_FULL.search(str(error)))


def passes(text: str) -> bool:
    """Return whether an error, as text, says that the server cannot take commands just now."""
    return any(
        code.search(text) for code in (_CODES_THAT_PASS, _CODE_DEMOTED, _CODE_FULL, _CODE_MOVED)
    )


def is_elsewhere(error: BaseException) -> bool:
    """Whether the server has become a replica, or another node of the cluster has our keys."""
    if isinstance(error, client.ReadOnlyError | client.MovedError):
        return True
    return bool(_CODE_DEMOTED.search(str(error)))


def translated(
    error: Exception, place: str, *, adds: bool = False, settles: bool = False
) -> DriverError:
    """The error to raise in place of one that came from the client.

    Args:
        error: what was raised.
        place: where the server is.
        adds: whether something was to be added; where a worker goes on with what there is, a full
            server is a reason to wait.
        settles: whether outcomes were to be settled. That we are refused says nothing against them, so
            they are kept until we are let in again.
    """
    if is_full(error):
        return (DriverError if adds else DriverUnavailable)(
            f"The Redis at {place} {FULL} ({error})."
        )
    if isinstance(error, Closed):
        return DriverError(
            f"The Redis driver of {place} was closed while this call was under way, and nobody knows "
            "whether it arrived. Await calls before `close()`."
        )
    for kinds, reason in _LASTING:
        if isinstance(error, kinds):
            return (DriverUnavailable if settles else DriverError)(
                f"The Redis at {place} {reason} ({error})."
            )
    if isinstance(error, client.ReadOnlyError) or _CODE_DEMOTED.search(str(error)):
        return DriverUnavailable(
            f"The Redis at {place} is a replica, or has become one. Name the primary, or the sentinels "
            f"that know it ({error})."
        )
    if isinstance(error, _PASSING):
        return DriverUnavailable(f"The Redis at {place} cannot be reached ({_describe(error)}).")
    if isinstance(error, client.ResponseError) and _CODES_THAT_PASS.search(str(error)):
        return DriverUnavailable(f"The Redis at {place} is not ready ({error}).")
    return DriverError(f"The Redis at {place} refused a command ({_describe(error)}).")


def _describe(error: Exception) -> str:
    text = str(error).strip()
    return text or type(error).__qualname__
