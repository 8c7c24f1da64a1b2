"""RabbitMQ as the queue of asynctasq."""

from asynctasq_rabbitmq.driver import RabbitMQDriver
from asynctasq_rabbitmq.settings import RabbitMQSettings

__version__ = "0.1.0"
__all__ = ["RabbitMQDriver", "RabbitMQSettings", "__version__"]
