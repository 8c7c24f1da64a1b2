import asyncio
import asynctasq
from asynctasq.tasks import AsyncTask

# Configure the queue driver
# Note: Use 'redis', 'postgres', 'mysql', or 'sqs' for production
asynctasq.init({'driver': 'redis'})

# Define a simple task class
class SendNotification(AsyncTask[str]):
    """Send a notification message."""

    def __init__(self, message: str, **kwargs):
        super().__init__(**kwargs)
        self.message = message

    async def execute(self) -> str:
        print(f"Notification: {self.message}")
        await asyncio.sleep(0.1)  # Simulate async work
        return f"Sent: {self.message}"

# Dispatch the task
async def main():
    task_id = await SendNotification(message="Hello, World!").dispatch()
    print(f"Task dispatched with ID: {task_id}")
    # Note: Task will be executed by a worker process

if __name__ == "__main__":
    from asynctasq.utils.loop import run as uv_run

    uv_run(main())
