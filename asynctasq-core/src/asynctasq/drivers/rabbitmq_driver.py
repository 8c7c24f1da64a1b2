"""The RabbitMQ driver under its documented import path; `asynctasq-rabbitmq` brings it."""

try:
    from asynctasq_rabbitmq import (  # pyright: ignore[reportMissingImports]  need not be installed
        RabbitMQDriver as RabbitMQDriver,
    )
except ModuleNotFoundError as error:
    if error.name != "asynctasq_rabbitmq":  # it is there, and lacks something: its own error tells
        raise
    raise ModuleNotFoundError(
        "The RabbitMQ driver is not installed. To install it: pip install 'asynctasq[rabbitmq]'",
        name=error.name,
    ) from None
