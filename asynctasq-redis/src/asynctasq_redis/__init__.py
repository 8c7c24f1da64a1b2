"""Redis (and Valkey) as the store of asynctasq. Importing this package does not import a Redis client."""

from asynctasq_redis.driver import RedisDriver
from asynctasq_redis.settings import RedisSettings

__version__ = "0.1.0"
__all__ = ["RedisDriver", "RedisSettings", "__version__"]
