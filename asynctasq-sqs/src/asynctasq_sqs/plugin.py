"""The entry point of the group `asynctasq.drivers`."""

from asynctasq.contracts.driver import Driver
from asynctasq.hookspecs import hookimpl
from asynctasq_sqs.driver import SQSDriver
from asynctasq_sqs.settings import SQSSettings


@hookimpl
def create_driver(name: str, settings: SQSSettings) -> Driver:
    """Return an unopened SQS driver."""
    return SQSDriver.from_settings(settings)


@hookimpl
def settings_class(name: str) -> type:
    """Return the class of the settings."""
    return SQSSettings
