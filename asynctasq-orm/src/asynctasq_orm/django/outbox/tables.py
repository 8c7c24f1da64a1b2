"""The statements that create the tables of the outbox, for each database of Django."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from asynctasq.contracts import SupportsOutbox

_DRIVERS: Mapping[str, tuple[str, str]] = {
    "sqlite": ("asynctasq.drivers.sqlite", "SqliteDriver"),
    "postgresql": ("asynctasq_postgres", "PostgresDriver"),
    "mysql": ("asynctasq_mysql", "MySQLDriver"),
}
"""By `connection.vendor`, which is `mysql` for MariaDB, too."""


def create_statements(vendor: str) -> Sequence[str]:
    """Return the statements for a database.

    Raises:
        ImproperlyConfigured: the database cannot have an outbox, or its driver is not installed.
    """
    return _driver(vendor).outbox().create_statements()


def _driver(vendor: str) -> SupportsOutbox:
    """Return the driver of the setting `ASYNCTASQ_OUTBOX`, or one with default settings."""
    given = getattr(settings, "ASYNCTASQ_OUTBOX", None)
    if given is not None:
        if isinstance(given, SupportsOutbox):
            return given
        raise ImproperlyConfigured(
            f"ASYNCTASQ_OUTBOX must be a driver instance, such as PostgresDriver(...), got {given!r}."
        )
    if vendor not in _DRIVERS:
        raise ImproperlyConfigured(
            f"The outbox needs SQLite, PostgreSQL, MySQL or MariaDB, got {vendor}. Route the app "
            f"asynctasq_outbox to another database."
        )
    module, name = _DRIVERS[vendor]
    try:
        driver: Any = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ImproperlyConfigured(
            f"The outbox on {vendor} needs {module}, which is not installed. Run `pip install "
            f"{module.replace('_', '-')}`."
        ) from error
    found: SupportsOutbox = driver()
    return found
