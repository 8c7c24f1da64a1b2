import asynctasq
from asynctasq.tasks import AsyncTask

# Global config uses redis driver
asynctasq.init({'driver': 'redis'})

# This task uses Redis regardless of global config
class CriticalTask(AsyncTask[None]):
    queue = "critical"
    _driver_override = "redis"

    async def execute(self) -> None:
        print("Processing critical task")

# This task uses SQS
class AWSTask(AsyncTask[None]):
    queue = "aws-tasks"
    _driver_override = "sqs"

    async def execute(self) -> None:
        print("Processing AWS task")

# This task uses global config (redis)
class NormalTask(AsyncTask[None]):
    queue = "normal"
    # No _driver_override - uses global config

    async def execute(self) -> None:
        print("Processing normal task")
