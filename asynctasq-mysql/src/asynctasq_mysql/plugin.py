"""The entry point of the group `asynctasq.drivers`, registered for each scheme of its URLs."""

from asynctasq.contracts.driver import Driver
from asynctasq.hookspecs import hookimpl
from asynctasq_mysql.driver import MySQLDriver
from asynctasq_mysql.settings import MySQLSettings


@hookimpl
def create_driver(name: str, settings: MySQLSettings) -> Driver:
    """Return an unopened MySQL driver."""
    return MySQLDriver.from_settings(settings)


@hookimpl
def settings_class(name: str) -> type:
    """Return the class of the settings."""
    return MySQLSettings
