"""The RabbitMQ drivers of a storm: with its state in an SQLite file, and alone."""

from asynctasq.contracts.driver import Driver
from asynctasq.drivers.composed import ComposedDriver
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq_rabbitmq import RabbitMQDriver
from tests.chaos.inside.audited import AuditedCalls


class AuditedComposedDriver(AuditedCalls, ComposedDriver):
    """Writes down what it was asked and answered."""


class AuditedRabbitMQDriver(AuditedCalls, RabbitMQDriver):
    """Writes down what it was asked and answered."""


def audited_rabbitmq(address: str) -> Driver:
    """Return an unopened driver.

    Args:
        address: the URL of the broker, and after a space the path of the state, if there is one.
    """
    url, _, state = address.partition(" ")
    if not state:
        return AuditedRabbitMQDriver(url)
    return AuditedComposedDriver(
        RabbitMQDriver(url), SqliteDriver(state, synchronous="normal", busy_timeout=1.0)
    )
