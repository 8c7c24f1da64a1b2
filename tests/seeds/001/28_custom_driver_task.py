from asynctasq.tasks import AsyncTask
from asynctasq.drivers.redis_driver import RedisDriver

# Create a custom driver instance with specific configuration
custom_redis = RedisDriver(
    url='redis://custom-host:6379',
    password='secret',
    db=1,
    max_connections=20
)

# Use the custom driver instance
class CustomDriverTask(AsyncTask[dict]):
    queue = "custom"
    _driver_override = custom_redis

    def __init__(self, data: dict, **kwargs):
        super().__init__(**kwargs)
        self.data = data

    async def execute(self) -> dict:
        print(f"Using custom driver: {self.data}")
        return self.data

# Dispatch task
async def main():
    task_id = await CustomDriverTask(data={"key": "value"}).dispatch()
    print(f"Task dispatched: {task_id}")
