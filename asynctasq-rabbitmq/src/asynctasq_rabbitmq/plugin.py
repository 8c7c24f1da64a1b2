"""The entry point of the group `asynctasq.drivers`, registered for each scheme of its URLs."""

from asynctasq.contracts.driver import Driver
from asynctasq.hookspecs import hookimpl
from asynctasq_rabbitmq.driver import RabbitMQDriver
from asynctasq_rabbitmq.settings import RabbitMQSettings


@hookimpl
def create_driver(name: str, settings: RabbitMQSettings) -> Driver:
    """Return an unopened RabbitMQ driver."""
    return RabbitMQDriver.from_settings(settings)


@hookimpl
def settings_class(name: str) -> type:
    """Return the class of the settings."""
    return RabbitMQSettings
