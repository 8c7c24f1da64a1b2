"""Errors of PostgreSQL and of its client as errors of asynctasq that name the remedy."""

import asyncpg

from asynctasq.errors import DriverError, DriverUnavailable

FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""Exceptions that the client raises."""

REPEATED = frozenset({"40P01", "40001", "55P03"})
"""A dead-lock, a serialization failure, and a lock that another transaction holds: the call is repeated."""
_PASSING_CLASSES = frozenset({"08", "40", "53", "57", "58"})
"""Connections, rollbacks, lack of resources, interventions of operators, and errors of the system."""
_PASSING = frozenset({"25006", "26000", "42P05", "55P03", "55006", "XX000", "0A000"})
"""Read-only servers; prepared statements that a PgBouncer or a migration has made unknown; locks."""
_UNPREPARED = (
    "has mixed up prepared statements. If there is a PgBouncer in transaction mode in front of it, set "
    "postgres.statement_cache_size=0"
)
_REASONS = {
    "26000": _UNPREPARED,
    "42P05": _UNPREPARED,
    "25006": "is read-only: it is a replica, or has become one. Name all servers in the URL, or the primary",
    "53100": "has no room on its disk. Make room. Accepted messages are not lost",
    "53200": "is out of memory",
    "53300": "has no free connection. Raise its `max_connections`, or lower that setting of the driver",
    "55P03": "is busy: another transaction holds a lock. End long transactions (see pg_stat_activity)",
    "57014": "canceled the call, because it took too long. Raise `statement_timeout` of the role",
    "28P01": "refuses this password",
    "28000": "refuses this user. Check the user name, the password and pg_hba.conf",
    "3D000": "has no database of this name. Create it",
    "42501": "does not permit this user to use the tables. Grant the rights on the schema",
    "42P01": "lacks a table of asynctasq. Run `asynctasq migrate`",
    "42883": "lacks a function of asynctasq. Run `asynctasq migrate`",
    "3F000": "lacks the schema of asynctasq. Run `asynctasq migrate`",
    "22021": "does not store this text: it contains a NUL character",
    "54000": "cannot store a value of this size",
}


def code_of(error: BaseException) -> str:
    """Return the SQLSTATE of an error; empty if it has none."""
    return str(getattr(error, "sqlstate", None) or "")


def is_value_refused(error: BaseException) -> bool:
    """Return whether the client cannot send a value: it is too large, or its text is not valid."""
    return isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)


def breaks_connection(error: BaseException) -> bool:
    """Return whether a connection must not be used any more after an error."""
    if is_value_refused(error):
        return False
    code = code_of(error)
    return not isinstance(error, asyncpg.PostgresError) or (
        code[:2] in {"08", "57", "58"} or code in {"25006", "26000", "0A000", "XX000"}
    )


def passes(error: BaseException) -> bool:
    """Return whether a later call may succeed."""
    code = code_of(error)
    if isinstance(error, asyncpg.PostgresError):
        return code in _PASSING or code[:2] in _PASSING_CLASSES
    return isinstance(
        error, OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError
    )


def translated(error: BaseException, place: str) -> DriverError:
    """Return the error to raise in place of one that the client raised.

    Args:
        error: the exception of the client.
        place: the address of the server, for the message.
    """
    text = str(error).strip() or type(error).__qualname__
    if code_of(error) in _REASONS:
        text = text.partition("\n")[0]  # hints of the client follow, about its own functions
    reason = _REASONS.get(code_of(error))
    if reason is None and (isinstance(error, asyncpg.DataError) or is_value_refused(error)):
        return DriverError(f"The PostgreSQL at {place} does not accept a value ({text}).")
    if passes(error):
        return DriverUnavailable(
            f"The PostgreSQL at {place} {reason or 'cannot be used at present'} ({text})."
        )
    return DriverError(f"The PostgreSQL at {place} {reason or 'refused a statement'} ({text}).")
