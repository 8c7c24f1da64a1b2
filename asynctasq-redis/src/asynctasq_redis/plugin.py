"""Entry point of the group `asynctasq.drivers`, under each scheme of its URLs."""

from asynctasq.contracts.driver import Driver
from asynctasq.hookspecs import hookimpl
from asynctasq_redis.driver import RedisDriver
from asynctasq_redis.settings import RedisSettings


@hookimpl
def create_driver(name: str, settings: RedisSettings) -> Driver:
    """An unopened Redis driver."""
    return RedisDriver.from_settings(settings)


@hookimpl
def settings_class(name: str) -> type:
    """The class of the settings."""
    return RedisSettings
