"""The entry point of the group `asynctasq.drivers`, registered for each scheme of its URLs."""

from asynctasq.contracts.driver import Driver
from asynctasq.hookspecs import hookimpl
from asynctasq_postgres.driver import PostgresDriver
from asynctasq_postgres.settings import PostgresSettings


@hookimpl
def create_driver(name: str, settings: PostgresSettings) -> Driver:
    """Return an unopened PostgreSQL driver."""
    return PostgresDriver.from_settings(settings)


@hookimpl
def settings_class(name: str) -> type:
    """Return the class of the settings."""
    return PostgresSettings
