import asynctasq
from asynctasq.tasks import AsyncTask

# Default driver
asynctasq.init({'driver': 'redis'})

# Tasks using different drivers
class RedisTask(AsyncTask[None]):
    queue = "redis-queue"
    _driver_override = "redis"

    async def execute(self) -> None:
        pass

class PostgresTask(AsyncTask[None]):
    queue = "postgres-queue"
    _driver_override = "postgres"

    async def execute(self) -> None:
        pass

class SQSTask(AsyncTask[None]):
    queue = "sqs-queue"
    _driver_override = "sqs"

    async def execute(self) -> None:
        pass

class RedisTask(AsyncTask[None]):
    queue = "default-queue"
    # No _driver_override - uses global config (redis)

    async def execute(self) -> None:
        pass
