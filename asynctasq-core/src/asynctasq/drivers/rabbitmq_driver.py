"""The documented import path of the RabbitMQ driver, which `asynctasq-rabbitmq` will bring."""

try:
    from asynctasq_rabbitmq import (  # pyright: ignore[reportMissingImports]  need not be installed
        RabbitMQDriver as RabbitMQDriver,
    )
except ModuleNotFoundError as error:
    if error.name != "asynctasq_rabbitmq":  # it is there, and lacks something: its own error tells
        raise
    raise ModuleNotFoundError(
        "The RabbitMQ driver is planned, but not available yet.",
        name=error.name,
    ) from None
