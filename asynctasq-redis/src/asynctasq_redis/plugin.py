"""The entry point of the group `asynctasq.drivers`, registered for each scheme of its URLs."""

from asynctasq.contracts.driver import Driver
from asynctasq.hookspecs import hookimpl
from asynctasq_redis.driver import RedisDriver
from asynctasq_redis.settings import RedisSettings


@hookimpl
def create_driver(name: str, settings: RedisSettings) -> Driver:
    """Return an unopened Redis driver."""
    return RedisDriver.from_settings(settings)


@hookimpl
def settings_class(name: str) -> type:
    """Return the class of the settings."""
    return RedisSettings
